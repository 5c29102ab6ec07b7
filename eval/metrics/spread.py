"""Whether a prompt still gives different pictures, and whether unrelated prompts still give the base's."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

MIN_SPREAD = 1e-5
"""Least mean 1 − cosine that is divided by; below lies the rounding of unit vectors in float32."""


def spreads(samples: Tensor) -> Tensor:
    """Return the mean of 1 − cosine over the pairs of pictures of a prompt: (P, S, D) to (P,). NaN with one seed."""
    num_prompts, num_seeds, _ = samples.shape
    if num_seeds < 2:
        return torch.full((num_prompts,), float("nan"), dtype=torch.float64)
    x = samples.double()
    total = x.sum(1).square().sum(-1)  # sum over all ordered pairs and the S squares
    pairs = (total - x.square().sum((1, 2))) / (num_seeds * (num_seeds - 1))
    return 1 - pairs


def diversity(samples: Tensor, base: Tensor) -> float:
    """Return the spread within prompts as a ratio to the base's: 1 as diverse as the base, 0 one picture a prompt.

    mean spread of `samples` (P, S, D) / mean spread of `base` (P, S, D); NaN with one seed or a base without spread.
    """
    if len(samples) == 0:
        return float("nan")
    divisor = float(spreads(base).mean())
    return float(spreads(samples).mean()) / divisor if divisor > MIN_SPREAD else float("nan")


def drift(samples: Tensor, base: Tensor) -> float:
    """Return how far pictures of unrelated prompts have left the base's pictures: 0 not at all, 1 for another's.

    mean over u of [1 − cos(g_u, b_u)] / mean over u≠v of [1 − cos(b_u, b_v)], with g_u and b_u the directions of the
    mean features of prompt u over its seeds, `samples` and `base` both (U, S, D) with the same seeds. Means over
    seeds because another composition of the same thing is no drift. NaN with fewer than two prompts.

    It rises when the new style spreads to prompts that did not ask for it, and further when every prompt gives the
    training set's things (the language drift of Ruiz et al. 2023, arXiv:2208.12242, section 3.2).
    """
    num_prompts = len(base)
    if num_prompts < 2:
        return float("nan")
    g, b = normalize(samples.double().mean(1), dim=-1), normalize(base.double().mean(1), dim=-1)  # (U, D)
    apart = (num_prompts**2 - float((b @ b.T).sum())) / (num_prompts * (num_prompts - 1))
    return float((1 - (g * b).sum(-1)).mean()) / apart if apart > MIN_SPREAD else float("nan")
