"""What docs/extending.md says: its examples, and a package that brings one of each."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from foundation.bases.folder import EMBEDDED
from foundation.config.compose import compose, options
from foundation.config.presets import search_presets
from foundation.errors import ConfigError
from sweeper.search.space import plan
from sweeper.study.run import run_study
from tests import acme_package
from tests.acme_package import examples, install_acme
from tests.sweeper.test_study import SMALL
from train.spec import OptimizerSpec

ROOT = Path(__file__).parents[1]


def test_the_preset_is_an_option(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "conf/optimizer/gentle.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(examples()["conf/optimizer/gentle.yaml"])
    monkeypatch.chdir(tmp_path)
    search_presets([])
    optimizer = compose(["optimizer=gentle", "base=sd15"])["optimizer"]
    assert (optimizer["name"], optimizer["lr"]) == ("adamw", 3e-5)
    assert optimizer["space"] == {"lr": "tag(log, interval(1e-05, 0.0001))"}


@pytest.fixture
def acme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of a package that is installed, not imported before or after."""
    site = install_acme(tmp_path / "site", wrong=True)
    monkeypatch.syspath_prepend(site)
    monkeypatch.chdir(tmp_path)
    yield site
    for name in [name for name in sys.modules if name.partition(".")[0] == acme_package.NAME]:
        del sys.modules[name]


def problem(*overrides: str) -> str:
    with pytest.raises(ConfigError) as caught:
        plan([*overrides, "+experiment=pencil"])
    (line,) = set(caught.value.problems)
    return line


def test_a_packages_options_and_names_stand_beside_ours(acme: Path) -> None:
    assert "signs" in options("optimizer") and "noted" in options("launcher") and "lines" in options("tracking")
    config = plan(["optimizer=signs", "launcher=noted", "tracking=lines", "base=etch"]).config
    assert (config.optimizer.name, config.launcher.name, config.tracking.name) == ("signs", "noted", "lines")
    assert (config.base.family, config.base.lr_factor) == ("etch", 1.0)
    assert config.optimizer.kind.class_name == "Signs"
    assert problem("optimizer=adamw", "optimizer.name=sings").endswith("got 'sings'; did you mean signs?")


def test_a_built_in_name_stays_ours(acme: Path) -> None:
    assert OptimizerSpec(name="adamw").kind.class_name == "AdamW"


@pytest.mark.parametrize(
    ("overrides", "group"),
    [
        (["optimizer=signs", "optimizer.name=broken"], "sweeper.optimizers"),
        (["launcher.name=broken"], "sweeper.launchers"),
        (["tracking.name=broken"], "sweeper.trackers"),
        (["base.family=broken"], "sweeper.families"),
    ],
)
def test_a_broken_entry_point_is_one_line_with_its_package(
    overrides: list[str], group: str, acme: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError) as caught:
        run_study(["+experiment=pencil", f"study.folder={tmp_path / 'runs'}", *overrides])
    (line,) = caught.value.problems
    assert line.removeprefix("optimizer: ").removeprefix("base: ") == (
        f"the package acme-wrong (its entry point broken of {group}) cannot be loaded: "
        "ModuleNotFoundError: No module named 'acme_is_not_there'"
    )
    assert not (tmp_path / "runs").exists()
    assert plan(["optimizer=lion"]).config.optimizer.name == "lion"  # nobody else is bothered


def test_a_thing_of_another_kind_is_one_line_too(acme: Path) -> None:
    line = problem("optimizer=signs", "optimizer.name=odd")
    assert line.endswith(
        "must be a train.spec.optimizer_kinds.OptimizerKind, got acme_sweeper.optimizers:Signs, a type"
    )


def etched(folder: Path) -> Path:
    """The embedded base as one of the package's family."""
    for file in EMBEDDED["pocket"].rglob("*"):
        copy = folder / file.relative_to(EMBEDDED["pocket"])
        if file.is_file():
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.symlink_to(file)
    index = folder / "model_index.json"
    known = json.loads(index.read_text())
    index.unlink()
    index.write_text(json.dumps({**known, "_class_name": "EtchPipeline"}))
    return folder


def test_a_study_uses_each_of_them(acme: Path, tmp_path: Path) -> None:
    folder, note = tmp_path / "runs", tmp_path / "note"
    overrides = [
        *("base=etch", f"base.path={etched(tmp_path / 'etch')}", "base.resolution=64", "base.lr_factor=10"),
        *("optimizer=signs", "launcher=noted", "tracking=lines", f"+launcher.settings.note={note}"),
        *("study.name=acme", "study.num_trials=1", "train.steps=2", "eval.every=2", f"study.folder={folder}"),
    ]
    done = subprocess.run(
        [sys.executable, "-m", "sweeper", *SMALL, *overrides],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(acme), str(ROOT)]), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert set(note.read_text().splitlines()) == {"worker 0"}
    trial = yaml.safe_load(next(folder.glob("acme/trials/*/config.yaml")).read_text())
    assert (trial["optimizer"]["name"], trial["base"]["family"]) == ("signs", "etch")
    seen = [json.loads(line) for line in (folder / "lines.jsonl").read_text().splitlines()]
    assert [name for name, _ in seen if name in ("start_study", "end_trial", "register_champion", "end_study")] == [
        *("start_study", "end_trial", "register_champion", "end_study")
    ]
    assert ["start_trial", 0] in seen and ["log_evaluation", 0] in seen
    assert not (folder / "mlflow.db").exists()
    again = yaml.safe_load((folder / "acme" / "study.yaml").read_text())
    assert again["config"]["optimizer"]["lr"] == trial["optimizer"]["lr"]
