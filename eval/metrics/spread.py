"""Whether pictures still differ, within a prompt and from prompt to prompt, and unrelated prompts give the base's."""

from __future__ import annotations

import math

from torch import Tensor
from torch.nn.functional import normalize

MIN_SPREAD = 1e-5
"""Least spread of unit vectors that is divided by; below lies their rounding in float32."""


def spread_within(samples: Tensor) -> float:
    """Return the variance of the pictures of a prompt about their mean, (P, S, D) to a number; NaN with one seed.

    Unbiased, summed over D, the mean over the prompts; of unit rows it is the mean 1 − cosine of two pictures.
    """
    num_prompts, num_seeds, _ = samples.shape
    if num_seeds < 2 or not num_prompts:
        return math.nan
    return float(samples.double().var(1).sum(-1).mean())


def spread_between(samples: Tensor) -> float:
    """Return the variance from prompt to prompt, at least 0, of (P, S, D) with two prompts and seeds or more; else NaN.

    Of the prompts' means, less what of it comes from the seeds: the components of variance of a one-way layout.

    Source: Searle, Casella & McCulloch 1992, Variance Components, section 3.2.
    """
    num_prompts, num_seeds, _ = samples.shape
    if num_prompts < 2 or num_seeds < 2:
        return math.nan
    of_means = float(samples.double().mean(1).var(0).sum())
    return max(of_means - spread_within(samples) / num_seeds, 0.0)


def as_share(spread: float, of_base: float, base: Tensor, real: Tensor) -> float:
    """Return a spread as a share of the base's, or of what real pictures have of it where that is less; NaN for none.

    spread / (base's spread · min(1, var(R) / var(B))), with B what the base draws (P, S, D), and R the real pictures
    (n, D): in a style whose pictures are alike, such as a vignette makes them, pictures need not differ as the base's.
    """
    if math.isnan(of_base) or of_base <= MIN_SPREAD:
        return math.nan
    rows = base.flatten(0, 1).double()
    narrower = float(real.double().var(0).sum() / rows.var(0).sum()) if len(real) > 1 else 1.0
    return spread / max(of_base * min(1.0, narrower), MIN_SPREAD)


def diversity(samples: Tensor, base: Tensor, real: Tensor) -> float:
    """Return `spread_within` of (P, S, D) `as_share`: 0 for one picture a prompt, about 1 for what has learned well."""
    return as_share(spread_within(samples), spread_within(base), base, real)


def prompt_spread(samples: Tensor, base: Tensor, real: Tensor) -> float:
    """Return `spread_between` of (P, S, D) `as_share`: 0 where the prompt changes nothing that is drawn."""
    return as_share(spread_between(samples), spread_between(base), base, real)


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
