"""What a series of validation losses says: ratio to the base, rise over the best, and whether the rise is real."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor


def ratio_to_base(losses: Tensor, base: Tensor) -> float:
    """Return mean loss / the base's mean loss on the same images, noises and timesteps; both (N, B). NaN if empty."""
    return float(losses.double().mean() / base.double().mean()) if losses.numel() else float("nan")


def bin_ratios(losses: Tensor, base: Tensor) -> Tensor:
    """Return `ratio_to_base` in each timestep bin: (N, B) and (N, B) to (B,), lowest timesteps first."""
    return losses.double().mean(0) / base.double().mean(0)


def generalization_loss(series: Sequence[float]) -> float:
    """Return GL = 100 · (E(t) / min over t' ≤ t of E(t') − 1) of the last value, in percent. NaN if empty.

    Source: Prechelt 1998, Early stopping, but when?, section 2.1.
    """
    return 100 * (series[-1] / min(series) - 1) if len(series) else float("nan")


def rose_in_a_row(series: Sequence[float], times: int) -> bool:
    """Return UP_s: whether the loss rose at the last `times` evaluations, one after another.

    Source: Prechelt 1998, section 2.1, with strips of one evaluation.
    """
    tail = series[-(times + 1) :]
    return len(tail) == times + 1 and all(later > earlier for earlier, later in pairwise(tail))


def paired_log_t(now: Tensor, best: Tensor) -> float:
    """Return Student's paired t of the images' log losses, `now` (N,) over `best` (N,); > 0 where `now` is higher.

    t = mean(d) / (std(d) / √N), d = log now − log best. The same fixed noise on both sides makes the pairs so alike
    that a few images show a rise of one percent. NaN with one image; ±inf where all images changed by one factor.
    """
    return paired_t(now.double().log(), best.double().log())


def paired_t(now: Tensor, before: Tensor) -> float:
    """Return Student's paired t of `now` (N,) over `before` (N,); > 0 where `now` is higher.

    t = mean(d) / (std(d) / √N), d = now − before. NaN with one pair; ±inf where all moved by the same.
    """
    if len(now) < 2:
        return float("nan")
    d = now.double() - before.double()
    mean, error = float(d.mean()), float(d.std()) / math.sqrt(len(d))
    if error < 1e-12:
        return math.copysign(math.inf, mean) if abs(mean) > 1e-12 else 0.0
    return mean / error


def image_means(losses: Tensor) -> Tensor:
    """Return each image's mean over its bins: (N, B) to (N,)."""
    return losses.double().mean(1) if losses.numel() else torch.zeros(0, dtype=torch.float64)
