"""Which trial ends its workers: found by letting those that may have done it train alone, one after another.

A death counts against a trial only where nothing else can have been the cause: the trial was alone on its worker, and
came no further than it was before. Who gets further is cleared, however often its workers die.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Final

MAX_ATTEMPTS: Final = 3
"""A trial whose worker dies so often in a row, with it alone and no further, fails."""
_TRIALS_THAT_TELL: Final = 2
"""So many trials that died alone on a device, and nobody who got further between them: it is the device."""


@dataclass(slots=True)
class _Record:
    """What is known of a trial."""

    got_further: bool = False
    """In this attempt, past its last saved state."""
    resumed_at: int = 0
    """Step of its last saved state."""
    suspect: bool = False
    died_alone_on: list[int] = field(default_factory=list)
    """Workers, since it last got further."""


class Suspects:
    """Deaths of workers by trial. Trials and workers go by number; no disk, no clock."""

    def __init__(self) -> None:
        self._records: dict[int, _Record] = defaultdict(_Record)
        self._died_there: dict[int, set[int]] = defaultdict(set)
        """For each worker the trials that died alone on it since anyone there got further."""

    def __contains__(self, trial: int) -> bool:
        """Whether the trial may have ended a worker: it is to train alone until it gets further."""
        return self._records[trial].suspect

    def start(self, trial: int) -> None:
        """A trial gets a slot: an attempt begins."""
        self._records[trial].got_further = False

    def resume(self, trial: int, step: int) -> None:
        """The attempt goes on from the state that was saved at this step."""
        self._records[trial].resumed_at = step

    def get_further(self, trial: int, worker: int, step: int) -> bool:
        """The trial's state is saved at this step; whether that clears it of a suspicion.

        It tells of the device, too: it ends not everyone.
        """
        record = self._records[trial]
        if step <= record.resumed_at:
            return False
        self._records[trial] = _Record(got_further=True, resumed_at=step)
        self._died_there[worker].clear()
        return record.suspect

    def note_death(self, worker: int, trials: Collection[int]) -> None:
        """A worker died with these trials on it."""
        stuck = [trial for trial in trials if not self._records[trial].got_further]
        for trial in stuck:
            self._records[trial].suspect = True
            if len(trials) == 1:
                self._records[trial].died_alone_on.append(worker)
                self._died_there[worker].add(trial)

    def deaths(self, trial: int) -> Sequence[int]:
        """Workers that died with it alone, since it last got further."""
        return self._records[trial].died_alone_on

    def is_guilty(self, trial: int) -> bool:
        """Whether the trial is what ends its workers."""
        return len(self.deaths(trial)) >= MAX_ATTEMPTS

    def is_at_fault(self, worker: int) -> bool:
        """Whether the worker's device is what ends trials, rather than these, of which none died elsewhere."""
        alone = [trial for trial in self._died_there[worker] if set(self.deaths(trial)) == {worker}]
        return len(alone) >= _TRIALS_THAT_TELL

    def may_take(self, worker: int, trial: int, workers: Collection[int]) -> bool:
        """Whether an empty worker may take a suspect: one that died there alone is tried elsewhere, if there is any."""
        been = set(self.deaths(trial))
        return worker not in been or been >= set(workers)
