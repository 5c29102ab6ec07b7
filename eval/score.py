"""The score of a checkpoint, its standard error, and the choice of the best.

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
comes on top. One that pushes pictures away from the style scores below 0. Parts and weights were chosen on trials in
many styles whose truth is known (docs/judge.md).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from eval.metrics.similarity import MIN_MARGIN
from eval.metrics.style import Way

PICTURES = 100.0
VALIDATION = 10.0
PROMPT_POWER = 2
KEPT_WHOLE = 0.8
"""This share of the expected prompt match and more counts as all of it: how a CLIP reads a style varies by as much."""
MIN_REAL_MATCH = 0.75
"""Of the base's prompt match, the least that real pictures are taken to have: below it their captions say little."""
MAX_RATIO = 2.0


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


def score(parts: Parts) -> float:
    """Return the score by the module's formula: higher is better, NaN only where no real pictures anchor the style."""
    return float(_combine(parts, *_everything(parts))[0])


def standard_error(parts: Parts, draws: int, seed: int = 0) -> float:
    """Return the score's standard error by `draws` bootstrap samples of prompts and of seeds; NaN with one prompt.

    Every prompt is drawn with the same seeds, so both are drawn anew, each by itself: rows and columns of one table.
    With one seed, over the prompts alone. The validation ratio stays as it is: its noise is fixed, and its images are
    no sample of the prompts.

    Source: Owen 2007, The pigeonhole bootstrap, Annals of Applied Statistics 1(2); it errs on the large side.
    """
    num_prompts, num_seeds = parts.match.shape
    if num_prompts < 2:
        return float("nan")
    generator = torch.Generator().manual_seed(seed)
    prompts = torch.randint(num_prompts, (draws, num_prompts), generator=generator)
    seeds = torch.randint(num_seeds, (draws, num_seeds), generator=generator)
    return float(_combine(parts, prompts, seeds).std(correction=0))


def pseudo_values(parts: Parts) -> Tensor:
    """Return the score prompt by prompt, (P,): the jackknife's pseudo-values P·score − (P−1)·score without prompt p.

    What a prompt adds to a score that is no plain mean. For two evaluations of the same prompts and seeds, the
    standard error of the mean of their differences is the jackknife's standard error of the scores' difference.
    Empty with one prompt.

    Source: Tukey 1958, Bias and confidence in not quite large samples; Efron & Tibshirani 1993, chapter 11.
    """
    return _by_prompt(parts, lambda prompts, seeds: _combine(parts, prompts, seeds))


def styles_by_prompt(parts: Parts) -> Tensor:
    """Return style fidelity prompt by prompt, (P,), as `pseudo_values` does; empty where there is none."""
    way = parts.style
    return _by_prompt(parts, way.share) if way else torch.zeros(0, dtype=torch.float64)


def _by_prompt(parts: Parts, measure: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    num_prompts = len(parts.match)
    if num_prompts < 2:
        return torch.zeros(0, dtype=torch.float64)
    whole, seeds = _everything(parts)
    (everyone,) = whole
    without = torch.stack([everyone[everyone != left_out] for left_out in range(num_prompts)])  # (P, P-1)
    return num_prompts * measure(whole, seeds) - (num_prompts - 1) * measure(without, seeds)


def _everything(parts: Parts) -> tuple[Tensor, Tensor]:
    """The indices of all prompts and seeds, each once."""
    num_prompts, num_seeds = parts.match.shape
    return torch.arange(num_prompts)[None], torch.arange(num_seeds)[None]


def _combine(parts: Parts, prompts: Tensor, seeds: Tensor) -> Tensor:
    """The score of each resampling: indices `prompts` (R, P') and `seeds` (R, S'), or (1, S') for all, to (R,)."""

    def mean(values: Tensor) -> Tensor:
        return values.double()[prompts[:, :, None], seeds[:, None, :]].mean((1, 2))  # (R,)

    if parts.style is None:
        return torch.full((len(prompts),), float("nan"), dtype=torch.float64)
    style = parts.style.share(prompts, seeds)
    expected = _expected_match(style, mean(parts.base_match).clamp(min=MIN_MARGIN), parts.real_match)
    kept = mean(parts.match) / (KEPT_WHOLE * expected)
    copies = (
        _share(mean(parts.copied), parts.copied.numel(), parts.training_copied)
        - _share(mean(parts.base_copied), parts.base_copied.numel(), parts.base_training_copied)
    ).clamp(0, 1)
    worth = style.clamp(-1, 1) * kept.clamp(0, 1) ** PROMPT_POWER * (1 - copies)
    # Pushed away from the style there is nothing to keep: a product of two bad factors must not look better.
    pictures = torch.where(style > 0, worth, style.clamp(min=-1))
    return PICTURES * pictures + VALIDATION * _validation_gain(parts.val_ratio)


def _expected_match(style: Tensor, base: Tensor, real: float) -> Tensor:
    """What pictures so far on the way match their prompts by, (R,): from the base's match to that of real pictures."""
    if not math.isfinite(real):
        return base
    return base + style.clamp(0, 1) * (base.clamp(max=real).maximum(MIN_REAL_MATCH * base) - base)


def _share(of_prompts: Tensor, count: int, training: Tensor) -> Tensor:
    """Share of copies among `count` pictures of prompts, (R,), and those of training captions, (K,)."""
    return (of_prompts * count + training.double().sum()) / (count + len(training))


def _validation_gain(ratio: float | None) -> float:
    if ratio is None:
        return 0.0
    return 1 - (min(ratio, MAX_RATIO) if math.isfinite(ratio) else MAX_RATIO)
