"""Whether pictures show the same person, taken of their faces alone, and how many show none.

Shares of a way in mean cosine, as in `eval.metrics.likeness`, by the eye for faces: 0 is the base's faces, of the class
word, 1 the real ones among themselves, each against the others.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from eval.metrics.likeness import leave_one_out, shares
from eval.metrics.seen import Seen, View


def identities_of(seen: Seen) -> Tensor:
    """Identity picture by picture, (P, S), see `identity_of`; NaN where a picture shows no face."""
    if seen.faces is None:
        return torch.full(seen.images.samples.shape[:2], math.nan, dtype=torch.float64)
    return _identities(seen.faces, seen.faces.samples, seen.faces.base_samples)


def identity_of(seen: Seen) -> float:
    """How much of the way from the base's faces to the person's was gone, over the pictures that show a face.

    [sim(G, R) − sim(B, R)] / [sim(R) − sim(B, R)], sim the mean cosine to all real faces R, and sim(R) that of each to
    the others; G the checkpoint's faces, B the base's, of the class word. 1 is as alike as the real pictures are to one
    another. Where the base draws no face, sim(B, R) is 0: so different people are to embedders of ArcFace kind (Deng
    et al. 2019, arXiv:1801.07698, figure 7). NaN without an eye for faces, with fewer than two real faces, and where no
    picture shows one.
    """
    return float(identities_of(seen).nanmean())


def faceless_of(seen: Seen) -> float:
    """The share of the prompts' pictures that show no face; NaN without an eye for faces."""
    if seen.faces is None:
        return math.nan
    return float((~seen.faces.samples.any(-1)).double().mean())


def face_leak_of(seen: Seen) -> float:
    """How far the faces that the class word alone draws have become the person's; NaN where it draws none."""
    drawn = seen.subject.faces_of_class
    if seen.faces is None or drawn is None or not drawn.numel():
        return math.nan
    base = seen.faces.base_samples[: drawn.shape[0], : drawn.shape[1]]
    return float(_identities(seen.faces, drawn, base).nanmean())


def _identities(faces: View, drawn: Tensor, base: Tensor) -> Tensor:
    """The way of each picture in `drawn` from the faces among `base` on, (P, S); NaN where it shows no face."""
    real = torch.cat([faces.train, faces.held_out])
    real, of_base = (rows[rows.any(-1)] for rows in (real, base))
    wanted = real.double().mean(0)
    below = (of_base.double() @ wanted).mean() if len(of_base) else wanted.new_zeros(())  # a stranger's cosine is 0
    way = shares(drawn.double() @ wanted, below, leave_one_out(real, real))
    return way.masked_fill(~drawn.any(-1), math.nan)
