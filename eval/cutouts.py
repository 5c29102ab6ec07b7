"""Pictures of a subject, where it is in them, and what surrounds it there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageChops, ImageFilter

from foundation.data.dataset import Dataset
from foundation.data.images import square
from foundation.data.masks import Mask

GREY = (127, 127, 127)
"""What stands where nothing of the surroundings is near."""
_REACHES = (1 / 32, 1 / 8, 1 / 2)
"""How far surroundings reach into the hole at each pass, as shares of the picture's longer side."""


def surroundings(picture: Image.Image, mask: Image.Image) -> Image.Image:
    """Return the picture with what surrounds it, blurred, where the `mask` is white: no subject, and no outline of it.

    A hole would have the subject's shape, and an eye would see that. What lies under the mask never shows: colours are
    means over the rest alone, weighted by distance (a normalised convolution, Knutsson & Westin 1993).
    """
    outside = ImageChops.invert(mask).point(lambda value: 255 if value == 255 else 0)  # edges are the subject's, too
    known = Image.composite(picture, Image.new("RGB", picture.size), outside)
    filled = Image.new("RGB", picture.size, GREY)
    for reach in reversed(_REACHES):
        radius = max(1.0, reach * max(picture.size))
        colours = np.asarray(known.filter(ImageFilter.GaussianBlur(radius)), dtype=np.float64)
        weights = np.asarray(outside.filter(ImageFilter.GaussianBlur(radius)), dtype=np.float64)[..., None] / 255
        means = np.divide(colours, weights, out=np.full_like(colours, GREY[0]), where=weights > 0)
        near = Image.fromarray(means.clip(0, 255).round().astype(np.uint8), mode="RGB")
        reached = Image.fromarray(np.where(weights[..., 0] > 0.25, 255, 0).astype(np.uint8), mode="L")
        filled = Image.composite(near, filled, reached)
    return Image.composite(picture, filled, outside)


@dataclass(frozen=True, kw_only=True, slots=True)
class SubjectPictures:
    """Real pictures of a subject."""

    held_out: Sequence[Image.Image]
    """The held-out ones."""
    masks: Sequence[Image.Image | None]
    """Where the subject is in each of these, one channel, white there; None where nobody says it."""
    surroundings: Sequence[Image.Image]
    """Those that are trained on, without the subject; none without masks."""


def subject_pictures(
    train: Sequence[Image.Image], held_out: Sequence[Image.Image], dataset: Dataset
) -> SubjectPictures:
    """The pictures of a data set, squares as the judge sees them, with its masks."""

    def pair_up(pictures: Sequence[Image.Image], masks: Sequence[Mask | None]) -> list[tuple[Image.Image, Mask | None]]:
        return list(zip(pictures, masks or (None,) * len(pictures), strict=True))

    def of_size(mask: Mask, picture: Image.Image) -> Image.Image:
        return square(mask.open(), picture.width)

    held_out_pairs, pairs = pair_up(held_out, dataset.held_out_masks), pair_up(train, dataset.masks)
    return SubjectPictures(
        held_out=held_out,
        masks=[of_size(mask, each) if mask else None for each, mask in held_out_pairs],
        surroundings=[surroundings(each, of_size(mask, each)) for each, mask in pairs if mask],
    )
