"""Pictures as the denoiser's autoencoder takes them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor


def to_images(pixels: Tensor) -> list[Image.Image]:
    """Floats (B, 3, H, W) in [-1, 1], or beyond, to pictures."""
    levels = ((pixels.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
    return [Image.fromarray(each, mode="RGB") for each in levels]


def to_pixels(images: Sequence[Image.Image]) -> Tensor:
    """Pictures of one size to (B, 3, H, W) float32 in [-1, 1]."""
    stack = np.stack([np.asarray(image, dtype=np.float32) for image in images])
    return torch.from_numpy(stack / 127.5 - 1).permute(0, 3, 1, 2).contiguous()
