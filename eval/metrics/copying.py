"""Whether pictures copy training pictures, and how."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import torch
from torch import Tensor

from eval.metrics.copy_views import EDGES, LAID_OVER, SUBJECT, WHOLE, Match, View, lay_over, match, views_of
from eval.thumbnails import SIDE, WIDTH

MIN_TRAIN = 2
"""Training pictures by which a copy can be seen."""
NEARNESS: Final = ((WHOLE, 0.50), (EDGES, 0.48), (SUBJECT, 0.45))
"""How near a copy is in each view, as a share: see `find_copies`. Chosen on nine styles of the drawn world, so that
hardly an honest picture comes as near, nor the same scene drawn anew more than now and then (docs/judge.md)."""
_SAME_SHARE: Final = 0.4
"""Training pictures nearer to one another than this share of the median distance count as one."""
EDGES_TOO: Final = 0.65
"""What is near in its colours must have its edges nearer than this share of the distance of real pictures' edges."""
_PLAIN, _MIRRORED, _MOVED, _CROPPED, _SHRUNK, _RECOLOURED, _PASTED = range(1, 8)
KINDS: Final[Mapping[int, str]] = MappingProxyType(
    {
        _PLAIN: "plain",
        _MIRRORED: "mirrored",
        _MOVED: "moved",
        _CROPPED: "cropped",
        _SHRUNK: "shrunk",
        _RECOLOURED: "in its edges alone",
        _PASTED: "on another ground",
    }
)
"""How a picture copies, by number; 0 is none."""


def distinct(train: Tensor) -> Tensor:
    """Return the indices of training pictures (n, MASKED_WIDTH) that stay when copies of earlier ones go, in order.

    Of one picture and its mirrored or cropped double none would be the nearest by far.
    """
    if len(train) < 3:
        return torch.arange(len(train))
    pictures = _pictures(train)
    apart = match(WHOLE, pictures[:, :3], pictures).apart
    apart = torch.minimum(apart, apart.T)
    limit = _SAME_SHARE * float(apart[tuple(torch.triu_indices(len(train), len(train), offset=1))].median())
    kept: list[int] = []
    for i in range(len(train)):
        if all(float(apart[i, j]) >= limit for j in kept):
            kept.append(i)
    return torch.tensor(kept)


def find_copies(samples: Tensor, train: Tensor, held_out: Tensor) -> Tensor:
    """Return how pictures copy a training picture, a number of `KINDS`, 0 for not at all: (…, WIDTH) to int64 (…).

    `train` (n, MASKED_WIDTH) are `distinct`, `held_out` (m, WIDTH). In each view a picture copies when d₁ < share ·
    √(d₂ · h): d₁ and d₂ are its distances to the nearest and the second nearest training picture, h the median
    distance at which real pictures have their nearest: held-out ones, and training ones among the others. None copies
    where there are fewer than `MIN_TRAIN` training pictures, nor where colours alone are near (`EDGES_TOO`).

    Source: d₁ against d₂ Yoon et al. 2023 (Diffusion probabilistic models generalize when they fail to memorize) and
    Gu et al. 2023, arXiv:2310.02664; against h ours, since near a cluster of alike training pictures d₂ is small, too.
    Their geometric mean tells copies from others better than either (docs/judge.md).
    """
    result = torch.zeros(samples.shape[:-1].numel(), dtype=torch.long)
    usable = samples.reshape(-1, WIDTH).isfinite().all(1)
    if len(train) < MIN_TRAIN or not bool(usable.any()):
        return result.reshape(samples.shape[:-1])
    pictures, known = samples.reshape(-1, WIDTH)[usable].reshape(-1, 3, SIDE, SIDE), _pictures(train)
    real = torch.cat([known[:, :3], held_out.reshape(-1, 3, SIDE, SIDE)])
    shares, kinds = dict(NEARNESS), torch.zeros(len(pictures), dtype=torch.long)
    edges = match(EDGES, real, known).apart
    for view in views_of(known):
        found = match(view, pictures, known)
        near = found.apart.topk(2, largest=False)
        honest = _honest_distance(edges if view is EDGES else match(view, real, known).apart)
        copied = near.values[:, 0] < shares[view] * (near.values[:, 1] * honest).sqrt()
        for number in torch.nonzero(copied & (kinds == 0)).flatten().tolist():
            original = int(near.indices[number, 0])
            if view is WHOLE and not _edges_too(found, pictures, known, number, original, _honest_distance(edges)):
                continue
            kinds[number] = _kind(view, found, number, original)
    result[usable] = kinds
    return result.reshape(samples.shape[:-1])


def _edges_too(found: Match, pictures: Tensor, known: Tensor, number: int, original: int, honest: Tensor) -> bool:
    """Whether a picture has its `original`'s edges as well, where its colours lie best over it.

    `honest` is how far the edges of real pictures are.
    """
    top, left = found.corner[number, original].tolist()
    size, mirrored = int(found.size[number, original]), bool(found.mirrored[number, original])
    whole = torch.cat([known[original, :3], torch.ones_like(known[original, 3:])])  # whatever its mask leaves
    laid = lay_over(WHOLE, whole, size, mirrored, (top, left))
    return bool(match(LAID_OVER, pictures[number : number + 1], laid[None]).apart < EDGES_TOO * honest)


def in_words(kinds: Tensor) -> str:
    """Say how pictures copy, the most frequent first: "3 mirrored, 1 cropped"; nothing where none does."""
    counts = Counter(int(kind) for kind in kinds.flatten() if kind)
    return ", ".join(f"{count} {KINDS[kind]}" for kind, count in sorted(counts.items(), key=lambda each: -each[1]))


def _kind(view: View, found: Match, number: int, original: int) -> int:
    """How a picture copies its original, a number of `KINDS`."""
    if view is not WHOLE:
        return _RECOLOURED if view is EDGES else _PASTED
    size = int(found.size[number, original])
    if found.mirrored[number, original]:
        return _MIRRORED
    if size != view.side:
        return _CROPPED if size > view.side else _SHRUNK
    return _MOVED if int(found.corner[number, original].abs().max()) > 1 else _PLAIN


def _honest_distance(apart: Tensor) -> Tensor:
    """The median of what real pictures (n + m, n), the training ones first, are from the nearest other of training."""
    others = apart.clone()
    others[: others.shape[1]].fill_diagonal_(torch.inf)
    return others.min(1).values.median()


def _pictures(train: Tensor) -> Tensor:
    return train.reshape(-1, 4, SIDE, SIDE)


def copy_rate(samples_copied: Tensor, base_copied: Tensor) -> float:
    """Return the share of copying pictures less the base's own share, at least 0.

    What the base already draws like that (a plain white mug) the LoRA did not learn by heart.
    """
    if samples_copied.numel() == 0:
        return float("nan")
    base = float(base_copied.double().mean()) if base_copied.numel() else 0.0
    return max(0.0, float(samples_copied.double().mean()) - base)
