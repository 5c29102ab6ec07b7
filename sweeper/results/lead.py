"""Whether the best of a study is better than the base at all, or than the second best, or may seem so by chance."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean, stdev, variance
from typing import Final

from eval.evaluation import Evaluation
from eval.strength import gain
from sweeper.results.repeats import Repeats

CONFIDENCE: Final = 0.95
LEAST_PROMPTS: Final = 1.0
"""Points of score: what is less than this above the base has learned nothing that a person would see, however surely.
The validation loss alone, which is the same for every prompt, may move the score by as much."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Lead:
    """How far a checkpoint's score lies above the base's, of the same prompts and seeds."""

    points: float
    low: float
    """Where the interval begins that holds the true lead with `CONFIDENCE`; NaN with one prompt."""
    high: float
    """Where it ends."""
    prompts: int
    sure_by_parts: bool = False
    """Whether style or likeness and the validation loss, each by itself, are surely better; see `lead_over_base`."""

    @property
    def is_within_noise(self) -> bool:
        """Whether the lead is less than `LEAST_PROMPTS`, or neither its interval nor its parts say that it is there."""
        return not self.points >= LEAST_PROMPTS or (self.low <= 0 and not self.sure_by_parts)

    def __str__(self) -> str:
        if math.isnan(self.low):
            return f"{self.points:+.1f} points above the base, with one prompt"
        share = f"{100 * CONFIDENCE:.0f} % interval {self.low:+.1f} to {self.high:+.1f}"
        return f"{self.points:+.1f} points above the base, {share} over {self.prompts} prompts"


def lead_over_base(checkpoint: Evaluation, base: Evaluation) -> Lead:
    """Return the lead of a checkpoint over the base, both judged with the same prompts and seeds.

    The interval is Student's of the paired differences prompt by prompt (`strength.gain`): prompts differ from
    one another far more than the same prompt does from the base to a LoRA.

    Whether there is a lead can be surer than how large it is. The score is a · aim · (factors of 0 or more) + b · (1 -
    validation ratio), the aim being style (`eval.score`) or likeness (`eval.subject_score`): where the aim is surely
    above the base's over the prompts and the loss surely below it over the held-out pictures, both terms are positive,
    and so is the score, however much the prompts spread it.
    """
    found, prompts = gain(checkpoint, base), len(checkpoint.prompt_scores)
    if math.isnan(found.error):
        return Lead(points=found.points, low=math.nan, high=math.nan, prompts=prompts)
    reach = _quantile(prompts - 1) * found.error
    sure = _surely_above(checkpoint.prompt_aims, base.prompt_aims) and _surely_above(
        base.validation_losses, checkpoint.validation_losses
    )
    low, high = found.points - reach, found.points + reach
    return Lead(points=found.points, low=low, high=high, prompts=prompts, sure_by_parts=sure)


def lead_of_means(best: Repeats, second: Repeats, settings: Sequence[Repeats]) -> Lead:
    """Return the lead of the best settings' mean score over the second's, of the same prompts and drawing seeds.

    Two things are chance, and both are crossed: which training seeds there were, and which prompts. The mean's
    variance is at most that of the one plus that of the other: of the seeds it is s²·(1/R + 1/R'), with the variance
    s² between trainings of the same settings, pooled over all `settings`, since two or three trainings of one say
    little; of the prompts it is the variance of the paired differences of the prompts' means, over P. What is of both
    counts twice, so the interval errs on the wide side. Student's, with the degrees of freedom of Welch and
    Satterthwaite.

    Source: Satterthwaite 1946, An approximate distribution of estimates of variance components, Biometrics 2(6).
    """
    points, prompts = best.mean - second.mean, len(best.prompt_means)
    free = sum(len(each.scores) - 1 for each in settings)
    lead = Lead(points=points, low=math.nan, high=math.nan, prompts=prompts)
    if free < 1 or prompts < 2 or prompts != len(second.prompt_means):
        return lead
    pooled = sum((score - each.mean) ** 2 for each in settings for score in each.scores.values()) / free
    of_seeds = pooled * (1 / len(best.scores) + 1 / len(second.scores))
    differences = [one - other for one, other in zip(best.prompt_means, second.prompt_means, strict=True)]
    of_prompts = variance(differences) / prompts
    both = of_seeds + of_prompts
    if both == 0:
        return replace(lead, low=points, high=points)
    freedom = both**2 / (of_seeds**2 / free + of_prompts**2 / (prompts - 1))
    reach = _quantile(freedom) * math.sqrt(both)
    return replace(lead, low=points - reach, high=points + reach)


def _surely_above(these: Sequence[float], those: Sequence[float]) -> bool:
    """Whether Student's interval of the paired differences lies above 0."""
    if len(these) != len(those) or len(these) < 2:
        return False
    differences = [mine - its for mine, its in zip(these, those, strict=True)]
    return fmean(differences) > _quantile(len(differences) - 1) * stdev(differences) / math.sqrt(len(differences))


def _quantile(freedom: float) -> float:
    from scipy.stats import t as student  # takes a second to import, which no study need wait for at its start

    return float(student.ppf((1 + CONFIDENCE) / 2, freedom))


def lead_in_words(lead: Lead) -> str:
    """What a person must know of a best that is within noise of the base; empty for one that is surely better."""
    if not lead.is_within_noise:
        return ""
    return (
        f"Nothing was learned for sure: the best is {lead}, which is within noise. More steps, a higher learning rate "
        "or more prompts (eval.final_prompts) may show more"
    )
