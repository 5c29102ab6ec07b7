"""The overfit index: eight named criteria, how severe each is, and what they mean together.

    O = max(copy, fall, ½ · (val_rise + max(diversity, prompt_spread, prompt_drop, drift,
                                   class_leak)))

Copying is proof by itself, and so is a deep fall of the score: the same trial had a better checkpoint. Each of the
others has innocent causes (a style with less variety, a style that CLIP reads less well, a validation loss past its
minimum while likeness still grows), so none of them alone takes O above ½; it takes the loss and what the pictures
show. How well that tells overfit checkpoints from sound ones was measured where the truth is known: docs/judge.md.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from eval.spec import Limits, Thresholds

CRITERIA = ("copy", "fall", "val_rise", "diversity", "prompt_spread", "prompt_drop", "drift", "class_leak")
_OF_PICTURES = ("diversity", "prompt_spread", "prompt_drop", "drift", "class_leak")
_NAMES = {
    "copy": "copies",
    "fall": "score",
    "val_rise": "validation loss",
    "diversity": "diversity",
    "prompt_spread": "spread over prompts",
    "prompt_drop": "prompt match",
    "drift": "drift",
    "class_leak": "class leak",
}
LITTLE_SCORE = 5.0
"""Points of score; a fall from less than this is measured against it, since little was there to lose."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Fall:
    """How far a score lies below the best of its trial; below 0 where it lies above."""

    points: float
    """Points of score."""
    share: float
    """The same as a share of the best score."""
    t: float
    """Paired t of the points over the prompts; NaN where they cannot be paired."""
    since: int
    """Step of the best."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OverfitSigns:
    """What the criteria look at; NaN for what was not measured, which then counts for nothing."""

    val_rise: float
    """Rise of the validation loss over its lowest so far, as a share."""
    val_t: float
    """Paired t of that rise over the images."""
    rose_in_a_row: bool
    """Whether the validation loss rose `Thresholds.rises` evaluations in a row."""
    copy_rate: float
    """Share of pictures that copy, less the base's own."""
    copies: int
    """Pictures that copy."""
    num_samples: int
    """Pictures looked at."""
    how_copied: str = ""
    """How these copy, in words."""
    diversity: float
    """Spread within prompts, a share of what the base's and real pictures have."""
    prompt_spread: float
    """Spread from prompt to prompt, the same."""
    prompt_drop: float
    """Loss of prompt match, scaled points."""
    drift: float
    """Distance of unrelated prompts' pictures from the base's."""
    class_leak: float | None = None
    """How far the class word alone draws the subject; None of a style, which has no such word."""
    fall: Fall | None = None
    """Of the score from the trial's best; None where there is none before, or no score."""


def severity(value: float, limits: Limits) -> float:
    """Return clip((value − warn) / (alarm − warn), 0, 1); 0 for NaN, since what is unknown accuses nobody."""
    if math.isnan(value):
        return 0.0
    if math.isinf(value):
        return float((value > 0) == (limits.alarm > limits.warn))
    return min(1.0, max(0.0, (value - limits.warn) / (limits.alarm - limits.warn)))


def severities(signs: OverfitSigns, thresholds: Thresholds) -> dict[str, float]:
    """Return the severity of each of `CRITERIA` that the kind of pictures has, 0 to 1.

    A rise of the validation loss counts only if it is significant or lasting, copies only from `min_copies` on.
    """
    rise_is_real = signs.val_t > thresholds.paired_t or signs.rose_in_a_row
    copies_count = signs.copies >= thresholds.min_copies
    return {
        "copy": severity(signs.copy_rate, thresholds.copy) if copies_count else 0.0,
        "fall": severity(signs.fall.share, thresholds.fall) if signs.fall else 0.0,
        "val_rise": severity(signs.val_rise, thresholds.val_rise) if rise_is_real else 0.0,
        "diversity": severity(signs.diversity, thresholds.diversity),
        "prompt_spread": severity(signs.prompt_spread, thresholds.prompt_spread),
        "prompt_drop": severity(signs.prompt_drop, thresholds.prompt_drop),
        "drift": severity(signs.drift, thresholds.drift),
        **({} if signs.class_leak is None else {"class_leak": severity(signs.class_leak, thresholds.class_leak)}),
    }


def missing_criteria(signs: OverfitSigns) -> list[str]:
    """Return those of `CRITERIA` that were not measured; where there is no earlier score there is no fall either."""
    values = {
        "copy": signs.copy_rate,
        "val_rise": signs.val_rise,
        "diversity": signs.diversity,
        "prompt_spread": signs.prompt_spread,
        "prompt_drop": signs.prompt_drop,
        "drift": signs.drift,
        "class_leak": 0.0 if signs.class_leak is None else signs.class_leak,
    }
    return [name for name in CRITERIA if math.isnan(values.get(name, 0.0))]


def is_untold(signs: OverfitSigns) -> bool:
    """Return whether the two measures that mostly show overfit, copies and validation loss, both are missing."""
    return {"copy", "val_rise"} <= set(missing_criteria(signs))


def overfit_index(parts: Mapping[str, float]) -> float:
    """Return O of the module's formula, 0 to 1, from the severities."""
    pictures = max(parts.get(name, 0.0) for name in _OF_PICTURES)
    return max(parts["copy"], parts["fall"], 0.5 * (parts["val_rise"] + pictures))


def fall_from(score: float, best: float, t: float, since: int) -> Fall:
    """Return the fall of a `score` from its trial's `best`, of step `since`; `t` as in `Fall`."""
    return Fall(points=best - score, share=(best - score) / max(best, LITTLE_SCORE), t=t, since=since)


def is_past_best(fall: Fall | None, thresholds: Thresholds) -> bool:
    """Return whether a score fell so far and so surely that its trial is past its best."""
    return fall is not None and fall.share >= thresholds.past_best and fall.t > thresholds.paired_t


def is_overfit(indices: Sequence[float], thresholds: Thresholds, warmup_evaluations: int) -> bool:
    """Return whether the last `in_a_row` of a trial's overfit `indices`, all after the warm-up, reach `overfit`."""
    after = indices[warmup_evaluations:]
    tail = after[-thresholds.in_a_row :]
    return len(tail) == thresholds.in_a_row and all(index >= thresholds.overfit for index in tail)


def describe_signs(fall: Fall) -> str:
    """Say how deep a fall is, and how sure: "21 points (57 %, t 1.8) below its best, of step 40"."""
    sure = f", t {fall.t:.1f}" if math.isfinite(fall.t) else ""
    share = f"{100 * fall.share:.0f} %" if fall.share <= 1 else "more than all"  # to where the base was, and beyond
    return f"{fall.points:.0f} points ({share}{sure}) below its best, of step {fall.since}"


def explain(signs: OverfitSigns, parts: Mapping[str, float]) -> str:
    """Say in one line which criteria speak and how loud: "copies in 4 of 32 pictures; prompt match down 3.4 points"."""
    risen = f"{100 * signs.val_rise:.1f} % above its lowest" if math.isfinite(signs.val_rise) else "no longer finite"
    words = {
        "copy": f"copies in {signs.copies} of {signs.num_samples} pictures"
        + (f" ({signs.how_copied})" if signs.how_copied else ""),
        "fall": f"score {describe_signs(signs.fall)}" if signs.fall else "",
        "val_rise": f"validation loss {risen}",
        "diversity": f"pictures of a prompt differ {100 * signs.diversity:.0f} % as much as they should",
        "prompt_spread": f"pictures of two prompts differ {100 * signs.prompt_spread:.0f} % as much as they should",
        "prompt_drop": f"prompt match down {signs.prompt_drop:.1f} points",
        "drift": f"unrelated prompts drifted by {signs.drift:.2f}",
        "class_leak": f"the class word alone goes {100 * (signs.class_leak or 0):.0f} % of the way to what was learned",
    }
    speaking = sorted((name for name in CRITERIA if parts.get(name, 0.0) > 0), key=lambda name: -parts[name])
    said, unknown = (
        "; ".join(words[name] for name in speaking),
        ", ".join(_NAMES[each] for each in missing_criteria(signs)),
    )
    if is_untold(signs):
        return f"overfit cannot be judged: {unknown} not measured" + (f"; {said}" if said else "")
    return said or "no sign of overfit" + (f"; {unknown} not measured" if unknown else "")
