"""Tells in which style a picture of the drawn world is, from small patches alone. A second reading of the truth.

A `PatchNetwork`, which knows strokes, paint and paper and no scene. One class more, *none*, is for pictures that are
broken in the ways that trainings break them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.judge_trials.networks import (
    SEED,
    PatchNetwork,
    damage,
    draw_styles,
    lesson_of_styles,
    load_network,
    through_vae,
    vary,
)
from foundation.bases.port import Base
from train.pocket.loop import Pictures, to_unit
from train.pocket.world import ALL_STYLES

NO_STYLE: Final = len(ALL_STYLES)
BROKEN_SHARE: Final = 0.25
STEPS: Final = 2000
TEST: Final = 200


class Discriminator:
    """The trained network."""

    def __init__(self, network: nn.Module) -> None:
        self._network = network.eval()

    @torch.no_grad()
    def log_probability(self, pixels: Tensor, style: str) -> Tensor:
        """The logarithm of how probable it is of each uint8 picture (N, 3, 64, 64) that it is in `style`: (N,)."""
        logs = torch.cat([self._network(to_unit(part)) for part in torch.split(pixels, 100)])
        return logs[:, ALL_STYLES.index(style)].double()


def load_discriminator(base: Base, file: Path) -> Discriminator:
    """The discriminator from `file`, trained first (minutes) when it is not there."""
    network = PatchNetwork(NO_STYLE + 1)

    def loss(pixels: Tensor, wanted: Tensor, generator: torch.Generator) -> Tensor:
        count = int(len(pixels) * BROKEN_SHARE)
        shown = torch.cat([vary(pixels[count:], generator), damage(pixels[:count], generator)])
        told = torch.cat([wanted[count:], torch.full_like(wanted[:count], NO_STYLE)])
        return F.nll_loss(network(shown), told)

    load_network(network, file, lesson_of_styles(base, STEPS, _styles, loss))
    return Discriminator(network)


def _styles(pictures: Pictures) -> Tensor:
    return torch.tensor([ALL_STYLES.index(str(style)) for style in pictures.styles])


def style_accuracy(discriminator: Discriminator, base: Base, style: str) -> float:
    """The mean probability that it gives to drawings in `style`, after the VAE as samples are."""
    pixels = through_vae(base, draw_styles(SEED + 1, TEST, (style,)).pixels)
    return float(discriminator.log_probability(pixels, style).exp().mean())
