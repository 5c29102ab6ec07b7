"""Damages image files in thousands of ways and sees that reading them ends as it should.

    python -m tests.faults.mutated_images 2000      so many of each kind of file, and how they ended

Each is read, or refused with a `DataError` of one line; anything else is an escape, and is kept to look at.
"""

from __future__ import annotations

import io
import resource
import struct
import sys
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageCms

from foundation.data.images import FORMATS, decode_image
from foundation.errors import DataError

SIZE = (24, 18)
_HEADER = 400
"""Bytes at the start, in which half of the damage is done."""
_LENGTHS = (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\xff\xff", b"\xff\xff\0\0", b"\x80\0\0\0")


def exif(orientation: int = 6) -> bytes:
    """With dates, fractions and an Exif directory of its own, as cameras write it."""
    said = Image.Exif()
    said[0x0112] = orientation
    said[0x010F] = "maker"
    said[0x011A] = 72.0
    said.get_ifd(0x8769)[0x829A] = 0.01
    return said.tobytes()


def originals() -> dict[str, bytes]:
    """A whole file of each format, in its modes, with all that can stand in it."""
    noise = np.random.default_rng(0).integers(0, 256, (SIZE[1], SIZE[0], 4), dtype=np.uint8)
    rgba = Image.fromarray(noise)
    rgb, grey = rgba.convert("RGB"), rgba.convert("L")
    deep = Image.fromarray(noise[..., 0].astype(np.uint16) * 257)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    said: dict[str, Any] = {"exif": exif(), "icc_profile": profile}
    moving: dict[str, Any] = {"save_all": True, "append_images": [rgb.rotate(90)]}
    return {
        "png": _saved(rgba, "PNG", **said),
        "png palette": _saved(rgb.quantize(16), "PNG", transparency=3),
        "png 16 bit": _saved(deep, "PNG"),
        "png animated": _saved(rgb, "PNG", **moving),
        "jpeg": _saved(rgb, "JPEG", **said, comment=b"a comment"),
        "jpeg progressive": _saved(grey, "JPEG", progressive=True, exif=exif()),
        "jpeg cmyk": _saved(rgb.convert("CMYK"), "JPEG"),
        "webp": _saved(rgba, "WEBP", **said),
        "webp lossless": _saved(rgb, "WEBP", lossless=True),
        "webp animated": _saved(rgb, "WEBP", **moving),
        "avif": _saved(rgb, "AVIF", **said, speed=10),
        "gif": _saved(rgb.quantize(32), "GIF", transparency=2),
        "gif animated": _saved(rgb, "GIF", **moving),
        "bmp": _saved(rgb, "BMP"),
        "bmp palette": _saved(rgb.quantize(16), "BMP"),
        "tiff": _saved(rgb, "TIFF", **said),
        "tiff lzw": _saved(rgba, "TIFF", compression="tiff_lzw"),
        "tiff jpeg": _saved(rgb, "TIFF", compression="jpeg"),
        "tiff float": _saved(Image.fromarray(noise[..., 0].astype(np.float32) / 255), "TIFF"),
        "jpeg2000": _saved(rgba, "JPEG2000"),
        "ppm": _saved(rgb, "PPM"),
        "pgm": b"P2 4 3 255\n" + b" ".join(b"%d" % value for value in range(0, 240, 20)),
    }


def _saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def mutants(data: bytes, count: int, seed: int = 0) -> Iterator[bytes]:
    """The file with bits turned, bytes changed, taken out, doubled or cut off, or lengths that are none."""
    chance = np.random.default_rng([seed, len(data), zlib.crc32(data)])
    ways: list[Callable[[bytearray, int, int], None]] = [
        _turn,
        _overwrite,
        _take,
        _double,
        _cut,
        _length,
        _turn,
        _length,
    ]
    for number in range(count):
        damaged = bytearray(data)
        for _ in range(1 + int(chance.integers(3))):
            most = min(len(damaged), _HEADER) if chance.integers(2) else len(damaged)
            ways[number % len(ways)](damaged, int(chance.integers(max(1, most))), int(chance.integers(2**31)))
        if data[:4] == b"\x89PNG" and number % 2:
            damaged = _with_checksums(damaged)
        yield bytes(damaged)


def _turn(data: bytearray, place: int, number: int) -> None:
    if data:
        data[place] ^= 1 << number % 8


def _overwrite(data: bytearray, place: int, number: int) -> None:
    data[place : place + 4] = struct.pack("<I", number)[: len(data[place : place + 4])]


def _take(data: bytearray, place: int, number: int) -> None:
    del data[place : place + 1 + number % 24]


def _double(data: bytearray, place: int, number: int) -> None:
    data[place:place] = data[place : place + 1 + number % 24]


def _cut(data: bytearray, place: int, number: int) -> None:
    del data[max(4, place) :]


def _length(data: bytearray, place: int, number: int) -> None:
    data[place : place + 4] = _LENGTHS[number % len(_LENGTHS)][: len(data[place : place + 4])]


def _with_checksums(data: bytearray) -> bytearray:
    """A PNG's checksums made right again, so that what is damaged is read."""
    place = 8
    while place + 12 <= len(data):
        end = place + 8 + int.from_bytes(data[place : place + 4], "big")
        if end + 4 > len(data):
            break
        data[end : end + 4] = zlib.crc32(data[place + 4 : end]).to_bytes(4, "big")
        place = end + 4
    return data


def outcome(data: bytes) -> str:
    """`read` or `refused`; else what is wrong with how it ended."""
    try:
        image = decode_image(data, "x").rgb
    except DataError as error:
        lines = str(error).splitlines()
        well = len(lines) == 1 and lines[0].startswith("x is not a readable image: ") and len(lines[0]) < 300
        return "refused" if well else f"said badly: {error}"
    except BaseException as error:
        return f"escaped: {type(error).__name__}: {error}"
    return "read" if image.mode == "RGB" else f"read as {image.mode}"


def main(arguments: list[str]) -> int:
    """Damage so many of each; 1 when any escaped."""
    count = int(arguments[0]) if arguments else 1000
    ended: Counter[str] = Counter()
    for name, data in originals().items():
        own: Counter[str] = Counter()
        slowest = 0.0
        for number, mutant in enumerate(mutants(data, count)):
            began = time.perf_counter()
            how = outcome(mutant)
            slowest = max(slowest, time.perf_counter() - began)
            own[how] += 1
            if how not in ("read", "refused"):
                Path(f"escaped-{name}-{number}".replace(" ", "-")).write_bytes(mutant)
        ended += own
        print(f"{name:18} {dict(own)} slowest {slowest:.2f} s", flush=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{len(FORMATS)} formats, {ended.total()} files: {dict(ended)}; peak memory {peak:.1f} GiB")
    return int(bool(set(ended) - {"read", "refused"}))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
