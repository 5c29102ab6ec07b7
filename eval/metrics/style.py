"""Style fidelity: how much of the way from the base's pictures to real ones was gone, by textures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

MIN_WAY: Final = 0.1
"""Least distance from the base to real pictures that is divided by, less that between real ones; real pictures lie 1
apart. Nearer than that the base already draws so, and the share would be noise over noise."""
SPLITS: Final = 32
"""Draws of so many real pictures as there are prompts, to learn how far they lie from the others."""
_SEED: Final = 0
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
    """Mean distance of real pictures from one another."""


def distances(samples: Tensor, real: Tensor) -> Apart:
    """Return the distances of `samples` (P, S, D) and `real` pictures (n, D), scaled by `eval.textures.scale_of`."""
    rows, others = samples.flatten(0, 1).double(), real.double()
    return Apart(
        to_real=torch.cdist(rows, others).mean(1).view(samples.shape[:2]),
        within=torch.cdist(rows, rows).view(*samples.shape[:2], *samples.shape[:2]),
        real=_mean_pair(torch.cdist(others, others)),
    )


def distance(apart: Apart, prompts: Tensor, seeds: Tensor) -> Tensor:
    """Return how far pictures lie from the real ones, as distributions, of each resampling: (R,), at least 0.

    The root of the energy distance 2·E‖G − R‖ − E‖G − G'‖ − E‖R − R'‖, unbiased: pictures of one prompt are no
    independent pair, and are not compared. `prompts` (R, P') and `seeds` (R, S') or (1, S') are indices; where one
    prompt is all, its seeds stand for a spread, and one picture for one as real ones have it.

    Source: Székely & Rizzo 2013, Energy statistics, J. Stat. Plan. Inference 143(8), equation 2.4.
    """
    to_real = apart.to_real[prompts[:, :, None], seeds[:, None, :]].mean((1, 2))  # (R,)
    return (2 * to_real - _spread(apart, prompts, seeds) - apart.real).clamp(min=0).sqrt()


def _spread(apart: Apart, prompts: Tensor, seeds: Tensor) -> Tensor:
    """Mean distance of pictures of different prompts, (R,)."""
    num_prompts, num_seeds = apart.to_real.shape
    drawn = torch.zeros(len(prompts), num_prompts, dtype=torch.float64)
    drawn.scatter_add_(1, prompts, torch.ones(prompts.shape, dtype=torch.float64))
    used = torch.zeros(len(seeds), num_seeds, dtype=torch.float64)
    used.scatter_add_(1, seeds, torch.ones(seeds.shape, dtype=torch.float64))
    used = (used / used.sum(1, keepdim=True)).expand(len(prompts), -1)
    between = torch.einsum("rs,psqt,rt->rpq", used, apart.within, used)  # (R, P, P)
    pairs = drawn[:, :, None] * drawn[:, None, :]
    pairs.diagonal(dim1=1, dim2=2).zero_()
    total = pairs.sum((1, 2))
    if num_prompts == 1:
        alone = float(apart.within[0, :, 0].sum()) / (num_seeds * (num_seeds - 1)) if num_seeds > 1 else apart.real
        return torch.full((len(prompts),), alone, dtype=torch.float64)
    spread = (pairs * between).sum((1, 2)) / total.clamp(min=1)
    return torch.where(total > 0, spread, torch.full_like(spread, apart.real))


def real_distance(real: Tensor, num_prompts: int) -> float:
    """Return how far so many `real` pictures (n, D) lie from the others, as distributions: what no drawing undercuts.

    The mean over `SPLITS` seeded draws; 0 with fewer than four pictures, which cannot be split.
    """
    count = min(num_prompts, len(real) // 2)
    if count < 2:
        return 0.0
    generator = torch.Generator().manual_seed(_SEED)
    apart = torch.cdist(real.double(), real.double())
    found = []
    for _ in range(SPLITS):
        order = torch.randperm(len(real), generator=generator)
        some, others = order[:count], order[count:]
        to_real = apart[some][:, others].mean(1)
        halves = Apart(to_real[:, None], apart[some][:, some][:, None, :, None], _mean_pair(apart[others][:, others]))
        found.append(float(distance(halves, torch.arange(count)[None], torch.zeros(1, 1, dtype=torch.int64))))
    return sum(found) / SPLITS


def _mean_pair(apart: Tensor) -> float:
    """Mean of distances (n, n) over the pairs; 0 for one picture."""
    return float(apart.sum()) / max(len(apart) * (len(apart) - 1), 1)


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
        real=real_distance(real, len(samples)),
    )


def every(apart: Apart) -> tuple[Tensor, Tensor]:
    """Return the indices of all prompts and seeds, each once."""
    num_prompts, num_seeds = apart.to_real.shape
    return torch.arange(num_prompts)[None], torch.arange(num_seeds)[None]
