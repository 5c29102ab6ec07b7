"""Colours as the embedded profile means them, in sRGB: what the base, the judge and a screen take them for."""

from __future__ import annotations

import functools
import io
from typing import Any, Final

import numpy as np
from PIL import Image, ImageCms

_SPACES: Final = {"RGB": "RGB", "L": "GRAY", "CMYK": "CMYK", "LAB": "Lab"}
"""The colour space of a profile that fits each mode."""
_UNCHANGED: Final = 1
"""Of 255: a profile that moves no colour further is sRGB by another name, and nothing is converted."""


class ProfileError(ValueError):
    """A profile that cannot be read, or is for other channels than the picture has."""


def to_srgb(image: Image.Image, profile: bytes) -> Image.Image | None:
    """A picture (RGB, L, CMYK or LAB) in the profile's colours as RGB in sRGB; None where the profile is sRGB itself.

    Relative colorimetric with black point compensation, as Photoshop has it: white stays white, and black black.

    Raises:
        ProfileError: for a profile that is damaged or does not fit.
    """
    if image.mode == "L" and _space(profile) == "RGB":
        image = image.convert("RGB")
    if _SPACES[image.mode] != _space(profile):
        raise ProfileError(f"it is for {_space(profile)}")
    if _is_srgb(profile, image.mode):
        return None
    return _apply(image, profile)


def lab_to_srgb(image: Image.Image) -> Image.Image:
    """A LAB picture without a profile, of CIE's D50, as RGB."""
    return _build(ImageCms.createProfile("LAB"), "LAB").apply(image)


def _apply(image: Image.Image, profile: bytes) -> Image.Image:
    try:
        return _transform(profile, image.mode).apply(image)
    except (OSError, ValueError) as error:
        raise ProfileError(str(error)) from error


@functools.lru_cache(maxsize=16)
def _space(profile: bytes) -> str:
    try:
        return str(ImageCms.ImageCmsProfile(io.BytesIO(profile)).profile.xcolor_space).strip()
    except (OSError, ValueError, TypeError, UnicodeError) as error:
        raise ProfileError(str(error)) from error


@functools.lru_cache(maxsize=16)
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform:
    try:
        return _build(ImageCms.ImageCmsProfile(io.BytesIO(profile)), mode)
    except (OSError, ValueError, ImageCms.PyCMSError) as error:
        raise ProfileError(str(error)) from error


def _build(profile: Any, mode: str) -> ImageCms.ImageCmsTransform:
    return ImageCms.buildTransform(
        profile,
        ImageCms.createProfile("sRGB"),
        mode,
        "RGB",
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )


@functools.lru_cache(maxsize=16)
def _is_srgb(profile: bytes, mode: str) -> bool:
    """By what it does to colours from all over the space; what it calls itself says nothing."""
    if mode not in ("RGB", "L"):
        return False
    steps = np.linspace(0, 255, 9 if mode == "RGB" else 256).round().astype(np.uint8)
    probe = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(1, -1, 3) if mode == "RGB" else steps[None]
    colours = Image.fromarray(probe)
    got, same = (np.asarray(each, dtype=int) for each in (_apply(colours, profile), colours.convert("RGB")))
    return int(np.abs(got - same).max()) <= _UNCHANGED
