"""Which part of each picture is trained on, and in what shape: aspect-ratio buckets, crops and mirrored views."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from PIL import Image, ImageOps

from foundation.data.spec import DataSpec, Views
from foundation.errors import ConfigError

RANDOM_CROPS: Final = 4
"""Crops of a picture that `data.crop=random` makes; their latents are computed once, like all others."""
_STEP: Final = 64
"""The usual step between the sides of buckets, in pixels."""
_CENTER: Final = (0.5, 0.5)

Size = tuple[int, int]
"""Width and height, pixels."""


@dataclass(frozen=True, slots=True)
class CroppedView:
    """One way to see a picture."""

    centering: tuple[float, float] = _CENTER
    """Where the cut lies, of what the shape leaves over: 0 left or top, 1 right or bottom."""
    mirrored: bool = False

    def of(self, image: Image.Image, size: Size) -> Image.Image:
        """The picture scaled to cover `size` and cut to it."""
        cut = ImageOps.fit(image, size, method=Image.Resampling.LANCZOS, centering=self.centering)
        return ImageOps.mirror(cut) if self.mirrored else cut

    def size_condition(self, original: Size, size: Size) -> tuple[int, ...]:
        """SDXL's size condition of a picture seen so: (height, width, top, left, height, width).

        Of the file's picture; the cut's corner in the picture once it is scaled to cover `size`, and mirrored; of the
        cut. Source: Podell et al. 2023, SDXL, section 2.2, and diffusers' train_text_to_image_lora_sdxl.py.
        """
        scale = max(cut / whole for cut, whole in zip(size, original, strict=True))
        over_x, over_y = (whole * scale - cut for cut, whole in zip(size, original, strict=True))
        x, y = self.centering
        left = round(over_x * (1 - x if self.mirrored else x))
        return original[1], original[0], round(over_y * y), left, size[1], size[0]


@dataclass(frozen=True, slots=True)
class Cut:
    """How a set's pictures to train on are cut.

    Validation and samples are squares, cut from the middle, whatever this says: the same question to every trial.
    """

    random_crops: bool = False
    flip: bool = False
    buckets: bool = False
    smallest: int | None = None
    largest: int | None = None
    step: int | None = None
    resolution: int | None = None
    """Side of a square, or of one of a bucket's area; None is the base's."""

    @staticmethod
    def of(spec: DataSpec) -> Cut:
        """What the config asks for."""
        return Cut(
            random_crops=spec.crop == "random",
            flip=spec.flip,
            buckets=spec.buckets,
            smallest=spec.bucket_min,
            largest=spec.bucket_max,
            step=spec.bucket_step,
            resolution=spec.resolution,
        )

    def seen_as(self, views: Views) -> Cut:
        """The same with what a trial has otherwise."""
        return replace(
            self,
            random_crops=views.crop == "random",
            flip=views.flip,
            buckets=views.buckets,
            resolution=views.resolution,
        )

    def views(self, digest: str) -> list[CroppedView]:
        """The views of a picture, the same at every call; as many for each picture."""
        centerings = [_centering(digest, number) for number in range(RANDOM_CROPS)] if self.random_crops else [_CENTER]
        return [
            CroppedView(each, mirrored)
            for each in centerings
            for mirrored in ((False, True) if self.flip else (False,))
        ]

    def sizes(self, resolution: int) -> list[Size]:
        """Every bucket: sides from the smallest to the largest, areas as near below resolution² as can be.

        That is the base's, if the cut has none of its own.

        Raises:
            ConfigError: when no bucket is left.

        Source: kohya's sd-scripts, `make_bucket_resolutions`, whose other shapes, of less area than there could be, are
        left out.
        """
        resolution = self.resolution or resolution
        if not self.buckets:
            return [(resolution, resolution)]
        step = self.step or max(8, min(_STEP, resolution // 64 * 8))
        smallest, largest = self.smallest or resolution // 2, self.largest or 2 * resolution
        sizes = set()
        for short in range(math.ceil(smallest / step) * step, min(largest, resolution) + 1, step):
            long = min(largest, resolution * resolution // short) // step * step
            sizes |= {(short, long), (long, short)}
        if not sizes:
            raise ConfigError(
                [
                    f"data.buckets: no sides in steps of {step} from data.bucket_min {smallest} to data.bucket_max "
                    f"{largest} have an area of base.resolution² = {resolution}² or less"
                ]
            )
        return sorted(sizes)

    def groups(self, sizes: Sequence[Size], resolution: int) -> dict[Size, list[int]]:
        """Pictures' numbers by their bucket: the one of the nearest aspect ratio, and of these the largest."""
        buckets = self.sizes(resolution)
        if len(buckets) == 1:
            return {buckets[0]: list(range(len(sizes)))}
        found: dict[Size, list[int]] = {}
        for number, (width, height) in enumerate(sizes):
            aspect = math.log(width / height)
            found.setdefault(min(buckets, key=lambda size: _distance(size, aspect)), []).append(number)
        return dict(sorted(found.items()))


def describe_buckets(groups: Mapping[Size, Sequence[int]]) -> str:
    """`buckets: 48×80 2, 64×64 1 pictures`."""
    return f"buckets: {', '.join(f'{size[0]}×{size[1]} {len(numbers)}' for size, numbers in groups.items())} pictures"


def _distance(size: Size, aspect: float) -> tuple[float, int, Size]:
    """How far a bucket is from a picture's logarithmic aspect ratio; of those alike the largest is nearest."""
    return round(abs(math.log(size[0] / size[1]) - aspect), 9), -size[0] * size[1], size


def _centering(digest: str, number: int) -> tuple[float, float]:
    bits = hashlib.sha256(f"{digest}/{number}".encode()).digest()
    return int.from_bytes(bits[:4], "big") / 0xFFFFFFFF, int.from_bytes(bits[4:8], "big") / 0xFFFFFFFF
