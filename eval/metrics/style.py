"""Style fidelity: how much of the way from the base's pictures to real ones was gone, by textures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

MIN_WAY: Final = 0.1
"""Least distance from the base to real pictures that is divided by, less that between real ones; real pictures lie 1
apart. Nearer than that the base already draws so, and the share would be noise over noise."""
MIN_REAL: Final = 2
"""Fewest real pictures that have a distance."""


@dataclass(frozen=True, slots=True)
class Apart:
    """Distances that style fidelity is made of, of P prompts' pictures with S seeds."""

    to_real: Tensor
    """(P, S) mean distance of each picture to the real ones."""
    within: Tensor
    """(P, S, P, S) distances of the pictures from one another."""
    real: float
    """Mean distance of real pictures from one another, each from itself among them."""


def distances(samples: Tensor, real: Tensor) -> Apart:
    """Return the distances of `samples` (P, S, D) and `real` pictures (n, D), scaled by `eval.textures.scale_of`."""
    rows, others = samples.flatten(0, 1).double(), real.double()
    return Apart(
        to_real=torch.cdist(rows, others).mean(1).view(samples.shape[:2]),
        within=torch.cdist(rows, rows).view(*samples.shape[:2], *samples.shape[:2]),
        real=float(torch.cdist(others, others).mean()),
    )


def distance(apart: Apart, prompts: Tensor, seeds: Tensor) -> Tensor:
    """Return how far pictures lie from the real ones, as distributions, of each resampling: (R,), at least 0.

    The root of the energy distance 2·E‖G − R‖ − E‖G − G'‖ − E‖R − R'‖ of the two samples as they are (its V-statistic,
    which holds each picture against itself, too): never below 0, and far less noisy near it than the unbiased one,
    while the base's and real pictures' distances (`Way`) have the same bias. `prompts` (R, P') and `seeds` (R, S') or
    (1, S') are indices.

    Source: Székely & Rizzo 2013, Energy statistics, J. Stat. Plan. Inference 143(8), equations 2.4 and 6.1.
    """
    to_real = apart.to_real[prompts[:, :, None], seeds[:, None, :]].mean((1, 2))  # (R,)
    num_prompts, num_seeds = apart.to_real.shape
    drawn, used = _weights(prompts, num_prompts), _weights(seeds, num_seeds).expand(len(prompts), -1)
    picked = drawn[:, :, None] * used[:, None, :]  # (R, P, S)
    spread = torch.einsum("rps,psqt,rqt->r", picked, apart.within, picked)
    return (2 * to_real - spread - apart.real).clamp(min=0).sqrt()


def _weights(drawn: Tensor, count: int) -> Tensor:
    """How often each index comes in rows of `drawn` (R, K), as shares: (R, count)."""
    weights = torch.zeros(len(drawn), count, dtype=torch.float64)
    return weights.scatter_add_(1, drawn, torch.full(drawn.shape, 1 / drawn.shape[1], dtype=torch.float64))


def real_distance(real: Tensor, count: int) -> float:
    """Return how far `count` further real pictures would lie from the `real` ones (n, D): what drawings can come to.

    The root of δ·(1/count + 1/n), with δ the mean distance of two real pictures: what `distance` squared is on average
    for two independent samples of one distribution, in each of which every picture is held against itself, too. 0 for
    fewer than two.
    """
    n = len(real)
    if n < 2:
        return 0.0
    apart = torch.pdist(real.double()).mean()
    return float((apart * (1 / count + 1 / n)).sqrt())


@dataclass(frozen=True, kw_only=True, slots=True)
class Way:
    """The way from the base's pictures to real ones, and where others lie on it."""

    apart: Apart
    """Of the pictures."""
    base: float
    """How far the base's pictures lie from the real ones."""
    real: float
    """How far real ones do."""

    def share(self, prompts: Tensor, seeds: Tensor) -> Tensor:
        """Return style fidelity of each resampling, (R,); see `distance`.

        0 as far as the base, 1 as near as real pictures are. At most 1, since what is nearer to the real pictures than
        they are to one another repeats them; below 0 where pictures went away from them, at least −1.
        """
        way = max(self.base - self.real, MIN_WAY)
        return ((self.base - distance(self.apart, prompts, seeds)) / way).clamp(-1, 1)


def way(samples: Tensor, base: Tensor, real: Tensor) -> Way:
    """Return the way from the base's pictures (P, S, D) to `real` ones (n, D), at least two, and `samples` on it."""
    own = distances(base, real)
    return Way(
        apart=distances(samples, real),
        base=float(distance(own, *every(own))),
        real=real_distance(real, samples.shape[0] * samples.shape[1]),
    )


def every(apart: Apart) -> tuple[Tensor, Tensor]:
    """Return the indices of all prompts and seeds, each once."""
    num_prompts, num_seeds = apart.to_real.shape
    return torch.arange(num_prompts)[None], torch.arange(num_seeds)[None]
