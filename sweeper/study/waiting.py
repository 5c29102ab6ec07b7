"""Trials that wait for a slot, and which of them may have one."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection

from sweeper.records.trials import Trial
from sweeper.study.suspects import Suspects


class WaitingTrials:
    """In the order in which they came. Suspects among them wait for a worker of their own."""

    def __init__(self, suspects: Suspects) -> None:
        self._suspects = suspects
        self._trials: deque[Trial] = deque()

    def __len__(self) -> int:
        return len(self._trials)

    def add(self, trial: Trial) -> None:
        """Let a trial wait, behind all others."""
        trial.status = "waiting"
        self._trials.append(trial)

    @property
    def numbers(self) -> set[int]:
        """All that wait."""
        return {trial.number for trial in self._trials}

    @property
    def num_open(self) -> int:
        """Trials that may have any free slot."""
        return sum(trial.number not in self._suspects for trial in self._trials)

    def suspect_for(self, worker: int, workers: Collection[int]) -> Trial | None:
        """The first suspect that an empty worker may take, if any; `workers` are all there are."""
        suspects = (trial for trial in self._trials if trial.number in self._suspects)
        return next((each for each in suspects if self._suspects.may_take(worker, each.number, workers)), None)

    def take_suspect(self, worker: int, workers: Collection[int]) -> Trial | None:
        """As `suspect_for`; it waits no longer."""
        return self._take(self.suspect_for(worker, workers))

    def take(self, pack_keys: Collection[str]) -> Trial | None:
        """The first open one that can share its passes with trials of these keys, else the first; None without any."""
        waiting = [trial for trial in self._trials if trial.number not in self._suspects]
        return self._take(
            next((each for each in waiting if each.spec.pack_key in pack_keys), next(iter(waiting), None))
        )

    def _take(self, trial: Trial | None) -> Trial | None:
        if trial is not None:
            self._trials.remove(trial)
        return trial
