"""Which worker takes the next trials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sweeper.records.attempts import begin_attempt
from sweeper.records.messages import Admit
from sweeper.records.trials import Trial


def deal(count: int, loads: Mapping[int, int], slots: Mapping[int, int]) -> Sequence[int]:
    """Return which worker takes each of `count` trials: the least loaded one that has room, the first of equals.

    `loads` are the trials that each worker has, `slots` how many it can have. Where all are full, fewer are dealt.
    """
    loads, dealt = dict(loads), []
    for _ in range(count):
        free = [worker for worker, load in loads.items() if load < slots[worker]]
        if not free:
            break
        worker = min(free, key=lambda each: (loads[each], each))
        loads[worker] += 1
        dealt.append(worker)
    return dealt


def admission(trial: Trial) -> Admit:
    """What gives a trial to a worker: another attempt at it, which ends the right of all others to write there."""
    return Admit(trial=trial.number, spec=trial.spec, folder=trial.folder, attempt=begin_attempt(trial.folder))
