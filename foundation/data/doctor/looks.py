"""What a picture's pixels say: how blurred it is, how bright, how large, and its thumbnail."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy.ndimage import uniform_filter1d

from foundation.data.near_duplicates import thumbnail

_SIDE: Final = 512
"""Pixels of the longer side at which pictures are looked at: what is blurred when it is large may be sharp there."""
_WIDTH: Final = 9
"""Pixels of the blur that a picture is held against."""


@dataclass(frozen=True, slots=True)
class Look:
    """One picture."""

    size: tuple[int, int]
    blur: float
    """0 to 1, see `blur_of`."""
    brightness: float
    """Its mean, 0 black to 1 white."""
    thumbnail: bytes


def look_at(image: Image.Image) -> Look:
    """Measure an RGB picture."""
    small = image
    if max(image.size) > _SIDE:
        small = image.copy()
        small.thumbnail((_SIDE, _SIDE), Image.Resampling.LANCZOS)
    gray = np.asarray(small.convert("L"), dtype=np.float64)
    return Look(size=image.size, blur=blur_of(gray), brightness=float(gray.mean()) / 255, thumbnail=thumbnail(image))


def blur_of(gray: npt.NDArray[np.float64]) -> float:
    """How little a grey picture (height, width) loses when it is blurred once more: 0 sharp, 1 blurred, or plain.

    For each direction the share of the differences between neighbours that a blur leaves; the larger of both.

    Source: Crété-Roffet, Dolmière, Ladret & Nicolas, "The Blur Effect: Perception and Estimation with a New
    No-Reference Perceptual Blur Metric", SPIE Electronic Imaging 2007, equations 1 to 8.
    """
    shares = []
    for axis in (0, 1):
        blurred = uniform_filter1d(gray, _WIDTH, axis=axis, mode="nearest")
        before, after = np.abs(np.diff(gray, axis=axis)), np.abs(np.diff(blurred, axis=axis))
        total = float(before.sum())
        shares.append(1 - float(np.maximum(0, before - after).sum()) / total if total > 0 else 1.0)
    return max(shares)
