"""What an earlier run of a study left: trials that had ended, that were at work, and that paused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from sweeper.records import history
from sweeper.records.trials import Trial
from sweeper.search.dimension import Params
from sweeper.search.port import EndedTrial, TrialSource
from sweeper.study.extending import as_long_as
from sweeper.study.lost import lost_evaluations


@dataclass(slots=True)
class Left:
    """By what became of them, in order of number."""

    past: list[EndedTrial]
    """All that had ended, as the search knows them."""
    ended: list[Trial] = field(default_factory=list)
    """Those of them whose folders have what they were judged by."""
    lost: dict[int, str] = field(default_factory=dict)
    """Of the others by number, what is gone."""
    begun: list[Trial] = field(default_factory=list)
    """Those that go on."""
    paused: list[tuple[Trial, str]] = field(default_factory=list)
    """Those that wait though a slot may be free, and why."""


def what_was_left(search: TrialSource, adopt: Callable[[int, Params], Trial]) -> Left:
    """Take stock of a study's trials, which `adopt` makes of their numbers and parameters; nothing is written."""
    left = Left(search.ended_trials())
    for past in left.past:
        trial = adopt(past.number, past.params)
        trial.take_up(past.status, past.reason, history.read_evaluations(trial.folder))
        trial.spec = as_long_as(trial.spec, max(past.reported, default=0))
        if problem := lost_evaluations(past, trial.evaluations):
            left.lost[past.number] = problem
        else:
            left.ended.append(trial)
    for begun in search.running():
        trial = adopt(begun.number, begun.params)
        evaluations = history.read_evaluations(trial.folder)
        trial.spec = as_long_as(trial.spec, evaluations[-1].step if evaluations else 0)
        if begun.paused and evaluations:
            trial.resume(evaluations[-1].step, evaluations, history.StepFile(trial.folder))
            left.paused.append((trial, begun.paused))
        else:
            left.begun.append(trial)
    return left
