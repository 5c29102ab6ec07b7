"""Whether the best of a study is better than the base at all, or may seem so by the prompts it was drawn with."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from scipy.stats import t as student

from eval.evaluation import Evaluation
from sweeper.strength import gain

CONFIDENCE: Final = 0.95
LEAST: Final = 1.0
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

    @property
    def is_within_noise(self) -> bool:
        """Whether the interval reaches down to the base, or the lead is less than `LEAST`; with one prompt the lead."""
        return not self.points >= LEAST or self.low <= 0

    def __str__(self) -> str:
        if math.isnan(self.low):
            return f"{self.points:+.1f} points above the base, with one prompt"
        share = f"{100 * CONFIDENCE:.0f} % interval {self.low:+.1f} to {self.high:+.1f}"
        return f"{self.points:+.1f} points above the base, {share} over {self.prompts} prompts"


def lead_over_base(checkpoint: Evaluation, base: Evaluation) -> Lead:
    """Return the lead of a checkpoint over the base, both judged with the same prompts and seeds.

    The interval is Student's of the paired differences prompt by prompt (`sweeper.strength.gain`): prompts differ from
    one another far more than the same prompt does from the base to a LoRA.
    """
    found, prompts = gain(checkpoint, base), len(checkpoint.prompt_scores)
    if math.isnan(found.error):
        return Lead(points=found.points, low=math.nan, high=math.nan, prompts=prompts)
    reach = float(student.ppf((1 + CONFIDENCE) / 2, prompts - 1)) * found.error
    return Lead(points=found.points, low=found.points - reach, high=found.points + reach, prompts=prompts)


def in_words(lead: Lead) -> str:
    """What a person must know of a best that is within noise of the base; empty for one that is surely better."""
    if not lead.is_within_noise:
        return ""
    return (
        f"Nothing was learned for sure: the best is {lead}, which is within noise. More steps, a higher learning rate "
        "or more prompts (eval.final_prompts) may show more"
    )
