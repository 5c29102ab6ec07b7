"""How like the subject pictures are.

Shares of a way in mean cosine: 0 is what the base draws, 1 what real pictures of the subject are to one
another. The base's pictures are of the class word, with the same prompts and seeds.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from eval.metrics.seen import Seen

MIN_GAP = 0.02
"""Least distance in cosine from the base to the real pictures that is divided by; nearer than that the base draws the
subject already, and a share would be noise over noise."""


def leave_one_out(whole: Tensor, parts: Tensor, offset: int = 0) -> float:
    """Return how like the real pictures are to one another: mean cosine of each part to all *other* pictures.

    mean over j of mean over i ≠ j + `offset` of cos(w_i, p_j); `whole` (n, D) the pictures as they are, `parts` (m, D)
    what was cut out of those that begin at `offset`. NaN with fewer than two pictures or no part.
    """
    if len(whole) < 2 or len(parts) == 0:
        return math.nan
    cosines = parts.double() @ whole.double().T  # (m, n)
    own = cosines.diagonal(offset)  # (m,)
    return float(((cosines.sum(1) - own) / (len(whole) - 1)).mean())


def shares(samples: Tensor, base: Tensor, target: Tensor, ceiling: float) -> Tensor:
    """Return how much of the way to the real pictures each picture has gone: (P, S).

    [sim(G, H) − sim(B, H)] / [`ceiling` − sim(B, H)], sim the mean cosine to all of `target` H (m, D); G `samples` and
    B `base`, both (P, S, D). The divisor is taken over all pictures and at least `MIN_GAP`, so the mean of the shares
    is the share of the means. NaN without a target or a ceiling.
    """
    if len(target) == 0 or math.isnan(ceiling):
        return torch.full(samples.shape[:2], math.nan, dtype=torch.float64)
    mean = target.double().mean(0)  # (D,)
    own, other = samples.double() @ mean, base.double() @ mean  # (P, S)
    return (own - other) / max(ceiling - float(other.mean()), MIN_GAP)


def likeness_shares_of(seen: Seen) -> Tensor:
    """Likeness picture by picture, (P, S): how like the held-out pictures of the subject they are."""
    return shares(seen.images.samples, seen.images.base_samples, seen.subject.held_out, ceiling_of(seen))


def likeness_of(seen: Seen) -> float:
    """The mean of `likeness_shares_of`."""
    return float(likeness_shares_of(seen).mean())


def ceiling_of(seen: Seen) -> float:
    """What likeness 1 is: how like the held-out pictures, cut out, the other real pictures are as they are."""
    view = seen.images
    return leave_one_out(torch.cat([view.train, view.held_out]), seen.subject.held_out, offset=len(view.train))
