"""The score of a checkpoint, and its standard error.

    score = 100 · style · prompt² · (1 − copies) + 10 · (1 − validation ratio)

- **style**: style fidelity, how much of the way from the base to real pictures was gone (`eval.metrics.style`), −1 to
  1: 0 as far from them as the base's pictures, 1 as near as they are to one another, for every style. As
  distributions, so what is too strong, noise, or one picture over and over is no nearer than the base.
- **prompt**: the share of the prompt match that is kept, 0 to 1: the cosine of pictures with their texts, the style's
  direction taken out, over four fifths of what pictures so far on the way to the style have: the base's match, or less
  where real pictures match their own captions less. Better than that pays nothing, for a base that follows an unknown
  trigger badly is no merit of the LoRA.
- **copies**: the share of pictures that copy a training picture, less the base's own.
- **validation ratio**: loss on held-out images against the base's, the least noisy number there is. Pictures are few,
  so it parts the checkpoints they cannot; where it hardly moves (large bases) it hardly weighs.

An idle adapter scores 0, and pictures that cannot be told from real ones 100, whatever the style; what the loss fell by
comes on top. One that pushes pictures away from the style scores below 0. `eval.taste` has each part count more or
less: factors to its power, the loss times it. Parts and weights were chosen on trials in
many styles whose truth is known (docs/judge.md).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor

from eval.aims import KEPT_WHOLE
from eval.metrics.similarity import MIN_MARGIN
from eval.metrics.style import Way
from eval.resampling import bootstrap_error, copied_share, every, jackknife, take, validation_gain
from eval.taste import Taste

PICTURES = 100.0
VALIDATION = 10.0
PROMPT_POWER = 2
MIN_REAL_MATCH = 0.75
"""Of the base's prompt match, the least that real pictures are taken to have: below it their captions say little."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Parts:
    """What the score is made of, picture by picture: (P, S), prompts by seeds, where nothing else is said."""

    style: Way | None
    """What style fidelity is made of; None where there are too few real pictures."""
    match: Tensor
    """Prompt match of the pictures in points, style taken out."""
    base_match: Tensor
    """The same of the base's pictures."""
    real_match: float
    """Its mean over real pictures and their captions; NaN where these say nothing."""
    copied: Tensor
    """Which pictures copy, 0 or 1."""
    base_copied: Tensor
    """The same of the base's pictures."""
    training_copied: Tensor
    """(K,) which pictures of training captions copy, 0 or 1; (0,) for none."""
    base_training_copied: Tensor
    """The same of the base's pictures."""
    val_ratio: float | None
    """Validation loss as a ratio to the base's; None where there is none."""
    taste: Taste = field(default_factory=Taste)
    """How much each counts."""


def score(parts: Parts) -> float:
    """Return the score by the module's formula: higher is better, NaN only where no real pictures anchor the style."""
    return float(_combine(parts, *every(_shape(parts)))[0])


def standard_error(parts: Parts, draws: int, seed: int = 0) -> float:
    """Return the score's standard error, see `bootstrap_error`; NaN with one prompt.

    The validation ratio stays as it is: its noise is fixed, and its images are no sample of the prompts.
    """
    return bootstrap_error(partial(_combine, parts), _shape(parts), draws, seed)


def pseudo_values(parts: Parts) -> Tensor:
    """Return the score prompt by prompt, (P,), see `jackknife`; empty with one prompt."""
    return jackknife(partial(_combine, parts), _shape(parts))


def styles_by_prompt(parts: Parts) -> Tensor:
    """Return style fidelity prompt by prompt, (P,), as `pseudo_values` does; empty where there is none."""
    way = parts.style
    return jackknife(way.share, _shape(parts)) if way else torch.zeros(0, dtype=torch.float64)


def _shape(parts: Parts) -> tuple[int, int]:
    num_prompts, num_seeds = parts.match.shape
    return num_prompts, num_seeds


def _combine(parts: Parts, prompts: Tensor, seeds: Tensor) -> Tensor:
    """The score of each resampling, a measure of `eval.resampling`."""

    def mean(values: Tensor) -> Tensor:
        return take(values, prompts, seeds).mean((1, 2))  # (R,)

    if parts.style is None:
        return torch.full((len(prompts),), float("nan"), dtype=torch.float64)
    style = parts.style.share(prompts, seeds)
    expected = _expected_match(style, mean(parts.base_match).clamp(min=MIN_MARGIN), parts.real_match)
    kept = mean(parts.match) / (KEPT_WHOLE * expected)
    copies = (
        copied_share(parts.copied, parts.training_copied, prompts, seeds)
        - copied_share(parts.base_copied, parts.base_training_copied, prompts, seeds)
    ).clamp(0, 1)
    taste = parts.taste
    kept = kept.clamp(0, 1) ** (PROMPT_POWER * taste.prompt)
    worth = style.clamp(0, 1) ** taste.aim * kept * (1 - copies) ** taste.copies
    # Pushed away from the style there is nothing to keep: a product of two bad factors must not look better.
    pictures = torch.where(style > 0, worth, style.clamp(min=-1))
    return PICTURES * pictures + VALIDATION * taste.loss * validation_gain(parts.val_ratio)


def _expected_match(style: Tensor, base: Tensor, real: float) -> Tensor:
    """What pictures so far on the way match their prompts by, (R,): from the base's match to that of real pictures."""
    if not math.isfinite(real):
        return base
    return base + style.clamp(0, 1) * (base.clamp(max=real).maximum(MIN_REAL_MATCH * base) - base)
