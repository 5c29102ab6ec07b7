"""What a checkpoint is worth in truth: pictures of scenes that no trial and no judge asked for, read by `reader`."""

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
from torch import Tensor

from benchmarks.judge_trials.reader import Reader
from benchmarks.judge_trials.sets import TrialSet
from eval.sampling import sample
from foundation.folder import read_folder
from train.bases import Base

SEEDS: Final = (501, 502)
"""Half of the scenes are drawn with each; neither trials nor finals use them."""
SAMPLE_STEPS: Final = 6
GUIDANCE: Final = 5.0
BATCH_ROWS: Final = 64
COPY: Final = 0.5
"""A picture nearer to a training picture than this share of what held-out pictures are (median) is a copy."""
_SHIFT: Final = 2


@dataclass(frozen=True, slots=True)
class Truth:
    """Of one checkpoint; every field but the last a mean over NUM_TRUTH pictures, 0 to 1."""

    quality: float
    """Shown × styled, nothing for a copy."""
    shown: float
    whole: float
    styled: float
    copied: float
    each: tuple[float, ...]
    """Quality of each picture, always in the same order of scenes."""


class Inspector:
    """Draws with a checkpoint and reads the truth off its pictures."""

    def __init__(self, base: Base, reader: Reader, chosen: TrialSet, pictures: Path) -> None:
        self._base = base
        self._reader = reader
        self._set = chosen
        self._scenes = chosen.truth_scenes()
        train, held_out = (_pixels(pictures / part) for part in ("train", "validation"))
        self._train = train
        self._near = COPY * float(_nearest(held_out, train).median())

    def inspect(self, checkpoint: Path | None) -> Truth:
        """Read a checkpoint's truth, or the base's own for None."""
        with self._with(checkpoint) as pipeline:
            pixels = _as_tensor(self._draw(pipeline))
        seen = self._reader.read(pixels, self._scenes, self._set.style)
        copied = (_nearest(pixels, self._train) < self._near).double()
        quality = seen.shown * seen.styled * (1 - copied)
        return Truth(
            quality=float(quality.mean()),
            shown=float(seen.shown.mean()),
            whole=float(seen.whole.double().mean()),
            styled=float(seen.styled.mean()),
            copied=float(copied.mean()),
            each=tuple(round(value, 3) for value in quality.tolist()),
        )

    def _draw(self, pipeline: Any) -> list[Image.Image]:
        captions = [scene.caption(self._set.style) for scene in self._scenes]
        share = len(captions) // len(SEEDS)
        return [
            image
            for number, seed in enumerate(SEEDS)
            for image in sample(
                pipeline,
                captions[number * share : (number + 1) * share],
                [seed],
                steps=SAMPLE_STEPS,
                guidance_scale=GUIDANCE,
                batch_rows=BATCH_ROWS,
            )
        ]

    @contextmanager
    def _with(self, checkpoint: Path | None) -> Iterator[Any]:
        """The pipeline with the LoRA, loaded as any user would."""
        pipeline = self._base.pipeline
        if checkpoint is None:
            yield pipeline
            return
        pipeline.load_lora_weights(str(checkpoint), adapter_name="inspected")
        try:
            yield pipeline
        finally:
            pipeline.unload_lora_weights()


def _pixels(folder: Path) -> Tensor:
    pictures, _ = read_folder(folder, where=str(folder))
    return _as_tensor([picture.open() for picture in pictures])


def _as_tensor(images: Sequence[Image.Image]) -> Tensor:
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
