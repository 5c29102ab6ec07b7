"""Reads pictures of any size, mode and orientation as plain RGB."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image, ImageOps

from foundation.errors import DataError

SUFFIXES: Final = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif"})
_TOP_16_BIT: Final = 65535.0
_BROKEN: Final = (OSError, EOFError, SyntaxError, ValueError, IndexError, struct.error, Image.DecompressionBombError)
"""What Pillow's readers raise on files that are cut short or no pictures; UnidentifiedImageError is an OSError."""


def read_rgb(path: Path) -> Image.Image:
    """The picture upright in RGB; what is transparent is laid on white. Of an animation, the first frame.

    Raises:
        DataError: when the file is no whole picture; names it.
    """
    try:
        with Image.open(path) as image:
            return to_rgb(ImageOps.exif_transpose(image))
    except _BROKEN as error:
        raise DataError(f"{path} is not a readable image: {error}") from error


def read_alpha(path: Path) -> Image.Image:
    """The opacity of the upright picture, one channel of 8 bits; 255 all over where it has no transparency.

    Raises:
        DataError: when the file is no whole picture; names it.
    """
    try:
        with Image.open(path) as image:
            return ImageOps.exif_transpose(image).convert("RGBA").getchannel("A")
    except _BROKEN as error:
        raise DataError(f"{path} is not a readable image: {error}") from error


def to_rgb(image: Image.Image) -> Image.Image:
    """Any mode to RGB: 16-bit grey is scaled, transparency (also a palette's) is laid on white."""
    if image.mode.startswith(("I", "F")):  # Pillow's own conversion clips what is above 255 to white
        values = np.asarray(image, dtype=np.float64)
        top = _TOP_16_BIT if image.mode.startswith("I") else max(1.0, float(values.max()))
        return Image.fromarray((values / top * 255).clip(0, 255).round().astype(np.uint8)).convert("RGB")
    if "transparency" in image.info or image.mode in ("RGBA", "LA", "PA", "RGBa", "La"):
        layer = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
    return image.convert("RGB")


def square(image: Image.Image, side: int) -> Image.Image:
    """Scale the short side to `side` pixels and cut the middle."""
    return ImageOps.fit(image, (side, side), method=Image.Resampling.LANCZOS)
