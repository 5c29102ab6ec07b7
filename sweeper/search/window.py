"""Which of very many trials a sampler looks at, so that the next proposal does not take longer and longer.

Optuna's TPE models two sets: the best trials, of which it takes 25 at most, and all others. Of a window the best are
the same as of all trials, and the others stand for theirs: every so many-th by number, from the first to the last. That
estimates the same density from fewer trials, while the latest alone would tell of where the search is by now.
Running trials are all there, since the sampler keeps away from them.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from typing import Final

from optuna.storages import InMemoryStorage
from optuna.trial import FrozenTrial, TrialState

from eval.metrics.registry import Direction

SIZES: Final[Mapping[str, int]] = {"tpe": 500, "gp": 200, "random": 0}
"""Trials that have ended and that a sampler looks at, at most: what takes about 50 ms (docs/benchmarks.md). One that is
not here looks at all of them."""
_GOING: Final = (TrialState.RUNNING, TrialState.WAITING)
_BEST: Final = 50
"""Of these the best: more than TPE takes for good."""


class ShownTrials(InMemoryStorage):
    """A storage in memory that shows a sampler trials as they are. Optuna's own copies each deeply, in some 1 ms."""

    def show(self, study_id: int, trials: Iterable[FrozenTrial]) -> None:
        """Add trials to a study, numbered in their order; what they hold is shared, and nobody writes to it."""
        there = self._studies[study_id].trials
        for trial in trials:
            shown = copy(trial)
            self._max_trial_id += 1
            shown.number, shown._trial_id = len(there), self._max_trial_id
            self._trial_id_to_study_id_and_number[shown._trial_id] = (study_id, shown.number)
            there.append(shown)


def window_of(trials: Sequence[FrozenTrial], sampler: str, directions: Sequence[Direction]) -> list[FrozenTrial]:
    """Those of a study's `trials`, in their order, that a sampler looks at: all of them where they are few."""
    size = SIZES.get(sampler)
    if size is None or len(trials) <= size:
        return list(trials)
    going = [trial for trial in trials if trial.state in _GOING]
    ended = [trial for trial in trials if trial.state not in _GOING]
    if not size or len(ended) <= size:
        return list(trials) if size else []
    best = {number for place, way in enumerate(directions) for number in _best_of(ended, place, way)}
    others = [trial.number for trial in ended if trial.number not in best]
    room = size - len(best)
    looked_at = best | {others[place * len(others) // room] for place in range(room)}
    shown = [*going, *(trial for trial in ended if trial.number in looked_at)]
    return sorted(shown, key=lambda trial: trial.number)


def _best_of(ended: Sequence[FrozenTrial], place: int, direction: Direction) -> list[int]:
    """The numbers of the best finished trials by one of the objectives."""
    sign = -1 if direction == "maximize" else 1
    finished = ((sign * trial.values[place], trial.number) for trial in ended if trial.state == TrialState.COMPLETE)
    return [number for _, number in heapq.nsmallest(_BEST, finished)]
