"""What a checkpoint is worth in truth: read from pictures of scenes that no trial and no judge used."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import load_file, save
from torch import Tensor

from eval.sampling import sample_each
from eval.spec import Drawing
from foundation.adapters.files import put_on, take_off
from foundation.bases.port import Base
from foundation.data.folder import read_folder
from foundation.files.durable import write_bytes

SEEDS: Final = range(501, 507)
"""An equal share of the pictures is drawn with each; neither trials nor finals use them."""
DRAWING: Final = Drawing(steps=6, guidance_scale=5.0, batch_rows=64, sampler="dpm++")
COPY: Final = 0.5
"""A picture nearer to a training picture than this share of what other such pictures are (median) is a copy."""
_SHIFT: Final = 2


@dataclass(frozen=True, slots=True)
class Truth:
    """Of one checkpoint; every field but `each` a mean over NUM_TRUTH pictures."""

    quality: float
    """0 to 1: shown × the mean of `way` and `told`, nothing for a copy or for what went away from the aim."""
    shown: float
    """0 to 1, the share of the prompt's parts that are there."""
    whole: float
    """0 to 1, how many pictures show all of them."""
    way: float
    """How much of the way from the base's pictures to drawings of the same scenes was gone; 1 all, below 0 away from
    them. For a style by fixed filters, for a subject by a network that sees whole pictures."""
    copied: float
    """0 to 1, how many pictures copy a training picture."""
    each: tuple[float, ...]
    """Quality of each picture, always in the same order of scenes."""
    told: float = math.nan
    """The same way as a second network sees it, which knows small patches alone, by the log-probability that it gives
    to the style or subject. NaN where it was not read."""
    leaked: float = math.nan
    """How much of the way to the subject the pictures of its class word have gone, as `way` has it. NaN for a style."""


class Inspector(Protocol):
    """Draws with a checkpoint and reads the truth off its pictures."""

    def inspect(self, checkpoint: Path | None) -> Truth:
        """Read a checkpoint's truth, or the base's own for None."""


class Drawer:
    """Draws a picture for each of N `captions`.

    What was drawn is kept in the folder `kept`, so that it can be read anew in seconds.
    """

    def __init__(self, base: Base, captions: Sequence[str], kept: Path) -> None:
        self._base = base
        self._captions = captions
        self._kept = kept

    def pictures(self, checkpoint: Path | None) -> Tensor:
        """What a checkpoint draws, or the base for None, (N, 3, 64, 64) uint8; from disk, if it was drawn before."""
        name = "base" if checkpoint is None else f"{checkpoint.parents[1].name}-{checkpoint.name}"
        file = self._kept / f"{name}.safetensors"
        if not file.exists():
            with self._with(checkpoint) as pipeline:
                write_bytes(file, save({"pixels": as_pixels(self._draw(pipeline)).contiguous()}))
        pixels: Tensor = load_file(file)["pixels"]
        return pixels

    def _draw(self, pipeline: Any) -> list[Image.Image]:
        share = len(self._captions) // len(SEEDS)
        pairs = [(caption, SEEDS[number // share]) for number, caption in enumerate(self._captions)]
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


def way_gone(now: Tensor, base: Tensor, real: Tensor) -> Tensor:
    """How much of the way from what the base's pictures read to what drawings read was gone, (N,) in [-1, 1]."""
    return ((now - base.mean()) / (real.mean() - base.mean())).clamp(-1, 1)


def as_pixels(images: Sequence[Image.Image]) -> Tensor:
    """Pictures as (N, 3, 64, 64) uint8."""
    return torch.from_numpy(np.stack([np.asarray(image.convert("RGB")) for image in images])).permute(0, 3, 1, 2)


def folder_pixels(folder: Path) -> Tensor:
    """A folder's pictures, (N, 3, 64, 64) uint8."""
    pictures, _ = read_folder(folder, where=str(folder))
    return as_pixels([picture.open() for picture in pictures])


def nearest(pictures: Tensor, others: Tensor) -> Tensor:
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
    found: Tensor = torch.stack(distances).min(0).values
    return found / math.sqrt(one[0].numel())
