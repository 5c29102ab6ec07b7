"""Whether pictures copy training pictures."""

from __future__ import annotations

import torch
from torch import Tensor

NEAREST_RATIO = 1 / 3
HELD_OUT_SHARE = 1 / 2
DUPLICATE_SHARE = 1 / 4
MIN_TRAIN = 2
"""Training pictures by which a copy can be seen."""


def deduplicate(features: Tensor, share: float = DUPLICATE_SHARE) -> Tensor:
    """Return the indices of `features` (n, D) that stay when near-duplicates of earlier rows go, in order.

    Two pictures are near-duplicates when their distance is below `share` of the median distance of all pairs. With
    duplicates left in, the nearest and second nearest training picture would be alike and hide every copy.
    """
    if len(features) < 3:
        return torch.arange(len(features))
    distances = torch.cdist(features.double(), features.double())
    pairs = distances[tuple(torch.triu_indices(len(features), len(features), offset=1))]
    limit = share * float(pairs.median())
    kept: list[int] = []
    for i in range(len(features)):
        if all(float(distances[i, j]) >= limit for j in kept):
            kept.append(i)
    return torch.tensor(kept)


def held_out_distance(held_out: Tensor, train: Tensor) -> float:
    """Return the median leave-one-out distance of held-out (m, D) to training pictures (n, D).

    The median over held-out pictures v and left-out training pictures j of min over i≠j of ‖v − t_i‖: how near an
    honest new picture comes, robust against one held-out picture that repeats a training picture. NaN if m < 1 or
    n < 2.
    """
    if len(held_out) < 1 or len(train) < 2:
        return float("nan")
    nearest = torch.cdist(held_out.double(), train.double()).topk(2, largest=False).values  # (m, 2)
    # Leaving out any but the nearest leaves the nearest; leaving that one out leaves the second.
    values = torch.cat([nearest[:, :1].expand(-1, len(train) - 1), nearest[:, 1:]], dim=1)  # (m, n)
    return float(values.flatten().quantile(0.5))


def find_copies(samples: Tensor, train: Tensor, held_out: Tensor) -> Tensor:
    """Return which pictures copy a training picture: (…, D) to bool (…), with `train` (n, D) deduplicated.

    d₁/d₂ < 1/3, nearest over second nearest training picture, or d₁ < ½ · `held_out_distance`. Nothing counts as
    copied where neither rule can be had (one training picture or none).

    Source: first rule Yoon et al. 2023 (Diffusion probabilistic models generalize when they fail to memorize) and
    Gu et al. 2023, arXiv:2310.02664; the second is ours, against pictures near a cluster of alike training pictures.
    """
    rows = samples.reshape(-1, samples.shape[-1]).double()
    if len(train) < MIN_TRAIN or len(rows) == 0:
        return torch.zeros(samples.shape[:-1], dtype=torch.bool)
    nearest = torch.cdist(rows, train.double()).topk(2, largest=False).values  # (N, 2)
    first, second = nearest.unbind(1)
    flags = first < NEAREST_RATIO * second
    limit = held_out_distance(held_out, train)
    if limit == limit:  # not NaN
        flags |= first < HELD_OUT_SHARE * limit
    return flags.reshape(samples.shape[:-1])


def copy_rate(samples_copied: Tensor, base_copied: Tensor) -> float:
    """Return the share of copying pictures less the base's own share, at least 0.

    What the base already draws like that (a plain white mug) the LoRA did not learn by heart.
    """
    if samples_copied.numel() == 0:
        return float("nan")
    base = float(base_copied.double().mean()) if base_copied.numel() else 0.0
    return max(0.0, float(samples_copied.double().mean()) - base)
