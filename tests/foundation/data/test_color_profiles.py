"""Embedded colour profiles against their formulas in floating point."""

from __future__ import annotations

import io
import itertools
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from foundation.data.images import decode_image
from tests.foundation.data.icc import (
    DISPLAY_P3,
    SRGB,
    cmyk_profile,
    grey_profile,
    in_srgb,
    lab_in_srgb,
    rgb_profile,
)

CONVERTED = ("converted to sRGB from an embedded colour profile",)
AS_SRGB = ("read as sRGB, since the embedded colour profile is damaged or for other channels",)
COLOURS = np.array([list(itertools.product(range(0, 256, 51), repeat=3))], dtype=np.uint8)


def saved(image: Image.Image, kind: str, profile: bytes, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, icc_profile=profile, **options)
    return file.getvalue()


@pytest.mark.parametrize(
    ("kind", "options"),
    [("PNG", {}), ("TIFF", {}), ("WEBP", {"lossless": True}), ("TIFF", {"compression": "tiff_lzw"})],
)
def test_colours_are_those_of_the_profile(kind: str, options: dict[str, Any]) -> None:
    read = decode_image(saved(Image.fromarray(COLOURS), kind, rgb_profile(DISPLAY_P3, 2.2), **options), "x")
    expected = in_srgb((COLOURS / 255) ** 2.2, DISPLAY_P3)
    assert np.abs(np.asarray(read.rgb) - expected).max() <= 2  # 8 bits of both sides, and the profile's own rounding
    assert np.abs(COLOURS - expected).max() > 25
    assert read.notes == CONVERTED and "icc_profile" not in read.rgb.info


@pytest.mark.parametrize(
    ("kind", "options"), [("JPEG", {"quality": 100, "subsampling": 0}), ("AVIF", {"quality": 100})]
)
def test_photographs_have_theirs_too(kind: str, options: dict[str, Any]) -> None:
    flat = Image.new("RGB", (16, 16), (30, 200, 90))
    read = decode_image(saved(flat, kind, rgb_profile(DISPLAY_P3, 1.8), **options), "x")
    expected = in_srgb((np.array([30, 200, 90]) / 255) ** 1.8, DISPLAY_P3)
    assert np.abs(np.asarray(read.rgb) - expected).max() <= 4 and read.notes == CONVERTED


def test_a_profile_that_is_srgb_changes_no_pixel_and_nothing_is_said() -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    read = decode_image(saved(Image.fromarray(COLOURS), "PNG", srgb), "x")
    assert np.array_equal(np.asarray(read.rgb), COLOURS) and read.notes == ()


def test_transparency_is_laid_on_a_white_that_is_white() -> None:
    image = Image.new("RGBA", (2, 2), (30, 200, 90, 0))
    image.putpixel((0, 0), (30, 200, 90, 255))
    read = decode_image(saved(image, "PNG", rgb_profile(DISPLAY_P3, 2.2)), "x")
    assert read.rgb.getpixel((1, 1)) == (255, 255, 255)
    expected = in_srgb((np.array([30, 200, 90]) / 255) ** 2.2, DISPLAY_P3)
    assert np.abs(np.asarray(read.rgb)[0, 0] - expected).max() <= 2


@pytest.mark.parametrize("mode", ["L", "LA"])
def test_grey_has_a_profile_of_its_own_or_that_of_a_colour_picture(mode: str) -> None:
    values = np.arange(0, 256, 17, dtype=np.uint8)[None]
    grey = Image.fromarray(values).convert(mode)
    for profile, light in ((grey_profile(1.0), values / 255), (rgb_profile(SRGB, 1.4), (values / 255) ** 1.4)):
        read = decode_image(saved(grey, "PNG", profile), "x")
        expected = in_srgb(np.repeat(light[..., None], 3, axis=-1))
        assert np.abs(np.asarray(read.rgb) - expected).max() <= 2 and read.notes == CONVERTED


def test_inks_mix_to_the_colours_of_their_profile() -> None:
    chance = np.random.default_rng(0)
    corners = {
        inks: (95.0 - 20 * sum(inks), float(chance.integers(-15, 15)), float(chance.integers(-15, 15)))
        for inks in itertools.product((0, 1), repeat=4)
    }
    corners[0, 0, 0, 0], corners[1, 1, 1, 1] = (100.0, 0.0, 0.0), (0.0, 0.0, 0.0)  # so that black needs no mending
    inks = np.array([[list(each) for each in corners]], dtype=np.uint8) * 255
    read = decode_image(saved(Image.fromarray(inks, mode="CMYK"), "TIFF", cmyk_profile(corners)), "x")
    expected = np.array([lab_in_srgb(*colour) for colour in corners.values()])
    assert np.abs(np.asarray(read.rgb)[0] - expected).max() <= 3 and read.notes == CONVERTED


def test_lab_without_a_profile_is_that_of_d50() -> None:
    lab = np.array([[[128, 20, -30], [200, -40, 60], [255, 0, 0], [0, 0, 0]]])
    file = io.BytesIO()
    Image.fromarray(lab.astype(np.uint8), mode="LAB").save(file, "TIFF")  # a and b are signed bytes, as TIFF has them
    got = np.asarray(decode_image(file.getvalue(), "x").rgb)[0]
    for pixel, (light, a, b) in zip(got, lab[0], strict=True):
        assert np.abs(pixel - lab_in_srgb(light / 2.55, a, b)).max() <= 2


@pytest.mark.parametrize(
    "profile",
    [
        b"no profile at all",
        bytes(2000),
        rgb_profile(DISPLAY_P3, 2.2)[:200],
        grey_profile(2.2),
        cmyk_profile(dict.fromkeys(itertools.product((0, 1), repeat=4), (50.0, 0.0, 0.0))),
    ],
    ids=["text", "zeros", "cut short", "grey", "cmyk"],
)
@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_one_that_is_damaged_or_for_other_channels_is_said_and_the_pixels_are_srgb(profile: bytes, kind: str) -> None:
    read = decode_image(saved(Image.fromarray(COLOURS), kind, profile), "x")
    assert np.array_equal(np.asarray(read.rgb), COLOURS) and read.notes == AS_SRGB


def test_a_jpegs_profile_with_a_part_missing_is_said() -> None:
    profile = rgb_profile(DISPLAY_P3, 2.2)
    whole = saved(Image.new("RGB", (8, 8)), "JPEG", profile)
    assert decode_image(whole, "x").notes == CONVERTED
    assert decode_image(whole.replace(b"ICC_PROFILE\0\x01\x01", b"ICC_PROFILE\0\x01\x02"), "x").notes == AS_SRGB
