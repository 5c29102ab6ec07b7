"""Pixels of every mode that Pillow reads, as RGB in sRGB on white, and their opacity."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from foundation.data.color_profiles import ProfileError, lab_to_srgb, to_srgb

_WHITE_16: Final = 65535
_FLOAT_WHITES: Final = ((16.0, 1.0), (255.0, 255.0), (65535.0, 65535.0))
"""The largest of a picture's floats, and what is white then.

Up to 16 they count to 1, and highlights above are white: no picture that counts to 255 is that dark all over.
"""
_ROWS: Final = 1024
_BITS, _PHOTOMETRIC, _SAMPLE_FORMAT = 258, 262, 339
"""TIFF's tags."""


class UnreadableError(ValueError):
    """Why a picture is not read, in our own words."""


def layers(image: Image.Image, profile: bytes | None, depth: int) -> tuple[Image.Image, Image.Image, str]:
    """RGB in sRGB laid on white, opacity (L), and what is to be said of the colours, or "".

    `depth` is how many bits a PNG's values have.

    Raises:
        UnreadableError: for values that say nothing.
    """
    colour, alpha = _split(image, depth)
    rgb, note = _in_srgb(colour, profile)
    if alpha is not None:
        layer = rgb.convert("RGBA")
        layer.putalpha(alpha)
        rgb = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
    rgb.info.clear()  # or the profile would be written where the picture is saved
    return rgb, Image.new("L", image.size, 255) if alpha is None else alpha, note


def _split(image: Image.Image, depth: int) -> tuple[Image.Image, Image.Image | None]:
    """Colours (L, RGB, CMYK, LAB) and opacity, where there is one."""
    if image.mode in ("La", "LA"):
        layer = image.convert("LA")
        return layer.getchannel("L"), layer.getchannel("A")
    if image.mode in ("RGBA", "RGBa", "PA") or (image.mode == "P" and "transparency" in image.info):
        layer = image.convert("RGBA")
        return layer.convert("RGB"), layer.getchannel("A")
    alpha = _opacity_of_key(image, depth) if "transparency" in image.info else None
    if image.mode.startswith(("I", "F")):
        return _grey(image), alpha
    if image.mode in ("L", "RGB", "CMYK", "LAB"):
        return image.copy(), alpha
    return image.convert("L" if image.mode == "1" else "RGB"), alpha


def _opacity_of_key(image: Image.Image, depth: int) -> Image.Image:
    """Opacity of a picture with one transparent colour, which a PNG says in its own bits, however Pillow scales them.

    Of 16-bit RGB Pillow keeps the upper halves, so that these are compared.
    """
    said = np.atleast_1d(np.asarray(image.info["transparency"], dtype=np.int64))
    if image.mode in ("1", "L") and depth < 8:
        said = said * 255 // (2**depth - 1)
    elif image.mode == "RGB" and depth == 16:
        said = said >> 8
    values = np.asarray(image.convert("L") if image.mode == "1" else image)
    is_key = (values == said).all(axis=-1) if values.ndim == 3 else values == said[0]
    return Image.fromarray(np.where(is_key, 0, 255).astype(np.uint8))


def _in_srgb(colour: Image.Image, profile: bytes | None) -> tuple[Image.Image, str]:
    note = ""
    if profile is not None:
        try:
            if (converted := to_srgb(colour, profile)) is not None:
                return converted, "converted to sRGB from an embedded colour profile"
        except ProfileError:
            note = "read as sRGB, since the embedded colour profile is damaged or for other channels"
    return lab_to_srgb(colour) if colour.mode == "LAB" else colour.convert("RGB"), note


def _grey(image: Image.Image) -> Image.Image:
    """Grey of 16 or 32 bits, whole or floating, in 8; some rows at a time, since floats take room."""
    values = np.asarray(image)
    tags = getattr(image, "tag_v2", {})
    if values.dtype == np.int32 and tags.get(_SAMPLE_FORMAT, (1,))[0] == 1:
        values = values.view(np.uint32)
    white, inverted = _white(values, tags), tags.get(_PHOTOMETRIC) == 0
    grey = np.empty(values.shape, np.uint8)
    for start in range(0, len(values), _ROWS):
        share = (values[start : start + _ROWS].astype(np.float64) / white).clip(0, 1)
        grey[start : start + _ROWS] = ((1 - share if inverted else share) * 255).round()
    return Image.fromarray(grey)


def _white(values: npt.NDArray[np.number[Any]], tags: Mapping[int, Any]) -> float:
    """The value that is white."""
    largest = float(values.max())
    if values.dtype.kind == "f":
        if not np.isfinite(values).all():
            raise UnreadableError("some of its values are no finite numbers")
        return next((white for most, white in _FLOAT_WHITES if largest <= most), largest)
    if _BITS in tags and tags[_BITS][0] < 16:  # 12 bits a value
        return float(2 ** tags[_BITS][0] - 1)
    if values.dtype == np.int32 and _BITS in tags and tags[_BITS][0] == 16:
        return float(2**15 - 1)
    if largest <= _WHITE_16:
        return _WHITE_16
    return float(np.iinfo(np.dtype(values.dtype.str)).max)
