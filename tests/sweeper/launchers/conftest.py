"""A launcher of each kind, over workers that do what they are told."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sweeper.launchers.local import LocalLauncher
from sweeper.launchers.port import Launcher
from sweeper.launchers.spec import LauncherSpec
from sweeper.records.config import Config
from sweeper.search.space import plan
from tests.sweeper.launchers.in_memory import InMemoryLauncher
from tests.sweeper.launchers.scripted import WORK

if TYPE_CHECKING:
    from ray.cluster_utils import Cluster

ROOT = Path(__file__).parents[3]
RAY = LauncherSpec(name="ray", workers=2, cpus_per_worker=1, gpus_per_worker=0, lease_s=120.0, threads=3)


class ScriptedLocal(LocalLauncher):
    work = WORK


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A Ray of one node with three cores, to which tests may add others; it ends with the session."""
    pytest.importorskip("ray", reason="launcher=ray is tested where Ray is installed: pip install 'sweeper[ray]'")
    from tests.sweeper.launchers.clusters import start_cluster

    os.environ["PYTHONPATH"] = str(ROOT)
    cluster = start_cluster()
    yield cluster
    import ray

    ray.shutdown()
    cluster.shutdown()


@pytest.fixture(scope="session")
def small_config() -> Config:
    return plan(["+experiment=pencil", "study.name=scripted"]).config


def in_folder(config: Config, folder: Path, launcher: LauncherSpec) -> Config:
    """The config of a study there."""
    return replace(config, study=replace(config.study, folder=str(folder)), launcher=launcher)


@pytest.fixture(params=["in memory", "local", "ray"])
def launcher(request: pytest.FixtureRequest, small_config: Config, tmp_path: Path) -> Iterator[Launcher]:
    """One of two workers, none of them started."""
    (tmp_path / "scripted").mkdir()
    spec = LauncherSpec(devices=("cpu", "cpu"), threads=RAY.threads)
    made: Launcher
    if request.param == "ray":
        request.getfixturevalue("cluster")
        from tests.sweeper.launchers.clusters import ScriptedRay

        made = ScriptedRay(in_folder(small_config, tmp_path, RAY), ())
    else:
        kind = InMemoryLauncher if request.param == "in memory" else ScriptedLocal
        made = kind(in_folder(small_config, tmp_path, spec), ())
    yield made
    made.shut_down(0.0)
