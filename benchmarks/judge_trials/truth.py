"""What a checkpoint is worth in truth: pictures of scenes that no trial and no judge used, read by `reader`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import load_file, save
from torch import Tensor

from benchmarks.judge_trials.discriminator import Discriminator, load_discriminator
from benchmarks.judge_trials.networks import draw_styles, through_vae
from benchmarks.judge_trials.reader import Reader, load_reader
from benchmarks.judge_trials.sets import TrialSet
from benchmarks.judge_trials.texture import textures
from eval.sampling import sample_each
from eval.spec import Drawing
from foundation.adapters.files import put_on, take_off
from foundation.bases.port import Base
from foundation.data.folder import read_folder
from foundation.files.durable import write_bytes
from train.pocket.loop import draw_all as world_pictures
from train.pocket.world import ALL_STYLES, Scene

SEEDS: Final = range(501, 507)
"""An equal share of the scenes is drawn with each; neither trials nor finals use them."""
DRAWING: Final = Drawing(steps=6, guidance_scale=5.0, batch_rows=64, sampler="dpm++")
COPY: Final = 0.5
"""A picture nearer to a training picture than this share of what held-out pictures are (median) is a copy."""
DRAWING_SEEDS: Final = (901, 902)
"""Each scene is drawn with both, as the style would have it."""
_SHIFT: Final = 2
_SCALE_SEED, _SCALE_POOL = 99, 12 * len(ALL_STYLES)
"""Drawings in all styles, whose spread textures are measured in: what hardly differs between styles is no style."""


@dataclass(frozen=True, slots=True)
class Truth:
    """Of one checkpoint; every field but `each` a mean over NUM_TRUTH pictures."""

    quality: float
    """0 to 1: shown × the mean of styled and told, nothing for a copy or for what went away from the style."""
    shown: float
    """0 to 1, the share of the prompt's parts that are there."""
    whole: float
    """0 to 1, how many pictures show all of them."""
    styled: float
    """How much of the way from the base's picture to a drawing of that scene was gone, by fixed filters; 1 all, below 0
    away from it."""
    copied: float
    """0 to 1, how many pictures copy a training picture."""
    each: tuple[float, ...]
    """Quality of each picture, always in the same order of scenes."""
    told: float = math.nan
    """How much of the way from the base's pictures to drawings the log-probability of the style has gone, by a network
    that sees small patches alone; 1 all. NaN where it was not read."""


class Measure:
    """How much of `scenes` pictures show, and how far they have gone from the base's `pixels` to drawings in `style`.

    Pictures are always (N, 3, 64, 64) uint8, one for each of the N scenes, in their order.
    """

    def __init__(self, base: Base, readers: Readers, style: str, scenes: Sequence[Scene], pixels: Tensor) -> None:
        self._base = base
        self._readers = readers
        self._style = style
        self._scenes = scenes
        drawings = [self._drawings(seed) for seed in DRAWING_SEEDS]
        self._told = [self._log_probability(each) for each in (pixels, torch.cat(drawings))]
        self._scale = textures(through_vae(base, draw_styles(_SCALE_SEED, _SCALE_POOL).pixels)).std(0).clamp(min=1e-3)
        self._textures = [textures(each) / self._scale for each in drawings]
        self._from_base = self._to_drawings(pixels)
        self._between = (self._textures[0] - self._textures[1]).norm(dim=1)

    def quality(self, pixels: Tensor) -> Tensor:
        """Shown × style of each picture, (N,), copies not looked for; style is the mean of both readings."""
        style = (self.style_share(pixels).clamp(0, 1) + self.style_told(pixels).clamp(0, 1)) / 2
        return self.share_shown(pixels)[0] * style

    def share_shown(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """See `Reader.share_shown`."""
        return self._readers.reader.share_shown(pixels, self._scenes)

    def style_share(self, pixels: Tensor) -> Tensor:
        """How much of the way to the drawings each picture has gone, (N,): 1 is as like one as another drawing is.

        The way is the mean over the scenes: some happen to lie near.
        """
        gone: Tensor = (self._from_base - self._to_drawings(pixels)) / (self._from_base - self._between).mean()
        return gone.clamp(-1, 1).double()

    def style_told(self, pixels: Tensor) -> Tensor:
        """How much of the way to drawings the discriminator's log-probability of the style has gone, (N,)."""
        base, real = self._told
        return ((self._log_probability(pixels) - base.mean()) / (real.mean() - base.mean())).clamp(-1, 1)

    def _log_probability(self, pixels: Tensor) -> Tensor:
        return self._readers.discriminator.log_probability(pixels, self._style)

    def _to_drawings(self, pixels: Tensor) -> Tensor:
        """Mean distance of each picture's texture to the drawings of its scene, (N,)."""
        texture = textures(pixels) / self._scale
        return torch.stack([(texture - each).norm(dim=1) for each in self._textures]).mean(0)

    def _drawings(self, seed: int) -> Tensor:
        """The scenes as the style would have them, (N, 3, 64, 64) uint8, through the VAE as samples are."""
        drawn = world_pictures(self._scenes, [self._style] * len(self._scenes), seed)
        return through_vae(self._base, drawn.pixels)


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


class Inspector:
    """Draws with a checkpoint and reads the truth off its pictures.

    What was drawn is kept in `kept`, so that it can be read anew in seconds. `pictures` is the set's folder.
    """

    def __init__(self, base: Base, readers: Readers, chosen: TrialSet, pictures: Path, kept: Path) -> None:
        self._base = base
        self._set = chosen
        self._kept = kept
        train, held_out = (_pixels(pictures / part) for part in ("train", "validation"))
        self._train = train
        self._near = COPY * float(_nearest(held_out, train).median())
        self._measure = Measure(base, readers, chosen.style, chosen.truth_scenes(), self.pictures(None))

    def inspect(self, checkpoint: Path | None) -> Truth:
        """Read a checkpoint's truth, or the base's own for None."""
        pixels = self.pictures(checkpoint)
        shown, whole = self._measure.share_shown(pixels)
        styled = self._measure.style_share(pixels)
        copied = (_nearest(pixels, self._train) < self._near).double()
        quality = self._measure.quality(pixels) * (1 - copied)
        return Truth(
            quality=float(quality.mean()),
            shown=float(shown.mean()),
            whole=float(whole.double().mean()),
            styled=float(styled.mean()),
            told=float(self._measure.style_told(pixels).mean()),
            copied=float(copied.mean()),
            each=tuple(round(value, 3) for value in quality.tolist()),
        )

    def pictures(self, checkpoint: Path | None) -> Tensor:
        """What it draws for the scenes, (NUM_TRUTH, 3, 64, 64) uint8; from disk, if it was drawn before."""
        name = "base" if checkpoint is None else f"{checkpoint.parents[1].name}-{checkpoint.name}"
        file = self._kept / f"{name}.safetensors"
        if not file.exists():
            with self._with(checkpoint) as pipeline:
                write_bytes(file, save({"pixels": as_pixels(self._draw(pipeline)).contiguous()}))
        pixels: Tensor = load_file(file)["pixels"]
        return pixels

    def _draw(self, pipeline: Any) -> list[Image.Image]:
        captions = [scene.caption(self._set.style) for scene in self._set.truth_scenes()]
        share = len(captions) // len(SEEDS)
        pairs = [(caption, SEEDS[number // share]) for number, caption in enumerate(captions)]
        (images,) = sample_each(pipeline, pairs, DRAWING, copies=1)
        return images

    @contextmanager
    def _with(self, checkpoint: Path | None) -> Iterator[Any]:
        """The pipeline with the LoRA."""
        pipeline = self._base.pipeline
        if checkpoint is None:
            yield pipeline
            return
        put_on(pipeline, checkpoint, "inspected")
        try:
            yield pipeline
        finally:
            take_off(pipeline)


def _pixels(folder: Path) -> Tensor:
    pictures, _ = read_folder(folder, where=str(folder))
    return as_pixels([picture.open() for picture in pictures])


def as_pixels(images: Sequence[Image.Image]) -> Tensor:
    """Pictures as (N, 3, 64, 64) uint8."""
    return torch.from_numpy(np.stack([np.asarray(image.convert("RGB")) for image in images])).permute(0, 3, 1, 2)


def _nearest(pictures: Tensor, others: Tensor) -> Tensor:
    """Root mean square difference of each picture to the nearest of `others`, moved by up to `_SHIFT` pixels, (N,).

    At half size, where strokes of chalk or pencil are gone and things and grounds are left.
    """
    one, two = (F.avg_pool2d(pixels.float(), 2) for pixels in (pictures, others))
    moves = range(-_SHIFT // 2, _SHIFT // 2 + 1)
    distances = [
        torch.cdist(torch.roll(one, (dy, dx), dims=(2, 3)).flatten(1), two.flatten(1)).min(1).values
        for dy in moves
        for dx in moves
    ]
    nearest: Tensor = torch.stack(distances).min(0).values
    return nearest / math.sqrt(one[0].numel())
