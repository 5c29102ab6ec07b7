"""Tells in which style a picture of the drawn world is, from small patches alone. A second reading of the truth.

A convolutional network whose receptive field is 19 pixels wide, so that it knows strokes, paint and paper and no scene;
its verdict is the mean over all places (Brendel & Bethge 2019, arXiv:1904.00760). One class more, *none*, is for
pictures that are broken in the ways that trainings break them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.judge_trials.networks import (
    SEED,
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


class _Network(nn.Module):
    """Pictures (B, 3, 64, 64) in [-1, 1] to the log-probabilities of the styles and of none."""

    def __init__(self) -> None:
        super().__init__()
        layers = ((3, 32, 5, 2), (32, 64, 3, 1), (64, 96, 3, 1), (96, 96, 3, 2))
        blocks: list[nn.Module] = []
        for before, after, size, stride in layers:
            convolution = nn.Conv2d(before, after, size, stride=stride, padding=size // 2, bias=False)
            blocks += [convolution, nn.BatchNorm2d(after), nn.ReLU(inplace=True)]
        self.body = nn.Sequential(*blocks, nn.Conv2d(96, NO_STYLE + 1, 1))

    def forward(self, pixels: Tensor) -> Tensor:
        return self.body(pixels).mean((2, 3)).log_softmax(1)  # type: ignore[no-any-return]


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
    network = _Network()

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
