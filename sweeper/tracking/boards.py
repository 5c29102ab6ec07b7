"""A `Tracker` for boards that show curves and pictures of runs, and keep neither artifacts nor a registry.

TensorBoard and Weights & Biases differ in how a run is opened and a point is added (`Board`, `BoardRun`); what is shown
of a study, and that nothing is shown twice, is here. A board's own files tell poorly what they hold, so a note beside
them says it: after a crash what was shown and not yet noted is shown once more.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any, Final, Protocol

from eval.evaluation import Evaluation, Validation
from foundation.errors import DataError
from foundation.files.documents import read_mapping
from foundation.files.durable import write_json
from sweeper.records.costs import Costs
from sweeper.tracking.metrics import of_evaluation, of_step, of_validation
from sweeper.tracking.names import images_by_key, run_name
from sweeper.tracking.port import Images, StudyEnd, TrialRecord
from train.reports import StepReport

_STUDY: Final = "study"
"""The name of the run that shows the study as a whole."""
_NOTE: Final = "shown.json"


class BoardRun(Protocol):
    """One run of a board."""

    def add_points(self, step: int, values: Mapping[str, float]) -> None:
        """Add a finite point at a training step to each curve."""

    def add_image(self, key: str, step: int, picture: Path) -> None:
        """Add a picture."""

    def set_values(self, values: Mapping[str, float]) -> None:
        """Set numbers of the run as a whole, in place of what they were."""

    def flush(self) -> None:
        """See to it that what was added outlives this process."""

    def close(self, status: str, reason: str) -> None:
        """End it: finished, pruned, failed, interrupted. One that is opened again goes on."""


class Board(Protocol):
    """Where runs are shown."""

    folder: Path
    """Of the study, for the note."""

    def open_run(self, key: str, name: str, params: Mapping[str, object], config: str) -> BoardRun:
        """Open the run `key`, or go on with it. People know it as `name`; `config` is YAML."""


class BoardTracker:
    """Shows a study on the board that `open_board(name, identity)` opens for it. Its errors come out."""

    num_lost = 0

    def __init__(self, open_board: Callable[[str, str], Board]) -> None:
        self._open_board = open_board
        self._board: Board | None = None
        self._runs: dict[str, BoardRun] = {}
        self._shown: dict[str, dict[str, Any]] = {}
        self._base: Mapping[str, Path] = {}

    def start_study(self, name: str, identity: str, params: Mapping[str, object], config: str) -> None:
        self._board = self._open_board(name, identity)
        try:
            stored = read_mapping(self._board.folder / _NOTE)
        except (OSError, DataError):
            stored = {}
        self._shown = {key: value for key, value in stored.items() if isinstance(value, dict)}
        self._run(_STUDY, name, params, config)

    def start_trial(
        self, number: int, params: Mapping[str, object], config: str, steps: Iterable[StepReport] = ()
    ) -> None:
        self._open(number, params, config)
        self._add_steps(number, steps)

    def show_base(self, images: Images) -> None:
        self._base = images_by_key(images)
        for key in [key for key in self._runs if key != _STUDY]:
            self._show_base(key)

    def log_steps(self, number: int, reports: Sequence[StepReport]) -> None:
        self._add_steps(number, reports)

    def log_evaluation(
        self,
        number: int,
        evaluation: Evaluation,
        images: Images,
        costs: Costs | None = None,
        chosen: Mapping[str, float] | None = None,
    ) -> None:
        self._add_evaluation(number, evaluation, images, costs)
        self._runs[str(number)].set_values(_of_chosen(chosen or {}))
        self._note()

    def log_validation(self, number: int, validation: Validation) -> None:
        if self._is_new(number, "validations", validation.step):
            self._runs[str(number)].add_points(validation.step, _finite(of_validation(validation)))

    def end_trial(self, trial: TrialRecord) -> None:
        key = str(trial.number)
        if self._notes_of(key).get("digest") == trial.digest:
            if key in self._runs:
                self._runs.pop(key).close(trial.status, trial.reason)
            return
        run = self._open(trial.number, trial.params, trial.config)
        self._add_steps(trial.number, trial.steps)
        for evaluation, images, costs in trial.evaluations:
            self._add_evaluation(trial.number, evaluation, images, costs)
        for validation in trial.validations:
            self.log_validation(trial.number, validation)
        run.set_values(_of_chosen(trial.chosen))
        run.close(trial.status, trial.reason)
        del self._runs[key]
        self._notes_of(key)["digest"] = trial.digest
        self._note()

    def log_study(self, values: Mapping[str, float]) -> None:
        self._runs[_STUDY].set_values(_finite(values))

    def register_champion(
        self,
        best_folder: Path,
        number: int,
        metrics: Mapping[str, float],
        fresh: Mapping[int, Mapping[str, float]],
        description: str,
        *,
        register: bool = True,
    ) -> str | None:
        run = self._runs[_STUDY]
        run.set_values(_finite({"best/trial": number, **{f"best/{name}": value for name, value in metrics.items()}}))
        for sheet in sorted(best_folder.glob("*.png")):
            run.add_image(f"best/{sheet.stem}", 0, sheet)
        return None

    def end_study(self, status: StudyEnd, reason: str = "") -> None:
        for run in self._runs.values():
            run.close(status, reason)
        self._runs.clear()
        self._note()

    def reconcile(self, running: AbstractSet[int]) -> None:
        """Runs of an earlier process are closed with it."""

    def close(self, timeout_s: float = 60.0, hurried: Callable[[], bool] = lambda: False) -> None:
        for run in self._runs.values():
            run.close("interrupted", "")
        self._runs.clear()
        if self._board is not None:
            self._note()

    def _open(self, number: int, params: Mapping[str, object], config: str) -> BoardRun:
        run = self._run(str(number), run_name(number, params), params, config)
        self._show_base(str(number))
        return run

    def _run(self, key: str, name: str, params: Mapping[str, object], config: str) -> BoardRun:
        assert self._board is not None
        if key not in self._runs:
            self._runs[key] = self._board.open_run(key, name, params, config)
        return self._runs[key]

    def _show_base(self, key: str) -> None:
        if self._base and self._is_new(key, "evaluations", 0):
            for name, picture in self._base.items():
                self._runs[key].add_image(name, 0, picture)

    def _add_steps(self, number: int, reports: Iterable[StepReport]) -> None:
        seen = self._notes_of(str(number))
        for report in reports:
            if report.failure is None and report.step > seen.get("step", 0):
                self._runs[str(number)].add_points(report.step, _finite(of_step(report)))
                seen["step"] = report.step

    def _add_evaluation(self, number: int, evaluation: Evaluation, images: Images, costs: Costs | None) -> None:
        if not self._is_new(number, "evaluations", evaluation.step):
            return
        run = self._runs[str(number)]
        run.add_points(evaluation.step, _finite(of_evaluation(evaluation, costs)))
        for name, picture in images_by_key(images).items():
            run.add_image(name, evaluation.step, picture)

    def _is_new(self, key: int | str, kind: str, step: int) -> bool:
        """Whether a run lacks what is known of a step; from here on it has it."""
        steps = self._notes_of(str(key)).setdefault(kind, [])
        if step in steps:
            return False
        steps.append(step)
        return True

    def _notes_of(self, key: str) -> dict[str, Any]:
        return self._shown.setdefault(key, {})

    def _note(self) -> None:
        assert self._board is not None
        for run in self._runs.values():
            run.flush()
        write_json(self._board.folder / _NOTE, self._shown)


def _of_chosen(chosen: Mapping[str, float]) -> dict[str, float]:
    return _finite({f"chosen/{name}": value for name, value in chosen.items()})


def _finite(values: Mapping[str, float]) -> dict[str, float]:
    return {name: float(value) for name, value in values.items() if math.isfinite(value)}
