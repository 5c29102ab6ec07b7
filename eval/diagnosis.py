"""What a trial's course says about its settings, in the words that people who train LoRAs use, and what they advise."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from eval.evaluation import Evaluation, value_of

Kind = Literal["diverged", "overfit", "too weak", "underfit", "good"]

REMEDIES: Final[Mapping[Kind, str]] = {
    "diverged": "lower the learning rate, warm it up, or clip gradients harder",
    "overfit": "take an earlier checkpoint; lower the learning rate, the rank or the steps; add pictures",
    "too weak": "raise the learning rate, alpha or the steps, or adapt more layers",
    "underfit": "give it more steps, a higher learning rate or a higher rank",
    "good": "narrow the space around it",
}
"""What to change next; of `good`, where to look next."""

LITTLE_STYLE = 0.05
"""Less of the way to the style than this is as good as none."""
SOME_STYLE = 0.2
"""A trial that was looked at once, and has gone less of the way, had only begun."""
LITTLE_LOSS = 0.97
"""A validation loss above this share of the base's has hardly fallen."""
STILL_RISING = 1.0
"""Points of score in the last interval that show a trial in the middle of learning."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Diagnosis:
    """One trial's."""

    kind: Kind
    because: str
    """What was seen, in a few words."""


def diagnose(evaluations: Sequence[Evaluation], clean: float = 0.5) -> Diagnosis | None:
    """Return the diagnosis of a trial from its evaluations in order of steps; None without any.

    `clean` is the overfit index below which a checkpoint counts as clean. The first that fits, in this order: its loss
    left the base's behind (diverged), it learned next to nothing (too weak), its pictures or losses turned after a
    better time (overfit), it was still improving when it ended, or had only begun (underfit), or none of these (good).
    """
    if not evaluations:
        return None
    last, best = evaluations[-1], max(evaluations, key=value_of)
    ratios = [each.metrics.get("val_ratio", math.nan) for each in evaluations]
    if not all(math.isfinite(loss) for loss in last.validation_losses) or math.isinf(ratios[-1]):
        return Diagnosis(kind="diverged", because="its validation loss is no longer a number")
    if all(ratio > 1 for ratio in ratios):
        return Diagnosis(kind="diverged", because="its validation loss never came below the base's")
    style = best.metrics.get("style", math.nan)
    gone = f"it went {100 * max(style, 0):.0f} % of the way to the style"
    if style < LITTLE_STYLE and not min(ratios) < LITTLE_LOSS:
        return Diagnosis(kind="too weak", because=gone)
    turned = next((each for each in evaluations if each.overfit or each.past_best), None)
    if turned is not None or last.overfit_index >= clean:
        since = turned or last
        why = since.words if since.overfit_index >= clean else "its score fell far below its best"
        return Diagnosis(kind="overfit", because=f"at step {since.step}: {why}")
    if len(evaluations) > 1 and last is best and value_of(last) - value_of(evaluations[-2]) >= STILL_RISING:
        gain, steps = value_of(last) - value_of(evaluations[-2]), last.step - evaluations[-2].step
        return Diagnosis(kind="underfit", because=f"it gained {gain:.1f} points in its last {steps} steps")
    if len(evaluations) == 1 and style < SOME_STYLE:  # nobody knows what it gained last
        return Diagnosis(kind="underfit", because=gone)
    return Diagnosis(kind="good", because="it learned, and nothing turned for the worse")
