"""What launcher=ray refuses before anything is written, and how studies share a cluster."""

from __future__ import annotations

import subprocess
import sys
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from eval.spec import EvalSpec
from foundation.bases.spec import BaseSpec
from foundation.data.spec import DataSpec
from foundation.errors import ConfigError
from foundation.files.cache_use import noting_uses, uses_of
from sweeper.launchers.local import LocalLauncher
from sweeper.launchers.ray.assets import PATHS, assets_of, with_assets, with_whole_paths
from sweeper.launchers.ray.versions import Versions, differences
from sweeper.launchers.ray.words import Part
from sweeper.launchers.spec import LauncherSpec
from sweeper.records.config import Config
from sweeper.records.messages import BaseLoaded
from sweeper.reference.fields import fields_of
from tests.sweeper.launchers.conftest import RAY, in_folder

if TYPE_CHECKING:
    from ray.cluster_utils import Cluster


def problem(spec: LauncherSpec) -> str:
    from sweeper.launchers.ray.launcher import RayLauncher

    with pytest.raises(ConfigError) as caught:
        RayLauncher.check(spec)
    (line,) = caught.value.problems
    return line


def test_without_ray_a_study_says_how_to_have_it(tmp_path: Path) -> None:
    folder = tmp_path / "runs"
    arguments = ["+experiment=pencil", "launcher=ray", f"study.folder={folder}"]
    code = "import sys; sys.modules['ray'] = None; from sweeper.cli import main; sys.exit(main())"
    # in a process of its own: a launcher that was chosen once stays in the registry
    ended = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    words = "launcher=ray needs Ray, which is not installed: pip install 'sweeper[ray]'"
    assert ended.returncode == 2 and words in ended.stderr, ended.stderr
    assert not folder.exists()


def test_what_is_for_another_launcher_is_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        LocalLauncher.check(LauncherSpec(workers=3, resources={"big": 1.0}))
    assert caught.value.problems == (
        "launcher.workers is not for launcher=local, got 3",
        "launcher.resources is not for launcher=local, got {'big': 1.0}",
    )


def test_a_cluster_out_of_reach_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    ray = pytest.importorskip("ray", reason="Ray is not installed")
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    said = problem(LauncherSpec(name="ray", address="127.0.0.1:1"))
    assert said.startswith("launcher.address=127.0.0.1:1: no Ray cluster can be joined: ")
    assert "Connection refused" in said and said.endswith("`ray status` tells whether one runs there")
    said = problem(LauncherSpec(name="ray", address="none.invalid:6379"))
    assert said.startswith("launcher.address=none.invalid:6379: no Ray cluster can be joined: ")


def test_what_a_cluster_does_not_have_is_one_line(cluster: Cluster) -> None:
    said = problem(replace(RAY, gpus_per_worker=1, workers=2))
    assert said.startswith(
        "launcher.workers=2 of 1 GPU, 1 CPU each cannot be had: local has 3 CPU, room for 0; ask for"
    )
    assert problem(replace(RAY, devices=("cpu",))) == "launcher.devices is not for launcher=ray, got ('cpu',)"
    assert problem(replace(RAY, workers="auto", resources={"huge": 1.0})).startswith("one worker of 1 CPU, 1 huge each")


def test_a_node_that_cannot_be_used_is_one_line(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    from sweeper.launchers.ray import cluster as joining

    said = problem(replace(RAY, node_folder="/proc/none"))
    assert "/proc/none cannot be written there" in said and said.endswith("by launcher.node_folder")
    ours = Versions("9.9", "0.0", (("torch", "1.0"),))
    monkeypatch.setattr(joining, "own_versions", lambda: ours)
    said = problem(RAY)
    assert "has other versions: Python 3." in said and "there, 9.9 here; sweeper" in said
    assert said.endswith("install the same on both")


def test_a_worker_computes_with_as_many_threads_as_it_has_cores_unless_told_otherwise() -> None:
    pytest.importorskip("ray", reason="Ray is not installed")
    from sweeper.launchers.ray.cluster import Need, threads_of

    auto, three = LauncherSpec(name="ray"), LauncherSpec(name="ray", threads=3)
    told = [(auto, 4.0), (auto, 0.5), (three, 1.0)]
    assert [threads_of(spec, Need(0.0, cpus, {})) for spec, cpus in told] == [4, 1, 3]


def test_versions_that_differ_are_named() -> None:
    ours = Versions("3.11", "1", (("torch", "2"), ("peft", "1")))
    assert differences(ours, ours) == ""
    theirs = Versions("3.12", "1", (("torch", "2"),))
    assert differences(ours, theirs) == "Python 3.12 there, 3.11 here; peft none there, 1 here"


def test_every_path_of_the_config_that_workers_read_may_travel() -> None:
    kinds = {"base": BaseSpec, "data": DataSpec, "eval": EvalSpec}
    for group, kind in kinds.items():
        paths = {each.path.partition(".")[2] for each in fields_of(kind, group) if "at_home" in str(each.hint)}
        assert paths == set(PATHS[group])


def test_data_are_fetched_once_to_a_node_by_their_content(small_config: Config, tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    (folder / "deep").mkdir(parents=True)
    (folder / "a.txt").write_text("a" * 10)
    (folder / "deep" / "b.txt").write_text("b")
    config = with_whole_paths(replace(small_config, data=replace(small_config.data, path=str(folder), drawn=None)))
    assets = assets_of(config)
    assert with_assets(config, assets, tmp_path / "node", lambda *_: b"") == config  # it is there
    contents = {name: (folder / name).read_bytes() for name in ("a.txt", "deep/b.txt")}
    fetched: list[tuple[str, int]] = []

    def fetch(asset: int, path: str, offset: int) -> bytes:
        fetched.append((path, offset))
        return contents[path][offset : offset + 4]

    (folder / "a.txt").write_text("another's")
    for _ in range(2):
        place = Path(with_assets(config, assets, tmp_path / "node", fetch).data.path or "")
        assert {name: (place / name).read_bytes() for name in contents} == contents
    assert fetched == [("a.txt", 0), ("a.txt", 4), ("a.txt", 8), ("deep/b.txt", 0)]


def test_what_a_node_made_is_noted_as_used_by_its_own_study(tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="Ray is not installed")
    from sweeper.launchers.ray.listener import Listener

    own, other = tmp_path / "own", tmp_path / "other"
    listener = Listener(own, (), 60.0)
    listener._take_in((Part("cache/text-1", (("", b"embeddings"),)),))
    listener.close()
    with noting_uses(other, and_before=True):  # as the next study of this process
        pass
    assert (tmp_path / "cache" / "text-1").read_bytes() == b"embeddings"
    assert uses_of(own) == {"text-1"} and "text-1" not in (uses_of(other) or ())


def test_three_studies_share_a_cluster(cluster: Cluster, small_config: Config, tmp_path: Path) -> None:
    from tests.sweeper.launchers.clusters import ScriptedRay

    third = replace(RAY, workers="auto", share=0.34)
    with ExitStack() as stack:
        launchers = []
        for number in range(3):
            launcher = ScriptedRay(in_folder(small_config, tmp_path / str(number), third), ())
            stack.callback(launcher.shut_down, 0.0)
            assert len(launcher.devices) == 1
            launcher.start(0)
            launchers.append(launcher)
        for launcher in launchers:  # all of them run at once
            while not any(isinstance(event, BaseLoaded) for _, event in launcher.wait(60.0)):
                pass
