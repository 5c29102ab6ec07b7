"""What a trial's course says about its settings, in the words that people who train LoRAs use, and what they advise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from eval.aims import aim_of
from eval.evaluation import Evaluation, value_of
from eval.selection import best_clean

DiagnosisName = Literal["diverged", "overfit", "too weak", "underfit", "good"]

LITTLE_WAY = 0.05
"""Less of the way to the style or the subject than this is as good as none."""
SOME_WAY = 0.4
"""A trial that was looked at once, and has gone less of the way, had only begun."""
FAINT_SCORE = 20.0
"""Of the 100 that real pictures have; less is nothing that anybody sees."""
LITTLE_LOSS = 0.97
"""A validation loss above this share of the base's has hardly fallen."""
STILL_RISING = 1.0
"""Points of score in the last interval that show a trial in the middle of learning."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Diagnosis:
    """One trial's."""

    kind: DiagnosisName
    because: str
    """What was seen, in a few words."""
    advice: str
    """What to change next; of `good`, where to look next."""


def diagnose(evaluations: Sequence[Evaluation], clean: float = 0.5) -> Diagnosis | None:
    """Return the diagnosis of a trial from its evaluations in order of steps; None without any.

    `clean` is the overfit index below which a checkpoint counts as clean. The first that fits, in this order: its loss
    or its pictures went away from the base to the wrong side (diverged), it learned next to nothing (too weak), its
    pictures or losses turned after a better time (overfit), it was still improving when it ended, or had only begun
    (underfit), it rose no more but came to little (too weak), or none of these (good).
    """
    if not evaluations:
        return None
    kind, because = _evidence(evaluations, clean)
    return Diagnosis(kind=kind, because=because, advice=_advice(kind, evaluations, clean))


def _evidence(evaluations: Sequence[Evaluation], clean: float) -> tuple[DiagnosisName, str]:
    last, best = evaluations[-1], max(evaluations, key=value_of)
    ratios = [each.metrics.get("val_ratio", math.nan) for each in evaluations]
    if not all(math.isfinite(loss) for loss in last.validation_losses) or math.isinf(ratios[-1]):
        return "diverged", "its validation loss is no longer a number"
    if all(ratio > 1 for ratio in ratios):
        return "diverged", "its validation loss never came below the base's"
    aim = aim_of(best.metrics)
    way = best.metrics.get(aim.metric, math.nan)
    gone = f"it went {100 * max(way, 0):.0f} % of the way to {aim.thing}"
    if all(each.metrics.get(aim.metric, math.nan) < -LITTLE_WAY for each in evaluations):
        return "diverged", f"its pictures are farther from {aim.thing} than the base's"
    if way < LITTLE_WAY and not min(ratios) < LITTLE_LOSS:
        return "too weak", gone
    turned = next((each for each in evaluations if each.overfit or each.past_best), None)
    if turned is not None or last.overfit_index >= clean:
        since = turned or last
        why = since.words if since.overfit_index >= clean else "its score fell far below its best"
        return "overfit", f"at step {since.step}: {why}"
    if len(evaluations) > 1 and last is best and value_of(last) - value_of(evaluations[-2]) >= STILL_RISING:
        gain, steps = value_of(last) - value_of(evaluations[-2]), last.step - evaluations[-2].step
        return "underfit", f"it gained {gain:.1f} points in its last {steps} steps"
    if len(evaluations) == 1 and way < SOME_WAY:  # nobody knows what it gained last
        return "underfit", gone
    if best.score < FAINT_SCORE:  # none is NaN, where there are no real pictures
        return "too weak", f"it came to {value_of(best):.1f} of the 100 points that real pictures have"
    if value_of(best) - value_of(last) >= STILL_RISING:
        fallen = value_of(best) - value_of(last)
        return "good", f"it learned, and lost {fallen:.1f} points after step {best.step} without a sign of overfit"
    return "good", "it learned, and nothing turned for the worse"


def _advice(kind: DiagnosisName, evaluations: Sequence[Evaluation], clean: float) -> str:
    """What to change next. The best checkpoint is the one that is kept, so that is no advice."""
    often = _why_more_often(evaluations, clean)
    match kind:
        case "diverged":
            return "lower the learning rate, warm it up, or clip gradients harder"
        case "too weak":
            return "raise the learning rate, alpha or the steps, or adapt more layers"
        case "overfit" if often:
            return f"{often}; lower the learning rate, the rank or the steps; add pictures"
        case "overfit":
            return (
                "its best checkpoint is kept, fewer steps lead to it; lower the learning rate or the rank; add pictures"
            )
        case "underfit":
            return "give it more steps, a higher learning rate or a higher rank"
        case "good" if often:
            return f"{often}; narrow the space around it"
        case "good":
            return "narrow the space around it"


def _why_more_often(evaluations: Sequence[Evaluation], clean: float) -> str:
    """Advice to evaluate more often, where a better checkpoint may lie before the first one; empty elsewhere."""
    if best_clean([each.score for each in evaluations], [each.overfit_index for each in evaluations], clean) > 0:
        return ""
    if evaluations[0].overfit_index >= clean:
        why = "it was overfit at its first evaluation already" if len(evaluations) > 1 else "it was overfit when judged"
    else:
        why = "its best is its first evaluation" if len(evaluations) > 1 else "it was evaluated once"
    return f"evaluate more often (a smaller eval.every): {why}, so a better checkpoint may lie before"
