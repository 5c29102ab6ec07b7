"""How like the subject pictures are, and whether it, or what surrounds it in its pictures, comes along unasked.

All three are shares of a way in mean cosine: 0 is what the base draws, 1 what real pictures of the subject are to one
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
    return shares(seen.images.samples, seen.images.base_samples, seen.subject.held_out, _ceiling(seen))


def likeness_of(seen: Seen) -> float:
    """The mean of `likeness_shares_of`."""
    return float(likeness_shares_of(seen).mean())


def class_leaks_of(seen: Seen) -> Tensor:
    """How far pictures of the class word, without the trigger, have left the base's for the subject: (K, R)."""
    drawn = seen.subject.of_class
    base = seen.images.base_samples[: drawn.shape[0], : drawn.shape[1]]
    return shares(drawn, base, seen.subject.held_out, _ceiling(seen))


def class_leak_of(seen: Seen) -> float:
    """The mean of `class_leaks_of`; NaN where no such pictures were drawn."""
    return float(class_leaks_of(seen).mean()) if seen.subject.of_class.numel() else math.nan


def background_leak_of(seen: Seen) -> float:
    """How like the training pictures' surroundings pictures are, the subject cut out of those.

    1 is as like as training pictures are to the surroundings of the others, below 0 is farther from them than the
    base. A global eye confounds it with likeness: on the drawn cup pictures without any leak have .7 to .8, and those
    that stand on the training pictures' grounds 1.2. NaN without masks, and where these surroundings have nothing in
    common that the base's pictures lack.
    """
    around, view = seen.subject.surroundings, seen.images
    ceiling = leave_one_out(view.train, around) if len(around) == len(view.train) else math.nan
    if math.isnan(ceiling):
        return math.nan
    base = float((view.base_samples.double() @ around.double().mean(0)).mean())
    if ceiling - base < MIN_GAP:
        return math.nan
    return float(shares(view.samples, view.base_samples, around, ceiling).mean())


def _ceiling(seen: Seen) -> float:
    """What likeness 1 is: how like the held-out pictures, cut out, the other real pictures are as they are."""
    view = seen.images
    return leave_one_out(torch.cat([view.train, view.held_out]), seen.subject.held_out, offset=len(view.train))
