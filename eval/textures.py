"""The eye for style: how pictures are painted, and what they show, as a vision transformer sees both.

A CLIP's or DINOv2's last features say what a picture shows; how it is painted is in its layers before, in what all
places have in common: mean and deviation of each channel (Huang & Belongie 2017, arXiv:1703.06868, section 4; Gatys,
Ecker & Bethge 2016, Image style transfer using convolutional neural networks, had Gram matrices). Which layer, and
that both together tell more than either: docs/judge.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import torch
from PIL import Image
from torch import Tensor

from eval.features import FeatureExtractor
from eval.patches import PatchExtractor

MIN_DEVIATION: Final = 1e-3
"""Least deviation of a channel among real pictures that distances are measured in."""


@dataclass(frozen=True, slots=True)
class TextureExtractor:
    """A vision transformer's layer beside its features; see `images`."""

    eye: FeatureExtractor
    patches: PatchExtractor
    """What the eye's transformer sees at each place."""

    def images(self, images: Sequence[Image.Image]) -> Tensor:
        """Return mean and deviation over all places of each of W channels, then the eye's features: (N, 2·W + D).

        float32 on the CPU; an empty list gives (0, 2·W + D).
        """
        parts = [torch.cat([places.mean(1), places.std(1)], dim=1) for places in self.patches.batches(images)]
        seen = torch.cat(parts) if parts else torch.zeros(0, 2 * self._width)
        return torch.cat([seen, self.eye.images(images)], dim=1)

    def parts(self, width: int) -> tuple[int, ...]:
        """Return how wide the parts are of rows of this width that count alike."""
        return 2 * self._width, width - 2 * self._width

    @property
    def _width(self) -> int:
        return self.patches.width


def scale_of(real: Tensor, parts: Sequence[int]) -> Tensor:
    """Return what to divide rows by, (D,), so that in each of their `parts` real ones (n, D) lie 1 apart, in the mean.

    Each channel by its deviation among the real pictures, then each part by their mean distance; `parts` are widths.
    Ones for fewer than two real pictures.
    """
    if len(real) < 2:
        return torch.ones(real.shape[1], dtype=torch.float64)
    rows = real.double()
    deviation = rows.std(0).clamp(min=MIN_DEVIATION)
    sizes = [
        torch.pdist(part).mean().clamp(min=MIN_DEVIATION).expand(part.shape[1])
        for part in torch.split(rows / deviation, list(parts), dim=1)
    ]
    return deviation * torch.cat(sizes)
