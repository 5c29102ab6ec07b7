"""The score of a checkpoint that learned a subject or a face, and its standard error; `eval.score` has the style's.

    score = (100 − v) · likeness · promptᵖ · (1 − copies) · (1 − c · class leak) · (1 − b · background leak)
            + v · (1 − validation ratio)

- **likeness**: how much of the way from the base's pictures of the class word to the real pictures was gone, at most 1.
- **prompt**: the share of the base's prompt match that is kept, 0 to 1. The base draws the class word, so it is no
  worse for not knowing the subject.
- **copies**: the share of pictures that copy a training picture, less the base's own.
- **leaks**: `eval.metrics.likeness`, each 0 to 1; a part that was not measured costs nothing.
- p, c, b and v are `eval.subject_score`.

0 is the base, 100 pictures as like the subject as the real ones are to one another, that show what the prompts say,
copy nothing and leak nothing. Pushed away from the subject it is below 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from eval.metrics.similarity import MIN_MARGIN
from eval.spec import SubjectWeights

MAX_RATIO = 2.0


@dataclass(frozen=True, kw_only=True, slots=True)
class SubjectParts:
    """What the score is made of: (P, S), prompts by seeds, where nothing else is said."""

    likeness: Tensor
    """`likeness.likeness_shares_of`."""
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
    """`likeness.class_leak_of`; NaN where it was not measured."""
    background_leak: float
    """`likeness.background_leak_of`; NaN where it was not measured."""
    val_ratio: float | None
    """Validation loss as a ratio to the base's; None where there is none."""
    weights: SubjectWeights
    """How much each counts."""


def score(parts: SubjectParts) -> float:
    """Return the score by the module's formula: higher is better, NaN only without real pictures of the subject."""
    return float(_combine(parts, *(torch.arange(count)[None] for count in parts.likeness.shape))[0])


def standard_error(parts: SubjectParts, draws: int, seed: int = 0) -> float:
    """Return the score's standard error by `draws` bootstrap samples of prompts and of seeds; NaN with one prompt.

    As `eval.score.standard_error` does. Leaks and validation ratio stay as they are: they are of other pictures.
    """
    num_prompts, num_seeds = parts.likeness.shape
    if num_prompts < 2:
        return math.nan
    generator = torch.Generator().manual_seed(seed)
    prompts = torch.randint(num_prompts, (draws, num_prompts), generator=generator)
    seeds = torch.randint(num_seeds, (draws, num_seeds), generator=generator)
    return float(_combine(parts, prompts, seeds).std(correction=0))


def pseudo_values(parts: SubjectParts) -> Tensor:
    """Return the score prompt by prompt, (P,): the jackknife's pseudo-values, as `eval.score.pseudo_values` does."""
    num_prompts = len(parts.likeness)
    if num_prompts < 2:
        return torch.zeros(0, dtype=torch.float64)
    everyone, seeds = torch.arange(num_prompts), torch.arange(parts.likeness.shape[1])[None]
    without = torch.stack([everyone[everyone != left_out] for left_out in range(num_prompts)])  # (P, P-1)
    return num_prompts * _combine(parts, everyone[None], seeds) - (num_prompts - 1) * _combine(parts, without, seeds)


def _combine(parts: SubjectParts, prompts: Tensor, seeds: Tensor) -> Tensor:
    """The score of each resampling: indices `prompts` (R, P') and `seeds` (R, S'), or (1, S') for all, to (R,)."""

    def values(each: Tensor) -> Tensor:
        return each.double()[prompts[:, :, None], seeds[:, None, :]]  # (R, P', S')

    def copies(each: Tensor, of_training: Tensor) -> Tensor:
        drawn = values(each)
        count = drawn[0].numel() + of_training.numel()
        return (drawn.sum((1, 2)) + of_training.double().sum()) / count

    weights = parts.weights
    likeness = values(parts.likeness).mean((1, 2))
    kept = values(parts.match).mean((1, 2)) / values(parts.base_match).mean((1, 2)).clamp(min=MIN_MARGIN)
    copied = copies(parts.copied, parts.training_copied) - copies(parts.base_copied, parts.base_training_copied)
    worth = likeness.clamp(-1, 1) * kept.clamp(0, 1) ** weights.prompt_power * (1 - copied.clamp(0, 1))
    worth = worth * (1 - weights.class_leak * _leak(parts.class_leak))
    worth = worth * (1 - weights.background_leak * _leak(parts.background_leak))
    # Pushed away from the subject there is nothing to keep: a product of two bad factors must not look better.
    pictures = torch.where(likeness > 0, worth, likeness.clamp(min=-1))
    return (100 - weights.validation) * pictures + weights.validation * _validation_gain(parts.val_ratio)


def _leak(value: float) -> float:
    return 0.0 if math.isnan(value) else min(max(value, 0.0), 1.0)


def _validation_gain(ratio: float | None) -> float:
    if ratio is None:
        return 0.0
    return 1 - (min(ratio, MAX_RATIO) if math.isfinite(ratio) else MAX_RATIO)
