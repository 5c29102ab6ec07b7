"""The score of a checkpoint, its standard error, and the choice of the best.

    score = 80 · style · prompt⁸ · (1 − copies) + 20 · (1 − validation ratio)

- **style**: style fidelity s, how much of the way from the base to held-out pictures was gone, at most 1; what does
  not learn has 0. Anchored on pictures it never saw, so copying the training set earns nothing beyond 1.
- **prompt**: the share of the base's prompt match that is kept, 0 to 1.12: the cosine of pictures with their texts,
  the style's direction taken out, over the base's. A picture that no longer shows its prompt is worth nothing,
  however well styled: hence a product and no sum. Above 1 where the LoRA follows its prompts better than a base which
  did not know the style; cut at 1, a later fall from there would not show. To the eighth power, because a cosine
  moves little where much of a picture goes wrong: what matches a foreign text has two thirds of the base's, not none.
  Over sixty trials of known truth powers from 6 to 12 do alike, and better than the margin over foreign texts, which
  stays where all of a picture dissolves (docs/judge.md).
- **copies**: the share of pictures that copy a training picture, less the base's own.
- **validation ratio**: loss on held-out images against the base's, the least noisy number there is. Pictures are few,
  so it parts the checkpoints they cannot; where it hardly moves (large bases) it hardly weighs.

An idle adapter scores 0 (s = 0, ratio 1). One that pushes pictures away from the style scores below 0.
100 = style wholly learned, prompts followed as before, no loss left.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from eval.metrics.similarity import MIN_MARGIN

PICTURES = 80.0
VALIDATION = 20.0
MAX_PROMPT = 1.12
PROMPT_POWER = 8
MAX_RATIO = 2.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Parts:
    """What the score is made of, picture by picture: (P, S), prompts by seeds, where nothing else is said."""

    style: Tensor
    """`similarity.style_shares`."""
    match: Tensor
    """Prompt match of the pictures in points, style taken out."""
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
    val_ratio: float | None
    """Validation loss as a ratio to the base's; None where there is none."""


def score(parts: Parts) -> float:
    """Return the score by the module's formula: higher is better, NaN only where no real pictures anchor the style."""
    return float(_combine(parts, *(torch.arange(count)[None] for count in parts.style.shape))[0])


def standard_error(parts: Parts, draws: int, seed: int = 0) -> float:
    """Return the score's standard error by `draws` bootstrap samples of prompts and of seeds; NaN with one prompt.

    Every prompt is drawn with the same seeds, so both are drawn anew, each by itself: rows and columns of one table.
    With one seed, over the prompts alone. The validation ratio stays as it is: its noise is fixed, and its images are
    no sample of the prompts.

    Source: Owen 2007, The pigeonhole bootstrap, Annals of Applied Statistics 1(2); it errs on the large side.
    """
    num_prompts, num_seeds = parts.style.shape
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
    num_prompts = len(parts.style)
    if num_prompts < 2:
        return torch.zeros(0, dtype=torch.float64)
    everyone, seeds = torch.arange(num_prompts), torch.arange(parts.style.shape[1])[None]
    without = torch.stack([everyone[everyone != left_out] for left_out in range(num_prompts)])  # (P, P-1)
    return num_prompts * _combine(parts, everyone[None], seeds) - (num_prompts - 1) * _combine(parts, without, seeds)


def _combine(parts: Parts, prompts: Tensor, seeds: Tensor) -> Tensor:
    """The score of each resampling: indices `prompts` (R, P') and `seeds` (R, S'), or (1, S') for all, to (R,)."""

    def mean(values: Tensor) -> Tensor:
        return values.double()[prompts[:, :, None], seeds[:, None, :]].mean((1, 2))  # (R,)

    style = mean(parts.style)
    kept = mean(parts.match) / mean(parts.base_match).clamp(min=MIN_MARGIN)
    copies = (
        _share(mean(parts.copied), parts.copied.numel(), parts.training_copied)
        - _share(mean(parts.base_copied), parts.base_copied.numel(), parts.base_training_copied)
    ).clamp(0, 1)
    worth = style.clamp(-1, 1) * kept.clamp(0, MAX_PROMPT) ** PROMPT_POWER * (1 - copies)
    # Pushed away from the style there is nothing to keep: a product of two bad factors must not look better.
    pictures = torch.where(style > 0, worth, style.clamp(min=-1))
    return PICTURES * pictures + VALIDATION * _validation_gain(parts.val_ratio)


def _share(of_prompts: Tensor, count: int, training: Tensor) -> Tensor:
    """Share of copies among `count` pictures of prompts, (R,), and those of training captions, (K,)."""
    return (of_prompts * count + training.double().sum()) / (count + len(training))


def _validation_gain(ratio: float | None) -> float:
    if ratio is None:
        return 0.0
    return 1 - (min(ratio, MAX_RATIO) if math.isfinite(ratio) else MAX_RATIO)
