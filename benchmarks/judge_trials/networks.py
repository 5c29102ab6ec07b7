"""Trains the networks that read the truth: on drawn scenes, before and after the base's VAE."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save
from torch import Tensor, nn

from foundation.bases.port import Base
from foundation.files.durable import write_bytes
from train.pocket.loop import Pictures, draw_all, to_unit
from train.pocket.world import ALL_STYLES, scenes

POOL: Final = 400 * len(ALL_STYLES)
BATCH: Final = 48
DRAWN_SHARE: Final = 0.3
"""Of batches that did not go through the VAE."""
SEED: Final = 4242


def draw_styles(seed: int, count: int, styles: tuple[str, ...] = ALL_STYLES) -> Pictures:
    """Scenes that are not held out, in each of the `styles` in turn."""
    chosen = scenes(seed, count, held_out=False)
    return draw_all(chosen, [styles[i % len(styles)] for i in range(count)], seed)


def convolutions(
    layers: Sequence[tuple[int, int, int, int]], norm: Callable[[int], nn.Module] = nn.BatchNorm2d
) -> list[nn.Module]:
    """Convolutions with a norm and a ReLU behind each; a layer is its channels before and after, window and stride."""
    blocks: list[nn.Module] = []
    for before, after, size, stride in layers:
        convolution = nn.Conv2d(before, after, size, stride=stride, padding=size // 2, bias=False)
        blocks += [convolution, norm(after), nn.ReLU(inplace=True)]
    return blocks


class PatchNetwork(nn.Module):
    """Pictures (B, 3, 64, 64) in [-1, 1] to log-probabilities of `num_classes`, by patches of 19 pixels alone.

    Its verdict is the mean over all places (Brendel & Bethge 2019, arXiv:1904.00760).
    """

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        layers = ((3, 32, 5, 2), (32, 64, 3, 1), (64, 96, 3, 1), (96, 96, 3, 2))
        self.body = nn.Sequential(*convolutions(layers), nn.Conv2d(96, num_classes, 1))

    def forward(self, pixels: Tensor) -> Tensor:
        """Return (B, num_classes)."""
        return self.body(pixels).mean((2, 3)).log_softmax(1)  # type: ignore[no-any-return]


@dataclass(frozen=True, slots=True)
class Lesson:
    """What a network is to learn."""

    steps: int
    begin: Callable[[], Callable[[torch.Generator], Tensor]]
    """Draws what is learned from (seconds to a minute); what it returns gives the loss of a batch by lot."""


def lesson_of_styles(
    base: Base,
    steps: int,
    wanted: Callable[[Pictures], Tensor],
    loss: Callable[[Tensor, Tensor, torch.Generator], Tensor],
) -> Lesson:
    """A lesson on POOL drawn scenes in all styles, as they are and as the base's VAE gives them back.

    `wanted` tells what is true of N pictures, (N, …), and `loss` is of pictures (B, 3, 64, 64) in [-1, 1] and of what
    is wanted of them.
    """

    def begin() -> Callable[[torch.Generator], Tensor]:
        pictures = draw_styles(SEED, POOL)
        decoded, true = through_vae(base, pictures.pixels), wanted(pictures)

        def batch(generator: torch.Generator) -> Tensor:
            rows = torch.randint(POOL, (BATCH,), generator=generator)
            source = pictures.pixels if torch.rand((), generator=generator) < DRAWN_SHARE else decoded
            return loss(to_unit(source[rows]), true[rows], generator)

        return batch

    return Lesson(steps, begin)


def load_network(network: nn.Module, file: Path, lesson: Lesson) -> None:
    """Read the network's weights from `file`; where there is none it is taught the lesson first (minutes)."""
    if not file.exists():
        _teach(network, lesson)
        write_bytes(file, save({name: tensor.contiguous() for name, tensor in network.state_dict().items()}))
    network.load_state_dict(load_file(file))
    network.eval()


def _teach(network: nn.Module, lesson: Lesson) -> None:
    batch = lesson.begin()
    torch.manual_seed(SEED)
    generator = torch.Generator().manual_seed(SEED)
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=2e-3, total_steps=lesson.steps)
    network.train().to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # faster on a CPU
    for _ in range(lesson.steps):
        loss = batch(generator)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()


def vary(pixels: Tensor, generator: torch.Generator) -> Tensor:
    """What a sound sample may differ by: a little brightness, contrast, noise, and a pixel of place."""
    shape = (len(pixels), 1, 1, 1)
    light = 1 + 0.06 * torch.randn(shape, generator=generator)
    shift = 0.04 * torch.randn(shape, generator=generator)
    noise = 0.02 * torch.randn(pixels.shape, generator=generator)
    moves = torch.randint(-2, 3, (2,), generator=generator).tolist()
    return torch.roll(pixels * light + shift + noise, moves, dims=(2, 3)).clamp(-1, 1)


def damage(pixels: Tensor, generator: torch.Generator) -> Tensor:
    """The ways in which trainings break pictures, one for each picture by lot."""
    n, others = len(pixels), pixels.roll(1, dims=0)
    strength = torch.rand((n, 1, 1, 1), generator=generator)
    coarse = torch.randn((n, 3, 11, 11), generator=generator)
    mottle = F.interpolate(coarse, size=pixels.shape[-1], mode="bicubic", align_corners=False)
    grey = pixels.mean(1, keepdim=True)
    mean = pixels.mean((1, 2, 3), keepdim=True)
    small = F.interpolate(pixels, scale_factor=0.25, mode="area")
    ways = (
        mean + (pixels - mean) * (1.7 + strength),  # burned in
        grey + (pixels - grey) * (2.2 + strength),  # oversaturated
        pixels + (0.25 + 0.3 * strength) * mottle,  # mottled
        pixels + (0.2 + 0.3 * strength) * torch.randn(pixels.shape, generator=generator),  # noise
        (0.35 + 0.3 * strength) * pixels + (0.65 - 0.3 * strength) * others,  # two scenes in one
        F.interpolate(small, size=pixels.shape[-1], mode="bilinear", align_corners=False),  # blurred
        mean + (pixels - mean) * (0.15 + 0.25 * strength),  # washed out
    )
    chosen = torch.randint(len(ways), (n,), generator=generator)
    return torch.stack(ways)[chosen, torch.arange(n)].clamp(-1, 1)


@torch.no_grad()
def through_vae(base: Base, pixels: Tensor) -> Tensor:
    """uint8 pictures as the VAE gives them back: what the best sample could look like."""
    parts = []
    for part in torch.split(pixels, 64):
        mean, _ = base.encode_images(to_unit(part))
        parts.append(((base.decode_images(mean).clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8))
    return torch.cat(parts)
