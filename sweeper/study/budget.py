"""When a study has had enough: trials, hours, GPU hours, or nothing new for long."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final

from eval.evaluation import value_of
from foundation.config.plain import number
from foundation.files.documents import read_mapping
from foundation.files.durable import write_text
from sweeper.records.history import costs_in_all
from sweeper.records.study_spec import StudySpec
from sweeper.records.trials import Trial

_FILE: Final = "hours.json"
_HOUR: Final = 3600.0


class Budget:
    """What a study may still spend.

    An hour that was spent stays spent when a study goes on, and so does what its trials took on their devices. `folder`
    is the study's, where the hours of earlier runs are kept; `clock` is in seconds.
    """

    def __init__(self, spec: StudySpec, folder: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._spec = spec
        self._file = folder / _FILE
        self._clock = clock
        self._since = clock()
        self._before = _hours_before(self._file)
        self._took: dict[int, float] = {}
        """Seconds by trial. The files of one that has ended are not read again: an evaluation costs the same after
        hundreds of trials."""
        self.spent: str | None = None
        """Why running trials end at their next evaluation; None while there is time."""
        self.enough: str | None = None
        """Why no trial is begun any more though `num_trials` are not there yet; None while there are to be more."""

    def num_left(self, trials: Mapping[int, Trial]) -> int:
        """Trials that are still to be begun."""
        return 0 if self.enough else max(0, self._spec.num_trials - len(trials))

    def update(self, trials: Mapping[int, Trial]) -> list[str]:
        """Take account of what was trained and judged since; a line the first time that it is enough."""
        spec, before = self._spec, self.enough
        if spec.hours is not None:
            hours = self._before + (self._clock() - self._since) / _HOUR
            write_text(self._file, f'{{"hours": {hours:.6f}}}\n')
            if hours >= spec.hours:
                self.spent = f"study.hours={spec.hours:g} have passed"
        if spec.gpu_hours is not None:
            took = sum(map(self._seconds, trials.values())) / _HOUR
            if took >= spec.gpu_hours:
                self.spent = f"study.gpu_hours={spec.gpu_hours:g} were spent"
        self.enough = self.spent or self.enough or self._without_gain(trials.values())
        return [f"no further trial begins: {self.enough}"] if self.enough and before is None else []

    def _seconds(self, trial: Trial) -> float:
        """What a trial took so far on its devices."""
        has_ended = trial.status in ("finished", "pruned", "failed")
        if has_ended and trial.number in self._took:
            return self._took[trial.number]
        costs = costs_in_all(trial.folder)
        self._took[trial.number] = costs.training.seconds + costs.judging.seconds
        return self._took[trial.number]

    def _without_gain(self, trials: Iterable[Trial]) -> str | None:
        """Whether the last trials brought nothing that is more than noise: one standard error of the best score."""
        if self._spec.patience is None:
            return None
        ended = [each for each in trials if each.status in ("finished", "pruned") and each.best is not None]
        sign = self._spec.sign
        top, error, since = -math.inf, 0.0, 0
        for trial in sorted(ended, key=lambda each: each.number):
            best = trial.best
            assert best is not None
            if trial.status == "finished" and sign * value_of(best) > top + error:
                top, error, since = sign * value_of(best), max(0.0, best.score_se), 0
            else:
                since += 1
        if since < self._spec.patience:
            return None
        return (
            f"the last {since} trials brought nothing better than {sign * top:.1f} ± {error:.1f} points "
            f"(study.patience={self._spec.patience})"
        )


def _hours_before(file: Path) -> float:
    try:
        return max(0.0, number(read_mapping(file)["hours"]))
    except (OSError, ValueError, KeyError, TypeError):
        return 0.0
