"""What stands where, in which colours: the pictures' view in which a copy shows as a copy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import normalize

THUMBNAIL_SIDE = 8
THUMBNAIL_WIDTH = 3 * THUMBNAIL_SIDE * THUMBNAIL_SIDE


def compositions(images: Sequence[Image.Image]) -> Tensor:
    """Return pictures as 8×8 thumbnails with each channel's mean taken out, unit norm: (N, 192) float32.

    CLIP sees what a picture shows; a prompt for a scene that was also trained on then looks like a copy. Whoever
    copies repeats the place and form of things, and that is still there in a thumbnail, whatever was lost in the VAE;
    eight pixels a side, as in perceptual hashes, forgive a copy that has moved a little. Without the channels' means, a
    cast or another exposure of all colours changes nothing (docs/judge.md has the figures).

    Source: distance of pixels as the measure of memorising: Carlini et al. 2023, Extracting training data from
    diffusion models, arXiv:2301.13188, section 4.
    """
    if not images:
        return torch.zeros(0, THUMBNAIL_WIDTH)
    small = [
        np.asarray(image.convert("RGB").resize((THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.BOX))
        for image in images
    ]
    pixels = torch.from_numpy(np.stack(small)).float()  # (N, 8, 8, 3)
    return normalize((pixels - pixels.mean((1, 2), keepdim=True)).flatten(1), dim=-1)
