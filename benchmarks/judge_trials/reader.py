"""Reads what a picture of the drawn world shows. The truth of these trials, and no part of the judge.

A small convolutional network, trained on drawn scenes alone. It shares neither weights nor kind with the judge's CLIP:
it knows the world's parts by number and no sentence. Its styles have one class more, *none*, for pictures that are
broken in the ways that trainings break them: burned in, mottled, washed out, two scenes in one.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save
from torch import Tensor, nn

from foundation.bases.port import Base
from foundation.files.durable import write_bytes
from train.pocket.loop import Pictures, draw_all, to_unit
from train.pocket.world import PART_SIZES, STYLES, Scene, parts_of, scenes

NO_STYLE: Final = len(STYLES)
POOL: Final = 7000
STEPS: Final = 1800
BATCH: Final = 48
BROKEN_SHARE: Final = 0.25
TEST: Final = 350
_SEED: Final = 4242
_TEXTURE_LAYERS: Final = (2, 8)
"""Of the network's body: after the first and the third convolution."""


class _Network(nn.Module):
    """Pictures (B, 3, 64, 64) in [-1, 1] to one row of logits for each part of a scene, and one for the style."""

    def __init__(self) -> None:
        super().__init__()
        layers = ((3, 32, 5, 2), (32, 64, 3, 2), (64, 64, 3, 1), (64, 128, 3, 2), (128, 128, 3, 1))
        blocks: list[nn.Module] = []
        for before, after, size, stride in layers:
            convolution = nn.Conv2d(before, after, size, stride=stride, padding=size // 2, bias=False)
            blocks += [convolution, nn.BatchNorm2d(after), nn.ReLU(inplace=True)]
        seen = nn.Linear(128 * 64, 256)
        self.body = nn.Sequential(*blocks, nn.Flatten(), nn.Dropout(0.2), seen, nn.ReLU(inplace=True))
        self.heads = nn.ModuleList(nn.Linear(256, size) for size in (*PART_SIZES, len(STYLES) + 1))

    def forward(self, pixels: Tensor) -> list[Tensor]:
        seen = self.body(pixels)
        return [head(seen) for head in self.heads]


class Reader:
    """The trained network."""

    def __init__(self, network: _Network) -> None:
        self._network = network.eval()

    @torch.no_grad()
    def share_shown(self, pixels: Tensor, wanted: Sequence[Scene]) -> tuple[Tensor, Tensor]:
        """Of uint8 pictures (N, 3, 64, 64): the share of the wanted scene's parts that is there (N,), and if all are.

        The parts are the background, colours and shapes of one or two things, and their relation.
        """
        parts = self._network(to_unit(pixels))[:-1]
        known = torch.tensor([parts_of(scene) for scene in wanted])  # (N, 6)
        right = torch.stack([logits.argmax(1) for logits in parts], dim=1) == known
        return right.double().mean(1), right.all(1)

    @torch.no_grad()
    def style(self, pixels: Tensor) -> Tensor:
        """The most likely style's number in `STYLES` (N,), or `NO_STYLE`."""
        styles: Tensor = self._network(to_unit(pixels))[-1]
        return styles.argmax(1)

    @torch.no_grad()
    def texture(self, pixels: Tensor) -> list[Tensor]:
        """What strokes and paint look like, wherever they are: the Gram matrices of two depths, each (N, channels²).

        Source: Gatys, Ecker & Bethge 2016, Image style transfer using convolutional neural networks, equation 3.
        """
        seen, grams = to_unit(pixels), []
        for number, layer in enumerate(self._network.body):
            seen = layer(seen)
            if number in _TEXTURE_LAYERS:
                maps = seen.flatten(2)  # (N, channels, places)
                grams.append((maps @ maps.mT / maps.shape[2]).flatten(1))
        return grams


def load_reader(base: Base, file: Path) -> Reader:
    """The reader from `file`, trained first (minutes) when it is not there."""
    network = _Network()
    if not file.exists():
        _train(network, base)
        write_bytes(file, save({name: tensor.contiguous() for name, tensor in network.state_dict().items()}))
    network.load_state_dict(load_file(file))
    return Reader(network)


def accuracy(reader: Reader, base: Base, style: str) -> tuple[float, float, float]:
    """On drawn scenes after the VAE, as samples are: parts read right, scenes read wholly right, style read right."""
    pictures = _draw(_SEED + 1, TEST, [style])
    pixels = through_vae(base, pictures.pixels)
    shown, whole = reader.share_shown(pixels, pictures.scenes)
    styled = reader.style(pixels) == STYLES.index(style)
    return float(shown.mean()), float(whole.double().mean()), float(styled.double().mean())


def _draw(seed: int, count: int, styles: Sequence[str]) -> Pictures:
    return draw_all(scenes(seed, count, held_out=False), [styles[i % len(styles)] for i in range(count)], seed)


def _train(network: _Network, base: Base) -> None:
    pictures = _draw(_SEED, POOL, STYLES)
    parts = torch.tensor([parts_of(scene) for scene in pictures.scenes])  # (POOL, 6)
    styles = torch.tensor([STYLES.index(style) for style in pictures.styles])
    decoded = through_vae(base, pictures.pixels)
    generator = torch.Generator().manual_seed(_SEED)
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=2e-3, total_steps=STEPS)
    network.train().to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # faster on a CPU
    for _ in range(STEPS):
        rows = torch.randint(POOL, (BATCH,), generator=generator)
        source = pictures.pixels if torch.rand((), generator=generator) < 0.3 else decoded
        whole, broken = rows[int(BATCH * BROKEN_SHARE) :], rows[: int(BATCH * BROKEN_SHARE)]
        damaged = _break(to_unit(source[broken]), to_unit(decoded[broken.roll(1)]), generator)
        pixels = torch.cat([_vary(to_unit(source[whole]), generator), damaged])
        *part_logits, style_logits = network(pixels)
        wanted = torch.cat([styles[whole], torch.full_like(broken, NO_STYLE)])
        loss = F.cross_entropy(style_logits, wanted)
        for number, logits in enumerate(part_logits):  # what a broken picture shows is nobody's question
            loss = loss + F.cross_entropy(logits[: len(whole)], parts[whole, number])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()


def _vary(pixels: Tensor, generator: torch.Generator) -> Tensor:
    """What a sound sample may differ by: a little brightness, contrast, noise, and a pixel of place."""
    shape = (len(pixels), 1, 1, 1)
    light = 1 + 0.06 * torch.randn(shape, generator=generator)
    shift = 0.04 * torch.randn(shape, generator=generator)
    noise = 0.02 * torch.randn(pixels.shape, generator=generator)
    moves = torch.randint(-2, 3, (2,), generator=generator).tolist()
    return torch.roll(pixels * light + shift + noise, moves, dims=(2, 3)).clamp(-1, 1)


def _break(pixels: Tensor, others: Tensor, generator: torch.Generator) -> Tensor:
    """The ways in which trainings break pictures, one for each picture in turn."""
    n = len(pixels)
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
    vae: Any = base.pipeline.vae
    parts = []
    for part in torch.split(pixels, 64):
        decoded = vae.decode(vae.encode(to_unit(part)).latent_dist.mode()).sample
        parts.append(((decoded.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8))
    return torch.cat(parts)
