"""What stands beside the pixels, whole or damaged, takes no picture away, and turns it where it can be read."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image

from foundation.data.images import decode_image
from tests.foundation.data.test_images import chunk, png

ORIENTATION, RESOLUTION, MAKER, EXIF_DIRECTORY, GPS = 0x0112, 0x011A, 0x010F, 0x8769, 0x8825
BYTE, ASCII, SHORT, LONG, RATIONAL, UNDEFINED, SRATIONAL, NONE = 1, 2, 3, 4, 5, 7, 10, 99


def tiff(*entries: tuple[int, int, int, bytes], order: str = "<") -> bytes:
    """EXIF of these entries: tag, type, count, and four bytes of value or offset."""
    head = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, 8)
    body = b"".join(struct.pack(f"{order}HHI", tag, kind, count) + value for tag, kind, count, value in entries)
    return head + struct.pack(f"{order}H", len(entries)) + body + bytes(4)


SIX = (ORIENTATION, SHORT, 1, b"\6\0\0\0")
TURNED = {
    "plain": tiff(SIX),
    "motorola": tiff((ORIENTATION, SHORT, 1, b"\0\6\0\0"), order=">"),
    "a negative fraction": tiff(SIX, (RESOLUTION, SRATIONAL, 1, b"\x26\0\0\0")) + struct.pack("<ii", -1, 3),
    "a fraction by nought": tiff(SIX, (RESOLUTION, RATIONAL, 1, b"\x26\0\0\0")) + bytes(8),
    "text that is a number": tiff((MAKER, SHORT, 1, b"\1\0\0\0"), SIX),
    "a number that is text": tiff(SIX, (RESOLUTION, ASCII, 4, b"abc\0")),
    "a type that is none": tiff((MAKER, NONE, 9, b"\xff\xff\xff\xff"), SIX),
    "values outside": tiff(SIX, (MAKER, ASCII, 2**31, b"\xff\xff\xff\x7f")),
    "a directory outside": tiff(SIX, (EXIF_DIRECTORY, LONG, 1, b"\xff\xff\xff\x7f")),
    "a directory that is itself": tiff(SIX, (EXIF_DIRECTORY, LONG, 1, b"\x08\0\0\0"), (GPS, LONG, 1, b"\x08\0\0\0")),
    "cut short after it": tiff(SIX, (MAKER, ASCII, 4, b"abc\0"))[:26],
    "more entries than there are": tiff(SIX)[:8] + b"\xff\xff" + tiff(SIX)[10:],
    "as long": tiff((ORIENTATION, LONG, 1, b"\6\0\0\0")),
    "as byte": tiff((ORIENTATION, BYTE, 1, b"\6\0\0\0")),
    "as several": tiff((ORIENTATION, SHORT, 2, b"\6\0\1\0")),
    "as fraction": tiff((ORIENTATION, RATIONAL, 1, b"\x1a\0\0\0")) + struct.pack("<II", 6, 1),
}
LEFT = {
    "nothing": b"",
    "no EXIF": b"some other text",
    "an orientation that is none": tiff((ORIENTATION, SHORT, 1, b"\x2a\0\0\0")),
    "a directory that is not there": b"II*\0\xff\xff\xff\x7f",
    "cut short": tiff(SIX)[:15],
}
XMP = b'<x:xmpmeta xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/>'


def picture() -> Image.Image:
    """Red left, blue right, twice as wide as high."""
    image = Image.new("RGB", (32, 16), (255, 0, 0))
    image.paste((0, 0, 255), (16, 0, 32, 16))
    return image


def saved(kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    picture().save(file, kind, **options)
    return file.getvalue()


def with_exif(kind: str, exif: bytes) -> bytes:
    """A whole file of the format with these bytes for EXIF, whatever they are."""
    if kind == "JPEG":
        content = saved("JPEG", quality=95)
        segment = b"Exif\0\0" + exif
        return content[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + content[2:]
    if kind == "PNG":
        content = saved("PNG")
        return content[:33] + chunk(b"eXIf", exif) + content[33:]
    return saved(kind, exif=exif, **({"lossless": True} if kind == "WEBP" else {}))


def check(content: bytes, turned: bool) -> None:
    read = np.asarray(decode_image(content, "x").rgb, dtype=int)
    assert read.shape == ((32, 16, 3) if turned else (16, 32, 3))
    assert np.abs(read[1, 1] - (255, 0, 0)).max() <= 6 and np.abs(read[-2, -2] - (0, 0, 255)).max() <= 6


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("case", TURNED)
def test_a_whole_picture_is_turned_whatever_else_its_exif_says(kind: str, case: str) -> None:
    check(with_exif(kind, TURNED[case]), turned=True)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("case", LEFT)
def test_it_is_left_as_it_lies_where_exif_does_not_say(kind: str, case: str) -> None:
    check(with_exif(kind, LEFT[case]), turned=False)


@pytest.mark.parametrize("compression", [None, "tiff_lzw"])
def test_a_tiff_is_turned_once_and_its_damaged_directories_are_left_alone(compression: str | None) -> None:
    content = bytearray(saved("TIFF", compression=compression, exif=Image.Exif()))
    check(bytes(content), turned=False)
    whole = io.BytesIO()
    said: dict[int, Any] = {ORIENTATION: 6, EXIF_DIRECTORY: 2**31 - 1, GPS: 8, 305: "a program"}
    picture().save(whole, "TIFF", compression=compression, tiffinfo=said)
    check(whole.getvalue(), turned=True)


def test_an_avif_lies_as_its_own_boxes_say_and_odd_exif_takes_nothing_away() -> None:
    check(saved("AVIF", exif=TURNED["plain"], quality=95), turned=True)  # Pillow writes that as a box
    content = saved("AVIF", exif=tiff((RESOLUTION, RATIONAL, 1, b"\x1a\0\0\0")) + struct.pack("<II", 1, 3), quality=95)
    check(
        content.replace(struct.pack("<HHI", RESOLUTION, RATIONAL, 1), struct.pack("<HHI", RESOLUTION, NONE, 2**31)),
        False,
    )


def test_xmp_says_it_where_exif_does_not() -> None:
    content = saved("JPEG", quality=95)
    segment = b"http://ns.adobe.com/xap/1.0/\0" + XMP
    check(content[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + content[2:], turned=True)
    content = saved("PNG")
    for text in (b"\0\0\0\0" + XMP, b"\1\0\0\0" + zlib.compress(XMP)):
        check(content[:33] + chunk(b"iTXt", b"XML:com.adobe.xmp\0" + text) + content[33:], turned=True)
    check(saved("WEBP", xmp=XMP, lossless=True), turned=True)


def test_exif_as_imagemagick_writes_it_in_a_text_of_a_png_is_read() -> None:
    exif = b"Exif\0\0" + tiff(SIX)
    text = b"\nexif\n%8d\n%s\n" % (len(exif), exif.hex().encode())
    content = saved("PNG")
    for name, packed in ((b"tEXt", text), (b"zTXt", b"\0" + zlib.compress(text))):
        check(content[:33] + chunk(name, b"Raw profile type exif\0" + packed) + content[33:], turned=True)


LONG_TEXT = bytes(1 << 22)


@pytest.mark.parametrize(
    "extra",
    [
        chunk(b"zTXt", b"parameters\0\0" + zlib.compress(LONG_TEXT)),
        chunk(b"iTXt", b"prompt\0\1\0\0\0" + zlib.compress(LONG_TEXT)),
        chunk(b"tEXt", b"workflow\0" + LONG_TEXT),
        chunk(b"iCCP", b"profile\0\0" + zlib.compress(LONG_TEXT)),
        chunk(b"iCCP", b"profile\0\0" + b"no zlib"),
        chunk(b"iCCP", b""),
        chunk(b"zTXt", b"x\0\0broken"),
        chunk(b"zTXt", b"x\0\7" + zlib.compress(b"a method that is none")),
        chunk(b"iTXt", b"x"),
        chunk(b"tIME", b"\0"),
        chunk(b"pHYs", b"\0"),
        chunk(b"gAMA", b""),
        chunk(b"cHRM", b"\0\0"),
        chunk(b"sRGB", b""),
        chunk(b"tEXt", b"text\0x")[:-4] + b"sum!",
        chunk(b"tRNS", b"\0\0")[:-4] + b"sum!",
        chunk(b"acTL", b""),
        chunk(b"fcTL", bytes(26)),
        chunk(b"fdAT", bytes(3)),
        chunk(b"eXIf", b"")[:-4] + b"sum!",
    ],
    ids=lambda extra: extra[4:8].decode(),
)
def test_no_chunk_beside_a_pngs_pixels_takes_them_away(extra: bytes) -> None:
    content = saved("PNG")
    check(content[:33] + extra + content[33:], turned=False)
    check(content[:-12] + extra + content[-12:], turned=False)


@pytest.mark.parametrize(
    ("marker", "body"),
    [
        (0xE2, b"MPF\0MM\0*\0\0\0\x08\xff\xff"),
        (0xE2, b"MPF\0II*\0\x08\0\0\0\1\0\x01\xb0\x07\0\xff\xff\xff\x7f\0\0\0\0"),
        (0xE2, b"ICC_PROFILE\0"),
        (0xE2, b"ICC_PROFILE\0\1\1no profile"),
        (0xED, b"Photoshop 3.0\x008BIM\x03\xed"),
        (0xED, b"Photoshop 3.0\x008BIM\x03\xed\0\0\0\0\0\4\0\0\0\0"),
        (0xE0, b"JFIF\0"),
        (0xEE, b"Adobe"),
        (0xFE, b""),
        (0xE1, b"http://ns.adobe.com/xap/1.0/\0"),
    ],
)
def test_no_segment_beside_a_jpegs_pixels_takes_them_away(marker: int, body: bytes) -> None:
    content = saved("JPEG", quality=95)
    segment = bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body
    check(content[:20] + segment + content[20:], turned=False)
    check(content[:20] + b"\xff\xff" + segment[1:] + content[20:], turned=False)  # fill bytes


@pytest.mark.parametrize("adobe", [0, 1, 2])
def test_segments_that_say_which_colours_the_channels_are_stay(adobe: int) -> None:
    content = saved("JPEG", quality=95)
    segment = b"Adobe\0\x64\0\0\0\0" + bytes([adobe])
    marked = content[:2] + b"\xff\xee" + struct.pack(">H", len(segment) + 2) + segment + content[20:]
    with Image.open(io.BytesIO(marked)) as image:
        assert np.array_equal(np.asarray(decode_image(marked, "x").rgb), np.asarray(image.convert("RGB")))


def test_a_picture_without_anything_beside_its_pixels_stays_what_it_is() -> None:
    assert np.asarray(decode_image(png(8, 0, [b"\1\2", b"\3\4"]), "x").rgb)[..., 0].tolist() == [[1, 2], [3, 4]]
