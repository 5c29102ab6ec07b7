"""What an image file says beside its pixels, read apart from them: upright how, in which colours, how many pictures.

Decoders read all of that before the first pixel, and give a whole picture up for a date that is none. So it is taken
out of the file here (EXIF, XMP, colour profile; texts, thumbnails and maker's notes are dropped), and the decoder gets
the rest. What cannot be read of it counts as not there, as libpng and libjpeg have it.

Sources: PNG 3rd ed.; JPEG T.81 and JFIF 1.02, ICC.1:2010 B.4; TIFF 6.0 and BigTIFF; EXIF 2.32, 4.6; ISO 14496-12 for
AVIF; XMP part 3.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

_MOST_BYTES: Final = 1 << 24
"""Of a packed profile or text, 16 MiB: the largest printer profiles have a tenth."""
_ORIENTATION: Final = 0x0112
_XMP: Final = 700
_PROFILE: Final = 34675
_PIXEL_TAGS: Final = frozenset(
    {254, *range(256, 260), 262, 266, 273, *range(277, 280), 284, 292, 293, *range(317, 326), 332, 338, 339, 340, 341,
     347, *range(512, 533), 37439}
)  # fmt: skip
"""TIFF's tags that say how pixels are packed and what they mean; what is left out is text, dates and makers' notes."""
_XMP_ORIENTATION: Final = re.compile(rb'tiff:Orientation(?:="|>)([1-8])')


@dataclass(frozen=True, slots=True)
class Separated:
    """An image file's bytes with what its decoder needs, and what stood beside that."""

    data: bytes
    orientation: int = 1
    """As EXIF counts, 1 to 8: 1 is upright."""
    profile: bytes | None = None
    """The embedded ICC profile; empty where there is one that cannot be unpacked."""
    several: bool = False
    """Whether it has more pictures than the one in `data`."""


def separate(data: bytes, kind: str) -> Separated:
    """Take what is not pixels out of a file of format `kind` (Pillow's name); other formats stay as they are.

    Never raises: a file that is damaged where it matters comes back for its decoder to refuse.
    """
    of: dict[str, Callable[[bytes], Separated]] = {"PNG": _png, "JPEG": _jpeg, "TIFF": _tiff, "AVIF": _avif}
    try:
        return of[kind](data) if kind in of else Separated(data)
    except (struct.error, IndexError, ValueError):  # its lengths lead nowhere
        return Separated(data)


def orientation_of(exif: bytes, xmp: bytes = b"") -> int:
    """How a picture lies, 1 to 8, by its EXIF, or else its XMP; 1 where neither says so in a way that can be read."""
    exif = exif.removeprefix(b"Exif\0\0")
    try:
        for tag, value, entry in _entries(exif):
            if tag == _ORIENTATION and value:
                return _orientation(value, entry, "little" if exif[:1] == b"I" else "big")
    except (struct.error, ValueError):
        pass
    found = _XMP_ORIENTATION.search(xmp)
    return int(found[1]) if found else 1


def _orientation(value: bytes, entry: bytes, order: Literal["little", "big"]) -> int:
    """Of an entry of whatever whole type it was written in; a fraction's denominator is 1."""
    size = min(4, _SIZES.get(int.from_bytes(entry[2:4], order), 2))
    found = int.from_bytes(value[:size], order)
    return found if 1 <= found <= 8 else 1


def _entries(tiff: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Each entry of the first directory: its tag, its value, and the entry itself; those cut off are not there.

    A value that says to lie outside of the file is empty. Raises ValueError where the header is none.
    """
    order, count, place, big = _directory(tiff)
    size = 20 if big else 12
    for start in range(place, place + size * count, size):
        entry = tiff[start : start + size]
        if len(entry) < size:
            return
        tag, kind, number = struct.unpack(f"{order}HH{'Q' if big else 'I'}", entry[: 12 if big else 8])
        length = number * _SIZES.get(kind, 1)
        value = entry[12 if big else 8 :]
        if length > len(value):
            (begin,) = struct.unpack(f"{order}{'Q' if big else 'I'}", value)
            value = tiff[begin : begin + length] if length <= len(tiff) else b""
        yield tag, value[:length], entry


_SIZES: Final = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
"""Bytes of TIFF's types."""


def _directory(tiff: bytes) -> tuple[str, int, int, bool]:
    """Byte order, number of entries, where the first is, and whether it is BigTIFF."""
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None:
        raise ValueError("no TIFF header")
    (version,) = struct.unpack(f"{order}H", tiff[2:4])
    if version == 43:
        (place,) = struct.unpack(f"{order}Q", tiff[8:16])
        (count,) = struct.unpack(f"{order}Q", tiff[place : place + 8])
        return order, min(count, len(tiff) // 20), place + 8, True
    (place,) = struct.unpack(f"{order}I", tiff[4:8])
    (count,) = struct.unpack(f"{order}H", tiff[place : place + 2])
    return order, count, place + 2, False


def _tiff(data: bytes) -> Separated:
    """Entries that are no pixels are closed up in place; no directory follows."""
    order, count, place, big = _directory(data)
    entries = list(_entries(data))
    if len(entries) < count:
        return Separated(data)
    values = {tag: value for tag, value, _ in entries}
    kept = [entry for tag, _, entry in entries if tag in _PIXEL_TAGS]
    head, end = ("Q", "Q") if big else ("H", "I")
    after = place + sum(len(entry) for _, _, entry in entries)
    following = data[after : after + struct.calcsize(end)]
    directory = struct.pack(f"{order}{head}", len(kept)) + b"".join(kept) + bytes(struct.calcsize(end))
    start = place - struct.calcsize(head)
    bare = data[:start] + directory + data[start + len(directory) :]
    return Separated(bare, orientation_of(data, values.get(_XMP, b"")), values.get(_PROFILE), any(following))


def _png(data: bytes) -> Separated:
    """Chunks that say what the pixels are; an ancillary one whose checksum differs is not there."""
    kept, place, several = [data[:8]], 8, False
    exif, xmp, profile = b"", b"", None
    while place + 12 <= len(data):
        length, name = struct.unpack(">I4s", data[place : place + 8])
        chunk = data[place : place + 12 + length]
        body = chunk[8 : 8 + length]
        is_needed = name in (b"IHDR", b"PLTE", b"IDAT", b"IEND")
        if is_needed or zlib.crc32(chunk[4:-4]) == int.from_bytes(chunk[-4:], "big"):
            if is_needed or name == b"tRNS":
                kept.append(chunk)
            elif name == b"eXIf":
                exif = body
            elif name == b"iCCP":
                profile = _inflate(body.partition(b"\0")[2][1:])
            elif name == b"acTL":
                several = int.from_bytes(body[:4], "big") > 1
            elif name in (b"tEXt", b"zTXt", b"iTXt"):
                keyword, text = _text(name, body)
                xmp = text if keyword == b"XML:com.adobe.xmp" else xmp
                if keyword in (b"Raw profile type exif", b"Raw profile type APP1") and not exif:
                    exif = _from_hex(text)
        place += 12 + length
        if name == b"IEND":
            break
    return Separated(b"".join(kept), orientation_of(exif, xmp), profile, several)


def _text(name: bytes, body: bytes) -> tuple[bytes, bytes]:
    keyword, _, rest = body.partition(b"\0")
    if keyword not in (b"XML:com.adobe.xmp", b"Raw profile type exif", b"Raw profile type APP1"):
        return keyword, b""
    if name == b"tEXt":
        return keyword, rest
    if name == b"zTXt":
        return keyword, _inflate(rest[1:])
    text = rest[2:].partition(b"\0")[2].partition(b"\0")[2]
    return keyword, _inflate(text) if rest[:1] == b"\1" else text


def _from_hex(text: bytes) -> bytes:
    """Of ImageMagick's `\\nexif\\n  length\\nhex`; empty where it is not that."""
    try:
        return bytes.fromhex(b"".join(text.split(b"\n")[3:]).decode("ascii"))
    except ValueError:
        return b""


def _inflate(packed: bytes) -> bytes:
    """Unpacked; empty where that cannot be, or would be longer than anyone's."""
    try:
        unpacking = zlib.decompressobj()
        data = unpacking.decompress(packed, _MOST_BYTES)
    except zlib.error:
        return b""
    return data if unpacking.eof else b""


def _jpeg(data: bytes) -> Separated:
    """Segments of the coding, and of the others those that say which colours the channels are."""
    kept, place = [data[:2]], 2
    exif, xmp = b"", b""
    parts: list[bytes] = []
    while True:
        place = data.index(b"\xff", place)
        while data[place] == 0xFF:
            place += 1
        marker = data[place]
        place += 1
        if marker in (0x00, 0x01) or 0xD0 <= marker <= 0xD8:
            continue  # these have no length
        if marker in (0xD9, 0xDA):
            kept.append(data[place - 2 :])
            break
        (length,) = struct.unpack(">H", data[place : place + 2])
        body = data[place + 2 : place + max(2, length)]
        if marker == 0xE1 and body.startswith(b"Exif\0\0"):
            exif += body[6:]
        elif marker == 0xE1 and body.startswith(b"http://ns.adobe.com/xap/1.0/\0"):
            xmp = body
        elif marker == 0xE2 and body.startswith(b"ICC_PROFILE\0"):
            parts.append(body[12:])
        if _is_coding(marker, body):
            kept.append(b"\xff" + bytes([marker]) + data[place : place + max(2, length)])
        place += max(2, length)
    return Separated(b"".join(kept), orientation_of(exif, xmp), _join(parts))


def _is_coding(marker: int, body: bytes) -> bool:
    if marker == 0xE0:
        return body.startswith(b"JFIF\0") and len(body) >= 14
    if marker == 0xEE:
        return body.startswith(b"Adobe") and len(body) >= 12
    return not (0xE0 <= marker <= 0xEF or marker == 0xFE)


def _join(parts: list[bytes]) -> bytes | None:
    """A profile of its numbered parts; empty where one is missing."""
    if not parts:
        return None
    parts.sort(key=lambda part: part[:1])
    whole = [part[:2] for part in parts] == [bytes([number, len(parts)]) for number in range(1, len(parts) + 1)]
    return b"".join(part[2:] for part in parts) if whole else b""


def _avif(data: bytes) -> Separated:
    """EXIF is hidden under a name that no reader knows: how the picture lies stands in boxes of AVIF's own."""
    place = 0
    while place + 8 <= len(data):
        length, name = struct.unpack(">I4s", data[place : place + 8])
        if name == b"meta":
            meta = data[place : place + length].replace(b"Exif", b"skip")
            return Separated(data[:place] + meta + data[place + length :])
        if length < 8:  # to the end of the file, or longer than 4 GB
            break
        place += length
    return Separated(data)
