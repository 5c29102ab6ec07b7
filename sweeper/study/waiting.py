"""Trials that wait for a slot, and which of them may have one."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable

from sweeper.records.config import Config
from sweeper.records.trials import Trial
from sweeper.search.port import TrialSource
from sweeper.study.pausing import PausedTrials
from sweeper.study.resuming import Left
from sweeper.study.suspects import Suspects


class WaitingTrials:
    """In the order in which they came. Suspects among them wait for a worker of their own, paused ones for some hope.

    They are of the study with this `config`; its `search` keeps who is paused.
    """

    def __init__(self, config: Config, suspects: Suspects, search: TrialSource) -> None:
        self._suspects = suspects
        self._search = search
        self._trials: deque[Trial] = deque()
        self._paused = PausedTrials(config)

    def __len__(self) -> int:
        return len(self._trials) + len(self._paused)

    def take_up(self, left: Left) -> None:
        """Let those wait that an earlier run left."""
        for trial in left.begun:
            self.add(trial)
        for trial, reason in left.paused:
            self.pause(trial, reason)

    def add(self, trial: Trial) -> None:
        """Let a trial wait, behind all others."""
        trial.status = "waiting"
        self._trials.append(trial)

    @property
    def numbers(self) -> set[int]:
        """All that wait."""
        return {trial.number for trial in self._trials} | self._paused.numbers

    @property
    def num_unpaused(self) -> int:
        """Those that wait for nothing but a slot."""
        return len(self._trials)

    def pause(self, trial: Trial, reason: str) -> None:
        """Let a trial wait until it is hopeless no more; `reason` is why it is."""
        self._search.pause(trial.number, reason)
        self._paused.add(trial, reason)

    def thaw(self, free: int, trials: Iterable[Trial]) -> None:
        """Let paused trials wait for a slot as others do where some of the `free` ones are left for them.

        Only those that are hopeless no more beside all the `trials` of the study.
        """
        room = free - len(self._trials)
        for trial in self._paused.thaw(room, trials) if room > 0 and len(self._paused) else []:
            self._search.pause(trial.number, "")
            self.add(trial)

    def take_paused(self) -> list[tuple[Trial, str]]:
        """All paused trials, in order of number, and why each was; they wait no longer."""
        return self._paused.take_all()

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

    def makes_room(self, trial: int, worker: int, step: int, workers: Collection[int]) -> bool:
        """Whether a trial, now that its state is saved at this step, is no suspect any more and leaves its slot to one.

        It trains on `worker`, one of these `workers`.
        """
        cleared = self._suspects.get_further(trial, worker, step)
        return cleared and self.suspect_for(worker, workers) is not None

    def _take(self, trial: Trial | None) -> Trial | None:
        if trial is not None:
            self._trials.remove(trial)
        return trial
