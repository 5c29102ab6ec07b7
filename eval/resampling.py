"""What scores of prompts by seeds have in common: the bootstrap, the jackknife, shares of copies, the loss's gain.

A measure takes indices `prompts` (R, P') and `seeds` (R, S'), or (1, S') for all, and gives its value of each
resampling, (R,); a shape is (prompts, seeds).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from eval.aims import MAX_RATIO

Measure = Callable[[Tensor, Tensor], Tensor]


def every(shape: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Return the indices of all prompts and seeds, each once."""
    num_prompts, num_seeds = shape
    return torch.arange(num_prompts)[None], torch.arange(num_seeds)[None]


def bootstrap_error(measure: Measure, shape: tuple[int, int], draws: int, seed: int = 0) -> float:
    """Return a measure's standard error by `draws` bootstrap samples of prompts and of seeds; NaN with one prompt.

    Every prompt is drawn with the same seeds, so both are drawn anew, each by itself: rows and columns of one table.
    With one seed, over the prompts alone.

    Source: Owen 2007, The pigeonhole bootstrap, Annals of Applied Statistics 1(2); it errs on the large side.
    """
    num_prompts, num_seeds = shape
    if num_prompts < 2:
        return math.nan
    generator = torch.Generator().manual_seed(seed)
    prompts = torch.randint(num_prompts, (draws, num_prompts), generator=generator)
    seeds = torch.randint(num_seeds, (draws, num_seeds), generator=generator)
    return float(measure(prompts, seeds).std(correction=0))


def jackknife(measure: Measure, shape: tuple[int, int]) -> Tensor:
    """Return a measure prompt by prompt, (P,): the pseudo-values P·m − (P−1)·m without prompt p. Empty with one prompt.

    What a prompt adds to a measure that is no plain mean. For two evaluations of the same prompts and seeds, the
    standard error of the mean of their differences is the jackknife's standard error of the measures' difference.

    Source: Tukey 1958, Bias and confidence in not quite large samples; Efron & Tibshirani 1993, chapter 11.
    """
    num_prompts = shape[0]
    if num_prompts < 2:
        return torch.zeros(0, dtype=torch.float64)
    whole, seeds = every(shape)
    (everyone,) = whole
    without = torch.stack([everyone[everyone != left_out] for left_out in range(num_prompts)])  # (P, P-1)
    return num_prompts * measure(whole, seeds) - (num_prompts - 1) * measure(without, seeds)


def take(values: Tensor, prompts: Tensor, seeds: Tensor) -> Tensor:
    """Return `values` (P, S) of each resampling, (R, P', S')."""
    return values.double()[prompts[:, :, None], seeds[:, None, :]]


def copied_share(of_prompts: Tensor, of_training: Tensor, prompts: Tensor, seeds: Tensor) -> Tensor:
    """Return the share of copies among pictures of prompts (P, S) and of training captions (K,), each 0 or 1: (R,)."""
    drawn = take(of_prompts, prompts, seeds)
    return (drawn.sum((1, 2)) + of_training.double().sum()) / (drawn[0].numel() + of_training.numel())


def validation_gain(ratio: float | None) -> float:
    """Return 1 − the validation loss's ratio to the base's; 0 where there is none."""
    if ratio is None:
        return 0.0
    return 1 - (min(ratio, MAX_RATIO) if math.isfinite(ratio) else MAX_RATIO)
