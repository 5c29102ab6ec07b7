"""The one place that opens pictures: any size, mode and orientation as plain RGB in sRGB; a broken one is one line."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.ImageFile import ImageFile

from foundation.data.image_metadata import Separated, orientation_of, separate
from foundation.data.image_modes import UnreadableError, layers
from foundation.errors import DataError
from foundation.streams import mute_stderr

FORMATS: Final = {
    "PNG": (".png", ".apng"),
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "WEBP": (".webp",),
    "AVIF": (".avif",),
    "GIF": (".gif",),
    "BMP": (".bmp",),
    "TIFF": (".tif", ".tiff"),
    "JPEG2000": (".jp2", ".j2k"),
    "PPM": (".ppm", ".pgm", ".pbm", ".pnm"),
}
"""What is opened, and under which suffixes: a file's first bytes say which it is, its name does not.

No other decoder of Pillow's is reached; some start programs (PostScript) or take any bytes for a picture (SPIDER, TGA).
"""
SUFFIXES: Final = frozenset(suffix for suffixes in FORMATS.values() for suffix in suffixes)
MOST_PIXELS: Final = 180_000_000
"""In memory they are 720 MB; a JPEG of more is read at a half, a quarter or an eighth of its sides."""
MOST_BYTES: Final = 1 << 30
"""Of a file."""

_SIGNATURES: Final = (
    ("PNG", 0, (b"\x89PNG\r\n\x1a\n",)),
    ("JPEG", 0, (b"\xff\xd8\xff",)),
    ("WEBP", 8, (b"WEBP",)),
    ("GIF", 0, (b"GIF87a", b"GIF89a")),
    ("TIFF", 0, (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")),
    ("JPEG2000", 0, (b"\xff\x4f\xff\x51", b"\x00\x00\x00\x0cjP  \x0d\x0a\x87\x0a")),
    ("BMP", 0, (b"BM",)),
    ("PPM", 0, tuple(b"P%c%c" % (kind, blank) for kind in b"123456f" for blank in b" \t\r\n")),
)
_OTHERS: Final = (
    ("a PostScript file", 0, (b"%!PS", b"\xc5\xd0\xd3\xc6")),
    ("a PDF", 0, (b"%PDF",)),
    ("a Photoshop file", 0, (b"8BPS",)),
    ("a DDS texture", 0, (b"DDS ",)),
    ("JPEG XL", 0, (b"\xff\x0a", b"\x00\x00\x00\x0cJXL ")),
    ("HEIC", 4, (b"ftyp",)),
    ("an SVG or XML file", 0, (b"<svg", b"<?xml")),
    ("a web page", 0, (b"<!DOCTYPE", b"<!doctype", b"<html")),
    ("a Git LFS pointer, so run `git lfs pull`", 0, (b"version https://git-lfs",)),
    ("a zip archive", 0, (b"PK\x03\x04",)),
)
_TURNS: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True, slots=True)
class ReadImage:
    """A picture in memory, upright."""

    rgb: Image.Image
    """What is transparent lies on white."""
    alpha: Image.Image
    """Its opacity, one channel of 8 bits; 255 all over where it has no transparency."""
    notes: tuple[str, ...] = ()
    """What a person may want to know of how it was read, each as it would be of other files."""


def read_rgb(path: Path) -> Image.Image:
    """The picture upright in sRGB; what is transparent is laid on white. Of an animation, the first frame.

    Raises:
        DataError: when the file is no whole picture; names it.
    """
    return read_image(path).rgb


def read_alpha(path: Path) -> Image.Image:
    """The opacity of the upright picture; see `ReadImage.alpha`.

    Raises:
        DataError: when the file is no whole picture; names it.
    """
    return read_image(path).alpha


def read_image(path: Path) -> ReadImage:
    """The picture with its transparency, and what is to be said of it.

    Raises:
        DataError: when the file is no whole picture, or too large; names it.
    """
    try:
        if (size := path.stat().st_size) > MOST_BYTES:
            raise DataError(
                f"{path} is not a readable image: it has {size:,} bytes, and at most {MOST_BYTES:,} are read"
            )
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} is not a readable image: {error.strerror or error}") from error
    return decode_image(data, str(path))


def decode_image(data: bytes, name: str) -> ReadImage:
    """As `read_image`, of a file's bytes.

    Raises:
        DataError: in which the file is called `name`.
    """
    try:
        return _decode(data)
    except Exception as error:  # decoders raise whatever the damage leads them to, from TypeError to RecursionError
        raise DataError(f"{name} is not a readable image: {_why(error)}") from error


def format_of(data: bytes) -> str | None:
    """Which of `FORMATS` a file's bytes begin as; None for others."""
    if data[4:8] == b"ftyp":
        return "AVIF" if any(brand in data[8:64] for brand in (b"avif", b"avis")) else None
    return next((kind for kind, place, signs in _SIGNATURES if data[place : place + 16].startswith(signs)), None)


def square(image: Image.Image, side: int) -> Image.Image:
    """Scale the short side to `side` pixels and cut the middle."""
    return ImageOps.fit(image, (side, side), method=Image.Resampling.LANCZOS)


def _why(error: Exception) -> str:
    if isinstance(error, Image.DecompressionBombError):
        pixels = re.search(r"\d+", str(error))
        return str(_too_large(int(pixels[0]) if pixels else MOST_PIXELS))
    if isinstance(error, MemoryError):
        return "there is too little memory to read it"
    if isinstance(error, UnidentifiedImageError):
        return "its header is damaged"
    said = str(error).strip().splitlines()
    return said[0] if said else type(error).__name__


def _decode(data: bytes) -> ReadImage:
    kind = format_of(data)
    if kind is None:
        raise UnreadableError(_what_else(data))
    parts = separate(data, kind)
    # What warns is not pixels; what is damaged of them raises.
    with (
        warnings.catch_warnings(action="ignore"),
        _limit(None if kind == "JPEG" else MOST_PIXELS // 2),  # Pillow refuses twice as many
        mute_stderr() if kind == "TIFF" else nullcontext(),
        Image.open(io.BytesIO(parts.data), formats=(kind,)) as image,
    ):
        reduced = _reduce(image) if kind == "JPEG" else 1
        image.load()
        orientation = _lies(image, parts, kind)
        profile = image.info.get("icc_profile") if parts.profile is None else parts.profile
        rgb, alpha, of_colour = layers(image, profile, data[24] if kind == "PNG" else 8)
        several = parts.several or _is_animated(image)
    notes = (
        f"read at 1/{reduced} of the sides, since {MOST_PIXELS:,} pixels are the most" if reduced > 1 else "",
        "read by the first of several frames or pages" if several else "",
        of_colour,
    )
    return ReadImage(_turn(rgb, orientation), _turn(alpha, orientation), tuple(note for note in notes if note))


def _what_else(data: bytes) -> str:
    readable = ", ".join(FORMATS)
    if not data:
        return "it is empty"
    other = next((what for what, place, signs in _OTHERS if data[place : place + 40].lstrip().startswith(signs)), None)
    return f"it is {other}, none of {readable}" if other else f"it is none of {readable}"


@contextmanager
def _limit(most: int | None) -> Iterator[None]:
    """Within the block Pillow's own limit of pixels is this one, whatever a library has set it to."""
    before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, most
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = before


def _reduce(image: ImageFile) -> int:
    """Have a JPEG of too many pixels decoded at a share of its sides, which takes no more memory; which one."""
    pixels = image.width * image.height
    shrink = next(shrink for shrink in (1, 2, 4, 8) if pixels <= MOST_PIXELS * shrink**2)
    if shrink > 1:
        if "progressive" in image.info:  # of which all coefficients are kept at once, at full size
            raise _too_large(pixels)
        image.draft(None, (max(1, image.width // shrink), max(1, image.height // shrink)))
    return shrink


def _too_large(pixels: int) -> UnreadableError:
    return UnreadableError(f"it has {pixels:,} pixels, and at most {MOST_PIXELS:,} are read; scale it down")


def _lies(image: ImageFile, parts: Separated, kind: str) -> int:
    if kind in ("PNG", "JPEG", "TIFF"):
        return parts.orientation
    xmp = b"" if kind == "AVIF" else image.info.get("xmp", b"")  # AVIF's own boxes count alone
    return orientation_of(image.info.get("exif", b""), xmp)


def _turn(image: Image.Image, orientation: int) -> Image.Image:
    return image.transpose(_TURNS[orientation]) if orientation in _TURNS else image


def _is_animated(image: ImageFile) -> bool:
    try:
        return bool(getattr(image, "is_animated", False))
    except Exception:  # the next picture is damaged; it is not read
        return True
