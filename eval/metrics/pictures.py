"""The metrics that are taken of pictures, each a function of what the judge saw; their formulas stand beside."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from eval.metrics import copying, distribution, similarity, spread, style
from eval.metrics.seen import Seen, View


def style_of(seen: Seen) -> float:
    """Style fidelity of all pictures; NaN without two real pictures."""
    way = style_way_of(seen)
    return float(way.share(*style.every(way.apart))) if way else math.nan


def style_way_of(seen: Seen) -> style.Way | None:
    """What style fidelity is made of; None without two real pictures."""
    return _way(seen.style, seen.style.samples, seen.style.base_samples)


def leak_of(seen: Seen) -> float:
    """Style fidelity on prompts that did not ask for the style."""
    if not len(seen.style.base_unrelated):
        return math.nan
    way = _way(seen.style, seen.style.unrelated, seen.style.base_unrelated)
    return float(way.share(*style.every(way.apart))) if way else math.nan


def _way(view: View, samples: Tensor, base_samples: Tensor) -> style.Way | None:
    real = torch.cat([view.train, view.held_out])
    return style.way(samples, base_samples, real) if len(real) >= style.MIN_REAL else None


def prompt_match_of(seen: Seen) -> float:
    """The CLIP score."""
    samples = seen.clip.samples
    texts = seen.prompts.repeat_interleave(samples.shape[1], dim=0)  # (P·S, D)
    return similarity.clip_score(samples.flatten(0, 1), texts)


def prompt_kept_of(seen: Seen) -> float:
    """The mean of `prompt_matches_of` over the base's."""
    match, base_match = prompt_matches_of(seen)
    return float(match.mean() / base_match.mean().clamp(min=similarity.MIN_MARGIN))


def prompt_drop_of(seen: Seen) -> float:
    """The loss of prompt match, the learned style taken out."""
    return similarity.prompt_drop(*_contents(seen.clip), _prompts(seen))


def prompt_matches_of(seen: Seen) -> tuple[Tensor, Tensor]:
    """Prompt match of the checkpoint's and the base's pictures in points, the learned style taken out: both (P, S)."""
    samples, base_samples = _contents(seen.clip)
    prompts = _prompts(seen)
    return similarity.prompt_matches(samples, prompts), similarity.prompt_matches(base_samples, prompts)


def real_match_of(seen: Seen) -> float:
    """Mean prompt match of real pictures with their own captions in points, the learned style taken out; NaN for none.

    What pictures wholly in the style can have: a CLIP reads some styles less well than what the base draws.
    """
    if not len(seen.captioned):
        return math.nan
    axis = _axis(seen.clip)
    real = similarity.without_axis(torch.cat([seen.clip.train, seen.clip.held_out])[seen.captioned], axis)
    return float(similarity.prompt_matches(real[:, None], similarity.without_axis(seen.real_texts, axis)).mean())


def copy_rate_of(seen: Seen) -> float:
    """The share of copies less the base's own; NaN without training pictures enough to tell a copy of one by."""
    if len(seen.compositions.train) < copying.MIN_TRAIN:
        return math.nan
    return copying.copy_rate(seen.all_copied, seen.base_all_copied)


def copies_of(seen: Seen) -> float:
    """How many pictures copy; NaN where the rate is."""
    return math.nan if math.isnan(copy_rate_of(seen)) else float(seen.all_copied.sum())


def diversity_of(seen: Seen) -> float:
    """The spread of compositions within prompts; a CLIP sees less difference in some styles, and none in others."""
    return spread.diversity(*_compositions(seen))


def prompt_spread_of(seen: Seen) -> float:
    """The spread of compositions from prompt to prompt."""
    return spread.prompt_spread(*_compositions(seen))


def drift_of(seen: Seen) -> float:
    """How far unrelated prompts' pictures are from the base's."""
    return spread.drift(seen.images.unrelated, seen.images.base_unrelated)


def image_similarity_of(seen: Seen) -> float:
    """CLIP-I, or what another eye has for it."""
    return similarity.image_similarity(seen.images.samples.flatten(0, 1), seen.images.held_out)


def fid_of(seen: Seen) -> float:
    """Fréchet distance to held-out pictures."""
    return distribution.fid(seen.images.held_out, seen.images.samples.flatten(0, 1))


def kid_of(seen: Seen) -> float:
    """Kernel distance to held-out pictures; its kernel expects coordinates of unit size, not unit vectors."""
    pictures = seen.images.samples.flatten(0, 1)
    coordinates = math.sqrt(pictures.shape[1])
    return distribution.kid(seen.images.held_out * coordinates, pictures * coordinates)


def cmmd_of(seen: Seen) -> float:
    """Maximum mean discrepancy to held-out pictures, CLIP's by definition."""
    return distribution.cmmd(seen.clip.held_out, seen.clip.samples.flatten(0, 1))


def _compositions(seen: Seen) -> tuple[Tensor, Tensor, Tensor]:
    """The checkpoint's (P, S, D), the base's (P, S, D), and those of real pictures (n, D)."""
    view = seen.compositions
    return view.samples, view.base_samples, torch.cat([view.train, view.held_out])


def _axis(view: View) -> Tensor | None:
    """The learned style's direction (D,)."""
    return similarity.style_axis(view.base_samples, torch.cat([view.train, view.held_out]))


def _contents(view: View) -> tuple[Tensor, Tensor]:
    """Samples and the base's samples, both (P, S, D), the learned style taken out."""
    axis = _axis(view)
    return similarity.without_axis(view.samples, axis), similarity.without_axis(view.base_samples, axis)


def _prompts(seen: Seen) -> Tensor:
    """The prompts (P, D), the learned style taken out."""
    return similarity.without_axis(seen.prompts, _axis(seen.clip))
