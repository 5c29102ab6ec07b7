"""How strongly the winner should act: its LoRA's scale, chosen from judgements at several."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import stdev
from typing import Final

from eval.evaluation import Evaluation

AS_TRAINED: Final = 1.0
"""The strength that a LoRA was trained at."""
STRENGTH_STEPS: Final = 4
STRENGTH_PROMPTS: Final = 3
"""What the sheet of strengths shows at most: the chosen step among others, a block for each prompt."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Gain:
    """By how much one judgement's score is above another's of the same prompts and seeds."""

    points: float
    error: float
    """Standard error of `points`, paired over the prompts; NaN where it cannot be had."""

    def __str__(self) -> str:
        return f"{self.points:+.1f} ± {self.error:.1f}" if math.isfinite(self.error) else f"{self.points:+.1f}"

    @property
    def is_real(self) -> bool:
        """Whether it is above one standard error."""
        return self.points > self.error


def gain(now: Evaluation, before: Evaluation) -> Gain:
    """Return the gain of `now` over `before`.

    Prompts differ far more from one another than one prompt does from strength to strength, so the scores' own errors
    say little about their difference: it is taken prompt by prompt. The score is no mean over prompts, hence the
    jackknife's pseudo-values (`eval.score.pseudo_values`), whose paired differences have the difference's error.

    Source: Efron & Tibshirani 1993, An introduction to the bootstrap, chapter 11.
    """
    one, other = now.prompt_scores, before.prompt_scores
    if len(one) != len(other) or len(one) < 2:
        return Gain(points=now.score - before.score, error=math.nan)
    differences = [mine - its for mine, its in zip(one, other, strict=True)]
    return Gain(points=now.score - before.score, error=stdev(differences) / math.sqrt(len(differences)))


def choose_strength(tried: Mapping[float, Evaluation], clean: float) -> float:
    """Return the strength to use, from judgements of the same prompts and seeds at each; `AS_TRAINED` is among them.

    As trained, unless others are clean (overfit index < `clean`) and better by more than one standard error: then the
    best of these. That is the one-standard-error rule of `eval.selection` with the trained strength for the simplest
    choice. Where the LoRA as trained is not clean, the best of those that are.
    """
    trained = tried[AS_TRAINED]
    better = [
        strength
        for strength, evaluation in tried.items()
        if evaluation.overfit_index < clean
        and math.isfinite(evaluation.score)
        and (gain(evaluation, trained).is_real or trained.overfit_index >= clean)
    ]
    return max(better, key=lambda strength: (tried[strength].score, -abs(strength - AS_TRAINED)), default=AS_TRAINED)
