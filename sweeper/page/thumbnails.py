"""Small copies of pictures: made once, kept in the cache of the studies' folder, as WebP."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

from foundation.data.images import read_rgb
from foundation.files.durable import write_bytes
from foundation.pictures.tiles import encode
from sweeper.records.paths import cache_of

SIDE: Final = 160
"""Pixels of the longer side: what a cell of the wall has on a screen of two pixels a point, less what nobody sees."""
QUALITY: Final = 80
FOLDER: Final = "thumbnails"
"""In the cache; `sweeper clean` may take it, it is made again."""


def thumbnail_of(picture: Path, studies: Path, side: int = SIDE) -> Path:
    """Return the file with a picture's thumbnail, made now where it is not there yet.

    It is another one when the picture has another size or time.

    Raises:
        DataError: the picture is damaged.
        OSError: it is not there, or the cache cannot be written.
    """
    stat = picture.stat()
    words = f"{picture.resolve()} {stat.st_size} {stat.st_mtime_ns} {side} {QUALITY}"
    name = hashlib.sha256(words.encode(errors="surrogateescape")).hexdigest()[:32]
    file = cache_of(studies) / FOLDER / name[:2] / f"{name}.webp"
    if not file.is_file():
        write_bytes(file, encode(read_rgb(picture), side, QUALITY))
    return file
