"""How many trials a device trains best at once: measured, since it hangs on the base, the batch and the machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

import torch

from foundation.bases.port import Base
from foundation.devices import forget_peak, free_unused, peak_share
from train.caches import Encoded, EncodedDataset
from train.pack import Pack
from train.reports import Capacity
from train.spec import TrialSpec

WORTHWHILE: Final = 1.1
"""More slots must bring this much more throughput."""
_IN_A_ROW: Final = 2
"""Counts that must not pay before no more are tried: one may be unlucky, or lie in a dip."""
MEMORY_LIMIT: Final = 0.9
"""Share of a GPU's memory that may be in use."""
_TIMED_PASSES: Final = 4
"""The fastest counts: what else the machine does only slows a pass down."""


def measure_capacity(
    base: Base, data: EncodedDataset, spec: TrialSpec, most: int, clock: Callable[[], float] = time.perf_counter
) -> list[Capacity]:
    """Train copies of a trial for a few steps at 1, 2, 4 … slots, as long as it pays; see `best_count`.

    It ends when two counts in a row brought less than `WORTHWHILE` (after one that did not, the next may), and before
    one that passes `MEMORY_LIMIT` or runs out of memory. Nothing is left in the base.
    """
    curve: list[Capacity] = []
    for count in _counts(most):
        measured = _measure(base, data, spec, count, clock)
        if measured and curve and not _pays(measured, _best(curve)):  # once more: the machine may have been busy
            again = _measure(base, data, spec, count, clock)
            measured = again if again and again.steps_per_second > measured.steps_per_second else measured
        if measured is None or (measured.memory or 0) > MEMORY_LIMIT:
            break
        curve.append(measured)
        if _best(curve) not in curve[-_IN_A_ROW:]:
            break
    return curve


def best_count(curve: Sequence[Capacity]) -> int:
    """The number of slots to take: the last that paid; 1 for an empty curve."""
    return _best(curve).slots if curve else 1


def _best(curve: Sequence[Capacity]) -> Capacity:
    best = curve[0]
    for more in curve[1:]:
        best = more if _pays(more, best) else best
    return best


def _pays(more: Capacity, fewer: Capacity) -> bool:
    return more.steps_per_second >= WORTHWHILE * fewer.steps_per_second


def _counts(most: int) -> list[int]:
    counts = [1]
    while counts[-1] * 2 <= most:
        counts.append(counts[-1] * 2)
    return counts if counts[-1] == most else [*counts, most]


def _measure(
    base: Base, data: EncodedDataset, spec: TrialSpec, count: int, clock: Callable[[], float]
) -> Capacity | None:
    """None when it does not fit."""
    train = spec.train
    pack = Pack(
        base,
        _in_full_batches(data, train.batch_size),
        count,
        train.precision,
        train.activation_checkpointing,
        spec.lasting,
    )
    forget_peak(base.device)
    slots = []
    try:
        lasting = replace(spec, train=replace(train, steps=max(train.num_steps, 2 + _TIMED_PASSES)))  # to the last pass
        for _ in range(count):  # of one seed, so that all are at one shape, as trials of a study mostly are
            slots.append(pack.admit(lasting))
        seconds = [_time_steps(pack, clock) for _ in range(1 + _TIMED_PASSES)][1:]  # the first one warms up
        if pack.at_once < count:
            return None
        return Capacity(slots=count, steps_per_second=count / min(seconds), memory=peak_share(base.device))
    except torch.OutOfMemoryError:
        return None
    finally:
        for slot in slots:
            pack.release(slot)
        del pack  # and what it recorded
        free_unused(base.device)


def _in_full_batches(data: EncodedDataset, batch_size: int) -> EncodedDataset:
    """The same pictures, repeated so that no batch is smaller, which would take less time."""

    def repeat(part: Encoded) -> Encoded:
        return replace(part, repeats=(batch_size,) * len(part))

    others = tuple((repeat(own), others) for own, others in data.other_shapes)
    return replace(data, train=repeat(data.train), other_shapes=others)


def _time_steps(pack: Pack, clock: Callable[[], float]) -> float:
    began = clock()
    pack.step()
    return clock() - began
