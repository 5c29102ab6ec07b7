"""A worker whose base, pack and judge are arithmetic, as in `tests.faults`; its loop and its files are real."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import sweeper.worker.worker as worker
import sweeper.worker.worker_main as serving
from sweeper.launchers.local import LocalLauncher
from sweeper.study.run import run_study
from tests.faults import simulated_study
from tests.faults.outcome import Outcome, outcome_of
from tests.sweeper import fake_supervisor
from train.reports import StepReport

WORK = f"{__name__}:run"
SLOW = f"{__name__}:run_slowly"
_STEP_S: Final = 0.05


def run(*arguments: Any) -> None:
    """A worker's whole life."""
    worker.Pack, worker.Judging = simulated_study.Pack, simulated_study.Judging  # type: ignore[misc,assignment]
    worker.Meter, serving.load = fake_supervisor.Meter, simulated_study._load  # type: ignore[misc,assignment]
    serving.run_worker(*arguments)


def run_slowly(*arguments: Any) -> None:
    """The same, with steps that take long enough to be struck."""

    class SlowPack(simulated_study.Pack):
        def step(self) -> list[StepReport]:
            time.sleep(_STEP_S)
            return super().step()

    simulated_study.Pack = SlowPack  # type: ignore[misc]
    run(*arguments)


def step_of(state: Path) -> int:
    """The step that a saved state stands at."""
    return simulated_study._step_of(state)


def run_here(overrides: Sequence[str], folder: Path, name: str) -> Outcome:
    """Run a simulated study with workers of this machine; what it came to."""
    LocalLauncher.work = WORK  # type: ignore[misc]
    code = run_study(overrides)
    assert code == 0, code
    return outcome_of(folder, name)
