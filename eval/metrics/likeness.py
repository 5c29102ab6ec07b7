"""How like the subject pictures are.

Shares of a way in mean cosine: 0 is what the base draws, 1 what real pictures of the subject are to one
another. The base's pictures are of the class word, with the same prompts and seeds.
"""

from __future__ import annotations

import math

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


def shares(own: Tensor, base: Tensor, ceiling: float) -> Tensor:
    """Return how much of the way to real pictures each picture has gone, by mean cosines to them: (P, S).

    (own − base) / (`ceiling` − mean of base), `own` and `base` both (P, S), `ceiling` what real pictures have. The
    divisor is at least `MIN_GAP`, so the mean of the shares is the share of the means. NaN without a ceiling.
    """
    return (own - base).double() / max(ceiling - float(base.double().mean()), MIN_GAP)


def likeness_shares_of(seen: Seen) -> Tensor:
    """Likeness picture by picture, (P, S): how well the subject's parts are found again in them (`eval.parts`)."""
    return shares(seen.subject.alike, seen.subject.base_alike, seen.subject.ceiling)


def likeness_of(seen: Seen) -> float:
    """The mean of `likeness_shares_of`."""
    return float(likeness_shares_of(seen).mean())
