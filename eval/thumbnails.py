"""What stands where, in which colours: the pictures' view in which a copy shows as a copy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import avg_pool2d, normalize

SIDE = 32
"""Pixels of a thumbnail's side."""
WIDTH = 3 * SIDE * SIDE
MASKED_WIDTH = 4 * SIDE * SIDE
COARSE_SIDE = 8


def compositions(images: Sequence[Image.Image]) -> Tensor:
    """Return pictures as thumbnails, (N, WIDTH) float32 in [0, 1]: red, green and blue, row by row.

    CLIP sees what a picture shows; a prompt for a scene that was also trained on then looks like a copy. Whoever
    copies repeats the place and form of things, and that is still there in a thumbnail, whatever was lost in the VAE.

    Source: distance of pixels as the measure of memorising: Carlini et al. 2023, Extracting training data from
    diffusion models, arXiv:2301.13188, section 4.
    """
    return _small(images, "RGB").permute(0, 3, 1, 2).reshape(len(images), WIDTH)


def masked_compositions(images: Sequence[Image.Image], masks: Sequence[Image.Image] = ()) -> Tensor:
    """Return pictures as (N, MASKED_WIDTH): `compositions`, then how much of each pixel counts, 0 to 1.

    `masks` are one for each picture, white where it counts; without any all of every picture does.
    """
    seen = compositions(images)
    count = _small(masks, "L").flatten(1) if masks else torch.ones(len(seen), SIDE * SIDE)
    return torch.cat([seen, count], dim=1)


def coarse(thumbnails: Tensor) -> Tensor:
    """Return `compositions` (…, WIDTH or more) as 8×8 pixels less each channel's mean, unit norm: (…, 192).

    Without the means a cast or another exposure of all colours changes nothing.
    """
    pixels = thumbnails[..., :WIDTH].reshape(-1, 3, SIDE, SIDE)
    small = avg_pool2d(pixels, SIDE // COARSE_SIDE) if len(pixels) else pixels[..., :COARSE_SIDE, :COARSE_SIDE]
    centred = (small - small.mean((2, 3), keepdim=True)).flatten(1) if len(pixels) else small.flatten(1)
    return normalize(centred, dim=-1).reshape(*thumbnails.shape[:-1], 3 * COARSE_SIDE**2)


def _small(images: Sequence[Image.Image], mode: str) -> Tensor:
    """(N, SIDE, SIDE), or (N, SIDE, SIDE, 3) of "RGB", in [0, 1]."""
    if not images:
        return torch.zeros(0, SIDE, SIDE, *([3] if mode == "RGB" else []))
    arrays = [np.asarray(image.convert(mode).resize((SIDE, SIDE), Image.Resampling.BOX)) for image in images]
    return torch.from_numpy(np.stack(arrays)).float() / 255
