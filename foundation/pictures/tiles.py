"""Pictures as tiles of a sheet or a page: its colours, their size, their bytes."""

from __future__ import annotations

import io
from typing import Final

from PIL import Image

PAPER: Final = (250, 249, 246)
INK: Final = (32, 34, 40)
FAINT: Final = (98, 100, 109)
RULE: Final = (222, 221, 214)
"""The colours of the page (`foundation/page/page.css`), light."""


def fit_into(image: Image.Image, tile: int) -> Image.Image:
    """A picture as a square tile: whole when it is not square, on paper."""
    image = image.convert("RGB")
    longest = max(image.size)
    if longest * 2 <= tile:
        factor = tile // longest
        image = image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)
        longest *= factor
    if longest != tile:
        size = (max(1, round(image.width * tile / longest)), max(1, round(image.height * tile / longest)))
        image = image.resize(size, Image.Resampling.LANCZOS)
    if image.size == (tile, tile):
        return image
    square = Image.new("RGB", (tile, tile), RULE)
    square.paste(image, ((tile - image.width) // 2, (tile - image.height) // 2))
    return square


def encode(image: Image.Image, side: int, quality: int) -> bytes:
    """Return a picture as WebP, no side of it longer than `side` pixels; a smaller one keeps its size."""
    if max(image.size) > side:
        image = image.copy()
        image.thumbnail((side, side), Image.Resampling.LANCZOS)
    data = io.BytesIO()
    image.save(data, "WEBP", quality=quality, method=2)
    return data.getvalue()
