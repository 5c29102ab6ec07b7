"""Short trainings side by side of which only the validation loss is wanted: by these learning rates are probed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from eval.metrics.losses import image_means
from sweeper.records.messages import Probe, Probed
from sweeper.worker.judging import Judging
from train.pack import Pack
from train.spec import TrialSpec

Losses = tuple[float, ...]
"""(N,) validation losses by held-out picture; none of a training that could not go on."""


def answer(pack: Pack, judging: Judging, question: Probe, working: Callable[[], None] = lambda: None) -> Probed:
    """Train what the question names to its end in the free slots of `pack`, and have `judging` take the losses.

    `working` is called after each pass. Nothing is saved, and the slots are free again afterwards.
    """
    found: list[Losses] = []
    room = len(pack.free)
    for first in range(0, len(question.specs), room):
        found += _side_by_side(pack, judging, question.specs[first : first + room], working)
    return Probed(losses=tuple(found), base=judging.losses_of_base())


def _side_by_side(
    pack: Pack, judging: Judging, specs: Sequence[TrialSpec], working: Callable[[], None]
) -> list[Losses]:
    slots = [pack.admit(spec) for spec in specs]
    failed: set[int] = set()
    while any(not pack.is_finished(slot) for slot in slots if slot not in failed):
        failed |= {report.slot for report in pack.step() if report.failure is not None}
        working()
    sound = [slot for slot in slots if not pack.has_failed(slot)]
    losses = dict(zip(sound, judging.validate(sound) if sound else (), strict=True))
    found: list[Losses] = []
    for slot in slots:
        own = image_means(losses[slot]) if slot in losses else torch.zeros(0)
        found.append(tuple(own.tolist()) if bool(torch.isfinite(own).all()) else ())
        pack.release(slot)
    return found
