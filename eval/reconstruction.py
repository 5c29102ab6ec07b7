"""Real pictures as the base could draw them at best: as its autoencoder gives them back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from PIL import Image

from foundation.bases.pixels import to_images, to_pixels
from foundation.bases.port import Base

_BATCH: Final = 8


def reconstruct(
    base: Base, images: Sequence[Image.Image], working: Callable[[], None] = lambda: None
) -> list[Image.Image]:
    """Return the pictures, all of one size, after the base's autoencoder. `working` is called now and then.

    Checkpoints are held against these: what the autoencoder loses no adapter brings back, so by the pictures themselves
    none would come near 100.
    """
    drawn: list[Image.Image] = []
    for start in range(0, len(images), _BATCH):
        mean, _ = base.encode_images(to_pixels(images[start : start + _BATCH]))
        drawn += to_images(base.decode_images(mean))
        working()
    return drawn
