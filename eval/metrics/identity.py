"""Whether pictures show the same person: taken of their faces alone, and of how many show none."""

from __future__ import annotations

import math

import torch

from eval.metrics.likeness import MIN_GAP, leave_one_out
from eval.metrics.seen import Seen


def identity_of(seen: Seen) -> float:
    """How much of the way from the base's faces to the person's was gone, over the pictures that show a face.

    [sim(G, R) − sim(B, R)] / [sim(R) − sim(B, R)], sim the mean cosine to all real faces R, and sim(R) that of each to
    the others; G the checkpoint's faces, B the base's, of the class word. 1 is as alike as the real pictures are to one
    another. Where the base draws no face, sim(B, R) is 0: so different people are to embedders of ArcFace kind (Deng
    et al. 2019, arXiv:1801.07698, figure 7). NaN without an eye for faces, with fewer than two real faces, and where no
    picture shows one.
    """
    view = seen.faces
    if view is None:
        return math.nan
    real, samples, base = (
        rows.double().flatten(0, -2)[rows.any(-1).flatten()]
        for rows in (torch.cat([view.train, view.held_out]), view.samples, view.base_samples)
    )
    ceiling = leave_one_out(real, real)
    if math.isnan(ceiling) or not len(samples):
        return math.nan
    mean = real.mean(0)
    below = float((base @ mean).mean()) if len(base) else 0.0
    return (float((samples @ mean).mean()) - below) / max(ceiling - below, MIN_GAP)


def faceless_of(seen: Seen) -> float:
    """The share of the prompts' pictures that show no face; NaN without an eye for faces."""
    if seen.faces is None:
        return math.nan
    return float((~seen.faces.samples.any(-1)).double().mean())
