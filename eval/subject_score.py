"""The score of a checkpoint that learned a subject or a face, and its standard error; `eval.score` has the style's.

    score = (100 − v) · likeness · promptᵖ · (1 − copies) · (1 − c · class leak) · (1 − b · background leak)
            + v · (1 − validation ratio)

- **likeness**: how much of the way from the base's pictures of the class word to the real pictures was gone, at most
  1; where there is an eye for faces, how much of the way from face to face, and none where a picture shows no face.
- **prompt**: the share of the base's prompt match that is kept; four fifths of it and more count as all. The base draws
  the class word, so it is no worse for not knowing the subject.
- **copies**: the share of pictures that copy a training picture, less the base's own.
- **leaks**: `eval.metrics.leaks`, each 0 to 1; a part that was not measured costs nothing.
- p, c, b and v are `eval.subject_score`; `eval.taste` has each part count more or less, see `eval.score`.

0 is the base, 100 pictures as like the subject as the real ones are to one another, that show what the prompts say,
copy nothing and leak nothing. Pushed away from the subject it is below 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor

from eval.aims import KEPT_WHOLE
from eval.metrics.similarity import MIN_MARGIN
from eval.resampling import bootstrap_error, copied_share, every, jackknife, take, validation_gain
from eval.spec import SubjectWeights
from eval.taste import Taste


@dataclass(frozen=True, kw_only=True, slots=True)
class SubjectParts:
    """What the score is made of: (P, S), prompts by seeds, where nothing else is said."""

    likeness: Tensor
    """`likeness.likeness_shares_of`, or of faces `identity.identities_of`."""
    match: Tensor
    """Prompt match of the pictures in points."""
    base_match: Tensor
    """The same of the base's pictures."""
    copied: Tensor
    """Which pictures copy, 0 or 1."""
    base_copied: Tensor
    """The same of the base's pictures."""
    training_copied: Tensor
    """(K,) which pictures of training captions copy, 0 or 1; (0,) for none."""
    base_training_copied: Tensor
    """The same of the base's pictures."""
    class_leak: float
    """`leaks.class_leak_of`; NaN where it was not measured."""
    background_leak: float
    """`leaks.background_leak_of`; NaN where it was not measured."""
    val_ratio: float | None
    """Validation loss as a ratio to the base's; None where there is none."""
    weights: SubjectWeights
    """How much each counts."""
    taste: Taste = field(default_factory=Taste)
    """How much more or less than that."""


def score(parts: SubjectParts) -> float:
    """Return the score by the module's formula: higher is better, NaN only without real pictures of the subject."""
    return float(_combine(parts, *every(_shape(parts)))[0])


def standard_error(parts: SubjectParts, draws: int, seed: int = 0) -> float:
    """Return the score's standard error, see `bootstrap_error`; NaN with one prompt.

    Leaks and validation ratio stay as they are: they are of other pictures.
    """
    return bootstrap_error(partial(_combine, parts), _shape(parts), draws, seed)


def pseudo_values(parts: SubjectParts) -> Tensor:
    """Return the score prompt by prompt, (P,), see `jackknife`; empty with one prompt."""
    return jackknife(partial(_combine, parts), _shape(parts))


def _shape(parts: SubjectParts) -> tuple[int, int]:
    num_prompts, num_seeds = parts.likeness.shape
    return num_prompts, num_seeds


def _combine(parts: SubjectParts, prompts: Tensor, seeds: Tensor) -> Tensor:
    """The score of each resampling, a measure of `eval.resampling`."""

    def mean(values: Tensor) -> Tensor:
        return take(values, prompts, seeds).mean((1, 2))  # (R,)

    weights, taste = parts.weights, parts.taste
    likeness = mean(parts.likeness)
    kept = mean(parts.match) / mean(parts.base_match).clamp(min=MIN_MARGIN)
    copied = copied_share(parts.copied, parts.training_copied, prompts, seeds) - copied_share(
        parts.base_copied, parts.base_training_copied, prompts, seeds
    )
    kept = (kept / KEPT_WHOLE).clamp(0, 1) ** (weights.prompt_power * taste.prompt)
    worth = likeness.clamp(0, 1) ** taste.aim * kept * (1 - copied.clamp(0, 1)) ** taste.copies
    worth = worth * (1 - weights.class_leak * _leak(parts.class_leak))
    worth = worth * (1 - weights.background_leak * _leak(parts.background_leak))
    # Pushed away from the subject there is nothing to keep: a product of two bad factors must not look better.
    pictures = torch.where(likeness > 0, worth, likeness.clamp(min=-1))
    gain = weights.validation * taste.loss * validation_gain(parts.val_ratio)
    return (100 - weights.validation) * pictures + gain


def _leak(value: float) -> float:
    return 0.0 if math.isnan(value) else min(max(value, 0.0), 1.0)
