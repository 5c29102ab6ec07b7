"""Reads what a picture of the drawn world shows. The truth of these trials, and no part of the judge.

A small convolutional network, trained on drawn scenes in all styles, those of the trials among them. It shares neither
weights nor kind with the judge's CLIP: it knows the world's parts by number and no sentence.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.judge_trials.networks import (
    SEED,
    convolutions,
    draw_styles,
    lesson_of_styles,
    load_network,
    through_vae,
    vary,
)
from foundation.bases.port import Base
from train.pocket.loop import Pictures, to_unit
from train.pocket.world import PART_SIZES, Scene, parts_of

STEPS: Final = 2600
TEST: Final = 350


class _Network(nn.Module):
    """Pictures (B, 3, 64, 64) in [-1, 1] to one row of logits for each part of a scene."""

    def __init__(self) -> None:
        super().__init__()
        layers = ((3, 32, 5, 2), (32, 64, 3, 2), (64, 64, 3, 1), (64, 128, 3, 2), (128, 128, 3, 1))
        seen = nn.Linear(128 * 64, 256)
        self.body = nn.Sequential(*convolutions(layers), nn.Flatten(), nn.Dropout(0.2), seen, nn.ReLU(inplace=True))
        self.heads = nn.ModuleList(nn.Linear(256, size) for size in PART_SIZES)

    def forward(self, pixels: Tensor) -> list[Tensor]:
        seen = self.body(pixels)
        return [head(seen) for head in self.heads]


class Reader:
    """The trained network."""

    def __init__(self, network: nn.Module) -> None:
        self._network = network.eval()

    @torch.no_grad()
    def share_shown(self, pixels: Tensor, wanted: Sequence[Scene]) -> tuple[Tensor, Tensor]:
        """Of uint8 pictures (N, 3, 64, 64): the share of the wanted scene's parts that is there (N,), and if all are.

        The parts are the background, colours and shapes of one or two things, and their relation.
        """
        parts = self._network(to_unit(pixels))
        known = torch.tensor([parts_of(scene) for scene in wanted])  # (N, 6)
        right = torch.stack([logits.argmax(1) for logits in parts], dim=1) == known
        return right.double().mean(1), right.all(1)


def load_reader(base: Base, file: Path) -> Reader:
    """The reader from `file`, trained first (minutes) when it is not there."""
    network = _Network()

    def loss(pixels: Tensor, wanted: Tensor, generator: torch.Generator) -> Tensor:
        read = network(vary(pixels, generator))
        return torch.stack([F.cross_entropy(logits, wanted[:, i]) for i, logits in enumerate(read)]).sum()

    load_network(network, file, lesson_of_styles(base, STEPS, _parts, loss))
    return Reader(network)


def _parts(pictures: Pictures) -> Tensor:
    return torch.tensor([parts_of(scene) for scene in pictures.scenes])


def accuracy(reader: Reader, base: Base, style: str) -> tuple[float, float]:
    """On drawn scenes after the VAE, as samples are: share of parts read right, and of scenes read wholly right."""
    pictures = draw_styles(SEED + 1, TEST, (style,))
    shown, whole = reader.share_shown(through_vae(base, pictures.pixels), pictures.scenes)
    return float(shown.mean()), float(whole.double().mean())
