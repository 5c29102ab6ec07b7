"""A trial's steps as curves of a length that a page can draw for two hundred trials at once."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Final

from eval.evaluation import Evaluation, Validation
from sweeper.page.view import Point
from train.reports import StepReport

MOST: Final = 80
"""Points of a curve: more than a chart of a third of a screen has pixels between them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StepCurves:
    """What the steps of a trial come to."""

    losses: Sequence[Point] = ()
    rates: Sequence[Point] = ()
    step: int = 0
    loss: float = math.nan
    slot: int | None = None
    peak_rate: float = math.nan
    """The highest learning rate of any step."""


def step_curves(steps: Iterable[StepReport]) -> StepCurves:
    """Return the curves of a trial's steps: the loss is the mean, the rate the last, of as many steps as make `MOST`
    points at most; each point is at the last of its steps.
    """
    reports = sorted((each for each in steps), key=lambda each: each.step)
    if not reports:
        return StepCurves()
    size = math.ceil(len(reports) / MOST)
    groups = [reports[begin : begin + size] for begin in range(0, len(reports), size)]
    last = reports[-1]
    return StepCurves(
        losses=[(group[-1].step, fmean(each.loss for each in group)) for group in groups],
        rates=[(group[-1].step, group[-1].lr) for group in groups],
        step=last.step,
        loss=last.loss,
        slot=last.slot,
        peak_rate=max(each.lr for each in reports),
    )


def validation_curve(evaluations: Sequence[Evaluation], validations: Sequence[Validation]) -> list[Point]:
    """Return the validation ratio by step, of evaluations and of the validation losses between them."""
    points = {each.step: each.ratio for each in validations}
    points |= {each.step: each.metrics["val_ratio"] for each in evaluations if "val_ratio" in each.metrics}
    return sorted((step, ratio) for step, ratio in points.items() if math.isfinite(ratio))
