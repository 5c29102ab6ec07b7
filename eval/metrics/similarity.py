"""How well pictures match texts and other pictures: CLIP score, prompt match."""

from __future__ import annotations

import torch
from torch import Tensor

MIN_MARGIN = 1.0
"""Least margin of the base, in points, that counts as following prompts."""

USUAL_MARGIN = 10.0
"""Points by which CLIP ViT models place a matching text above a foreign one (about 30 against 20)."""

MIN_PROMPTS = 3
"""Fewest prompts whose mean picture shows the base's style rather than the prompts' content."""

MIN_AXIS = 0.01
"""Least length of the way from the base to the real pictures that has a direction to speak of."""


def clip_scores(images: Tensor, texts: Tensor) -> Tensor:
    """Return max(100·cos(image, text), 0) of each pair of (N, D) and (N, D): (N,), 0 to 100.

    Source: Hessel et al. 2021, arXiv:2104.08718, scaled as torchmetrics does.
    """
    return (100 * (images * texts).sum(-1)).clamp(min=0)


def clip_score(images: Tensor, texts: Tensor) -> float:
    """Return max(mean of 100·cos, 0) over the pairs, as `torchmetrics.functional.multimodal.clip_score` does.

    That one takes pictures, texts and a model; here all were looked at once, for all metrics.
    """
    if len(images) == 0:
        return float("nan")
    return float((100 * (images * texts).sum(-1)).mean().clamp(min=0))


def image_similarity(generated: Tensor, real: Tensor) -> float:
    """Return the mean cosine over all pairs of (N, D) and (n, D), −1 to 1: CLIP-I.

    Source: Ruiz et al. 2023 (DreamBooth), arXiv:2208.12242, section 4.
    """
    if len(generated) == 0 or len(real) == 0:
        return float("nan")
    return float(generated.double().mean(0) @ real.double().mean(0))  # the mean of all dot products


def style_axis(base: Tensor, real: Tensor) -> Tensor | None:
    """Return the direction from what the base draws (P, S, D) to the real pictures (n, D): (D,), unit norm.

    None without real pictures, where both lie in one place, or with fewer than three prompts: the way would then lead
    away from what the prompts ask for, and taking it out would take their content.
    """
    if len(real) == 0 or len(base) < MIN_PROMPTS:
        return None
    way = real.double().mean(0) - base.double().mean((0, 1))
    length = float(way.norm())
    return way / length if length > MIN_AXIS else None


def without_axis(features: Tensor, axis: Tensor | None) -> Tensor:
    """Return `features` (…, D) with their part along `axis` taken out, unit norm again: content apart from style.

    Unit vectors share their length between content and style. Without this, learning a style would by itself draw the
    pictures of a prompt together and away from its text, and look like lost diversity and lost prompts.
    """
    if axis is None:
        return features
    x = features.double()
    return torch.nn.functional.normalize(x - (x @ axis)[..., None] * axis, dim=-1)


def prompt_matches(samples: Tensor, texts: Tensor) -> Tensor:
    """Return 100·cos of pictures with their own text: (P, S, D) and (P, D) to (P, S), in points."""
    return 100 * torch.einsum("psd,pd->ps", samples.double(), texts.double())


def prompt_margins(samples: Tensor, texts: Tensor) -> Tensor:
    """Return by how many points pictures match their own text better than the other prompts' texts: (P, S).

    margin = 100·[cos(G_p, t_p) − mean over q≠p of cos(G_p, t_q)]. What moves a picture from or towards all texts
    alike (a style) cancels. NaN with one prompt.
    """
    if len(texts) < 2:
        return torch.full(samples.shape[:2], float("nan"), dtype=torch.float64)
    cosines = 100 * samples.double() @ texts.double().T  # (P, S, P)
    own = cosines.diagonal(dim1=0, dim2=2).T  # (P, S)
    return own - (cosines.sum(2) - own) / (len(texts) - 1)


def prompt_drop(samples: Tensor, base: Tensor, texts: Tensor) -> float:
    """Return the loss of prompt match against the base in points, > 0 where the LoRA follows prompts less.

    Paired by prompt and seed: 10 · (1 − kept) with margins, that is points of 100·cosine on the scale of a CLIP that
    sets matching texts ten points apart. A CLIP that spreads wider (the embedded one: 80 points) would otherwise call
    every change of style an alarm. Plain points where the base has no margin.
    """
    own, other = _comparable_matches(samples, base, texts)
    scale = USUAL_MARGIN / float(other.mean()) if _has_margin(base, texts) else 1.0
    return scale * float((other - own).mean())


def _comparable_matches(samples: Tensor, base: Tensor, texts: Tensor) -> tuple[Tensor, Tensor]:
    """Return prompt match of `samples` and `base` (P, S, D), each (P, S) in points, by the measure that fits the base.

    `prompt_margins` where the base has a margin of at least `MIN_MARGIN`, else plain `prompt_matches`.
    """
    measure = prompt_margins if _has_margin(base, texts) else prompt_matches
    return measure(samples, texts), measure(base, texts)


def _has_margin(base: Tensor, texts: Tensor) -> bool:
    return len(texts) > 1 and float(prompt_margins(base, texts).mean()) >= MIN_MARGIN
