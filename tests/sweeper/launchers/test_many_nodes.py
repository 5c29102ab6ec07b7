"""Nodes that see no folder of the supervisor's, and vanish in the midst of things: the study is as on one machine."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections import Counter, deque
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import load_file

from foundation.adapters.files import WEIGHTS_FILE
from sweeper.launchers.local import LocalLauncher
from sweeper.launchers.port import Launcher
from sweeper.launchers.spec import LauncherSpec
from sweeper.records.attempts import begin_attempt
from sweeper.records.config import Config
from sweeper.records.messages import (
    Admit,
    Admitted,
    Died,
    Evaluated,
    Event,
    Finished,
    Ready,
    Rescore,
    Saved,
    Verdict,
    WorkerCommand,
)
from sweeper.records.paths import checkpoint_of, trial_of
from sweeper.search.space import plan
from sweeper.study import run
from tests.faults.kills import NAME, STUDIES
from tests.faults.outcome import Outcome, differences, outcome_of
from tests.sweeper.launchers import far_nodes, simulated
from tests.sweeper.test_study import SMALL

if TYPE_CHECKING:
    from ray.cluster_utils import Cluster

_WHY_NOT = far_nodes.why_not() or (
    "" if "SWEEPER_SERVERS" in os.environ else "takes minutes and a quiet machine: make test-servers"
)
pytestmark = pytest.mark.skipif(bool(_WHY_NOT), reason=_WHY_NOT)
PATIENCE_S = 240.0
OF_THE_LAUNCHER = ("config.yaml", "study.yaml", "finished.json", "checksums.sha256", f"{NAME}.safetensors")
"""Files that tell which launcher it was, or hold those that do, or whose header is in an order of chance."""
FAR = ["launcher=ray", "launcher.gpus_per_worker=0", "launcher.cpus_per_worker=1"]


@pytest.fixture
def studies(tmp_path: Path) -> Path:
    folder = tmp_path / "studies"
    folder.mkdir()
    return folder


@pytest.fixture
def node_folder(studies: Path) -> Path:
    """On each node's own disk."""
    return studies / "node"


class Ears:
    """Hears a launcher's workers; nothing that one says is lost while another is listened to."""

    def __init__(self, launcher: Launcher) -> None:
        self.launcher = launcher
        self._heard: dict[int, deque[Event]] = {0: deque(), 1: deque()}

    def until(self, worker: int, kind: type[Event]) -> Any:
        """The next event of that kind from a worker, which nothing ends before."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            while self._heard[worker]:
                event = self._heard[worker].popleft()
                if isinstance(event, kind):
                    return event
                assert not isinstance(event, Died), event
            for number, event in self.launcher.wait(1.0):
                self._heard[number].append(event)
        raise AssertionError(f"no {kind.__name__} came")

    def judged(self, worker: int, *, go_on: bool) -> int:
        """The step of its next evaluation, which is answered."""
        found: Evaluated = self.until(worker, Evaluated)
        self.launcher.send(worker, Verdict(trial=0, go_on=go_on))
        return found.evaluation.step


def admit(launcher: Launcher, worker: int, config: Config) -> Path:
    folder = trial_of(Path(config.study.folder) / config.study.name, 0)
    launcher.send(worker, Admit(trial=0, spec=config.trial, folder=folder, attempt=begin_attempt(folder)))
    return folder


def test_a_trial_that_moved_to_another_node_is_the_one_that_stayed(
    cluster: Cluster, studies: Path, node_folder: Path
) -> None:
    """Real training. The first node vanishes after an evaluation; neither sees a file of the supervisor's."""
    from sweeper.launchers.ray.launcher import RayLauncher

    asked = plan([*SMALL, "train.steps=4", "eval.every=2", "study.slots=1", "study.name=a", f"study.folder={studies}"])
    config, _ = run.prepare(asked)
    here = LauncherSpec(devices=("cpu",), threads=1)
    local = replace(config, study=replace(config.study, name="stays"), launcher=here)
    (studies / "stays").mkdir()
    stays = LocalLauncher(local, asked.objectives)
    ears = Ears(stays)
    stays.start(0)
    ears.until(0, Ready)
    stayed = admit(stays, 0, local)
    assert [ears.judged(0, go_on=go_on) for go_on in (True, False)] == [2, 4]
    ears.until(0, Finished)
    stays.shut_down(5.0)
    spec = LauncherSpec(
        name="ray",
        workers=2,
        gpus_per_worker=0,
        cpus_per_worker=1,  # and so one thread, as the one that stays
        resources={"far": 1.0},
        node_folder=str(node_folder),
        lease_s=60.0,
    )
    with ExitStack() as stack:
        nodes = [stack.enter_context(far_nodes.far_node(cluster, studies)) for _ in range(2)]
        moves = RayLauncher(replace(config, launcher=spec), asked.objectives)
        stack.callback(moves.shut_down, 0.0)
        ears = Ears(moves)
        moves.start(0)
        ears.until(0, Ready)
        moves.start(1)
        moved = admit(moves, 0, config)
        ears.until(0, Evaluated)
        node = moves._links[0].node
        (first,) = [each for each in nodes if node in far_nodes.ids_below(each.pid)]
        far_nodes.end(first)
        assert not ears.until(0, Died).by_itself
        ears.until(1, Ready)
        admit(moves, 1, config)
        assert ears.until(1, Admitted).step == 2
        assert [ears.judged(1, go_on=go_on) for go_on in (True, False)] == [2, 4]
        ears.until(1, Finished)
    assert not list(studies.rglob("*.partial"))
    for step in (2, 4):
        ours, theirs = (load_file(checkpoint_of(each, step) / WEIGHTS_FILE) for each in (stayed, moved))
        assert ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert (stayed / "evaluations.jsonl").read_text() == (moved / "evaluations.jsonl").read_text()


def comparable(outcome: Outcome) -> Outcome:
    """Without the content of what hangs on the launcher, and without locks, which a node has in its own cache."""
    kept = {path: content for path, content in outcome.files.items() if not path.endswith(".lock")}
    return replace(
        outcome,
        files={path: "" if path.endswith(OF_THE_LAUNCHER) else content for path, content in kept.items()},
        shown={name: replace(run, artifacts=_comparable(run.artifacts)) for name, run in outcome.shown.items()},
    )


def _comparable(artifacts: Counter[tuple[str, str]]) -> Counter[tuple[str, str]]:
    found: Counter[tuple[str, str]] = Counter()
    for (path, content), count in artifacts.items():
        found[path, "" if path.endswith(OF_THE_LAUNCHER) else content] += count
    return found


def test_a_study_whose_nodes_vanish_comes_to_the_same(
    cluster: Cluster, studies: Path, node_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One goes as an evaluation is heard, one as it has a finalist to judge."""
    from sweeper.launchers.ray.launcher import RayLauncher

    monkeypatch.setattr(RayLauncher, "work", simulated.WORK)
    asked = [*STUDIES["side by side"], "study.slots=1", f"study.folder={studies}"]
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as elsewhere:  # databases are remembered by path
        undisturbed = elsewhere.submit(simulated.run_here, [*asked, "launcher.devices=[cpu]"], studies, NAME).result()
    studies.rename(studies.with_name("undisturbed"))
    studies.mkdir()
    with ExitStack() as stack:
        nodes = [stack.enter_context(far_nodes.far_node(cluster, studies)) for _ in range(3)]
        ended: list[str] = []

        def end_node_of(launcher: RayLauncher, worker: int, what: str) -> None:
            if what not in ended:
                ended.append(what)
                node = launcher._links[worker].node
                far_nodes.end(next(each for each in nodes if node in far_nodes.ids_below(each.pid)))

        class Disturbed(RayLauncher):
            def wait(self, timeout_s: float) -> list[tuple[int, Event]]:
                events = super().wait(timeout_s)
                for number, event in events:
                    if isinstance(event, Evaluated) and event.trial == 1:
                        end_node_of(self, number, "evaluated")
                return events

            def send(self, worker: int, command: WorkerCommand) -> None:
                super().send(worker, command)
                if isinstance(command, Rescore):
                    end_node_of(self, worker, "finale")

        monkeypatch.setattr(run, "LAUNCHERS", {"ray": Disturbed})
        rest = ["+launcher.resources.far=1", f"launcher.node_folder={node_folder}", "launcher.workers=3"]
        assert run.run_study([*asked, *FAR, *rest]) == 0
        assert ended == ["evaluated", "finale"]
    assert differences(comparable(undisturbed), comparable(outcome_of(studies, NAME))) == []


def test_a_worker_that_is_told_that_its_machine_goes_saves_first(
    cluster: Cluster, studies: Path, node_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sweeper.launchers.ray.launcher import RayLauncher

    monkeypatch.setattr(RayLauncher, "work", simulated.WORK)
    asked = plan(
        [
            *STUDIES["in turn"],
            "train.steps=1000000",
            "eval.every=1000000",
            "eval.validate_every=null",
            f"study.folder={studies}",
        ]
    )
    spec = LauncherSpec(
        name="ray",
        workers=1,
        gpus_per_worker=0,
        cpus_per_worker=1,
        resources={"far": 1.0},
        node_folder=str(node_folder),
        save_every_s=0.5,
    )
    config = replace(asked.config, launcher=spec)
    with far_nodes.far_node(cluster, studies) as node:
        launcher = RayLauncher(config, asked.objectives)
        ears = Ears(launcher)
        launcher.start(0)
        ears.until(0, Ready)
        folder = admit(launcher, 0, config)
        first = ears.until(0, Saved)
        assert (folder / "state" / "state.safetensors").exists()
        (actor,) = far_nodes.actors_below(node.pid)
        os.kill(actor, signal.SIGTERM)
        death = ears.until(0, Died)
        assert not death.by_itself and "its trials saved" in death.reason
        assert simulated.step_of(folder / "state") > first.step
        launcher.shut_down(1.0)
