"""The truth of a LoRA for a style: its pictures of new scenes, read by `reader`, `discriminator` and `texture`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from benchmarks.judge_trials.discriminator import Discriminator, load_discriminator
from benchmarks.judge_trials.networks import draw_styles, through_vae
from benchmarks.judge_trials.reader import Reader, load_reader
from benchmarks.judge_trials.sets import TrialSet
from benchmarks.judge_trials.texture import textures
from benchmarks.judge_trials.truth import COPY, Drawer, Truth, folder_pixels, nearest, way_gone
from foundation.bases.port import Base
from train.pocket.loop import draw_all as world_pictures
from train.pocket.world import ALL_STYLES, Scene

DRAWING_SEEDS: Final = (901, 902)
"""Each scene is drawn with both, as the style would have it."""
_SCALE_SEED, _SCALE_POOL = 99, 12 * len(ALL_STYLES)
"""Drawings in all styles, whose spread textures are measured in: what hardly differs between styles is no style."""


class TextureWay:
    """How far pictures of `scenes` have gone from the base's `pixels` to drawings in `style`, by fixed filters alone.

    Pictures are always (N, 3, 64, 64) uint8, one for each of the N scenes, in their order.
    """

    def __init__(self, base: Base, style: str, scenes: Sequence[Scene], pixels: Tensor) -> None:
        self.drawings = [
            through_vae(base, world_pictures(scenes, [style] * len(scenes), seed).pixels) for seed in DRAWING_SEEDS
        ]
        """The scenes as the style would have them, by `DRAWING_SEEDS`."""
        self._scale = textures(through_vae(base, draw_styles(_SCALE_SEED, _SCALE_POOL).pixels)).std(0).clamp(min=1e-3)
        self._textures = [textures(each) / self._scale for each in self.drawings]
        self._from_base = self._to_drawings(pixels)
        self._between = (self._textures[0] - self._textures[1]).norm(dim=1)

    def gone(self, pixels: Tensor) -> Tensor:
        """How much of the way to the drawings each picture has gone, (N,): 1 is as like one as another drawing is.

        The way is the mean over the scenes: some happen to lie near.
        """
        gone: Tensor = (self._from_base - self._to_drawings(pixels)) / (self._from_base - self._between).mean()
        return gone.clamp(-1, 1).double()

    def _to_drawings(self, pixels: Tensor) -> Tensor:
        """Mean distance of each picture's texture to the drawings of its scene, (N,)."""
        texture = textures(pixels) / self._scale
        return torch.stack([(texture - each).norm(dim=1) for each in self._textures]).mean(0)


class Measure:
    """How much of `scenes` pictures show, and how far they have gone from the base's `pixels` to drawings in `style`.

    Pictures are always (N, 3, 64, 64) uint8, one for each of the N scenes, in their order.
    """

    def __init__(self, base: Base, readers: Readers, style: str, scenes: Sequence[Scene], pixels: Tensor) -> None:
        self._readers = readers
        self._style = style
        self._scenes = scenes
        self._way = TextureWay(base, style, scenes, pixels)
        self._told = [self._log_probability(each) for each in (pixels, torch.cat(self._way.drawings))]

    def quality(self, pixels: Tensor) -> Tensor:
        """Shown × style of each picture, (N,), copies not looked for; style is the mean of both readings."""
        style = (self.style_share(pixels).clamp(0, 1) + self.style_told(pixels).clamp(0, 1)) / 2
        return self.share_shown(pixels)[0] * style

    def share_shown(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """See `Reader.share_shown`."""
        return self._readers.reader.share_shown(pixels, self._scenes)

    def style_share(self, pixels: Tensor) -> Tensor:
        """See `TextureWay.gone`."""
        return self._way.gone(pixels)

    def style_told(self, pixels: Tensor) -> Tensor:
        """How much of the way to drawings the discriminator's log-probability of the style has gone, (N,)."""
        base, real = self._told
        return way_gone(self._log_probability(pixels), base, real)

    def _log_probability(self, pixels: Tensor) -> Tensor:
        return self._readers.discriminator.log_probability(pixels, self._style)


@dataclass(frozen=True, slots=True)
class Readers:
    """The networks that read the truth."""

    reader: Reader
    discriminator: Discriminator


def load_readers(base: Base, folder: Path) -> Readers:
    """Those in `folder`, trained first (a quarter of an hour) where they are not there."""
    return Readers(
        reader=load_reader(base, folder / "reader.safetensors"),
        discriminator=load_discriminator(base, folder / "discriminator.safetensors"),
    )


class StyleInspector:
    """Draws with a checkpoint and reads the truth off its pictures.

    `pictures` is the set's folder, `kept` a `Drawer`'s.
    """

    def __init__(self, base: Base, readers: Readers, chosen: TrialSet, pictures: Path, kept: Path) -> None:
        scenes = chosen.truth_scenes()
        self._drawer = Drawer(base, [scene.caption(chosen.style) for scene in scenes], kept)
        train, held_out = (folder_pixels(pictures / part) for part in ("train", "validation"))
        self._train = train
        self._near = COPY * float(nearest(held_out, train).median())
        self._measure = Measure(base, readers, chosen.style, scenes, self._drawer.pictures(None))

    def inspect(self, checkpoint: Path | None) -> Truth:
        """Read a checkpoint's truth, or the base's own for None."""
        pixels = self._drawer.pictures(checkpoint)
        shown, whole = self._measure.share_shown(pixels)
        way = self._measure.style_share(pixels)
        copied = (nearest(pixels, self._train) < self._near).double()
        quality = self._measure.quality(pixels) * (1 - copied)
        return Truth(
            quality=float(quality.mean()),
            shown=float(shown.mean()),
            whole=float(whole.double().mean()),
            way=float(way.mean()),
            told=float(self._measure.style_told(pixels).mean()),
            copied=float(copied.mean()),
            each=tuple(round(value, 3) for value in quality.tolist()),
        )
