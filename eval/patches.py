"""What a vision transformer sees at each place of a picture, and whether it is found again in another picture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import avg_pool2d, normalize

from eval.features import pixel_batches

DEPTH: Final = 0.8
"""Of the transformer's layers, from which one places are seen: later ones say what the whole picture shows."""


@dataclass(frozen=True, slots=True)
class PatchExtractor:
    """A vision transformer's layer, place by place."""

    vision: Any
    """The transformer: takes `pixel_values`, gives `hidden_states`."""
    processor: Any
    device: torch.device

    @property
    def width(self) -> int:
        """W, of what is seen at one place."""
        return int(self.vision.config.hidden_size)

    def images(self, images: Sequence[Image.Image]) -> Tensor:
        """Return what is seen at each of K places, row by row: (N, K, W), of any length, float32, on the CPU.

        An empty list gives (0, 0, W).
        """
        parts = list(self.batches(images))
        return torch.cat(parts) if parts else torch.zeros(0, 0, self.width)

    def batches(self, images: Sequence[Image.Image]) -> Iterator[Tensor]:
        """Yield the same some pictures at a time: all places of a large set would fill the memory."""
        for pixels in pixel_batches(images, self.processor, self.device):
            yield self._look(pixels)

    def cover(self, mask: Image.Image) -> Tensor:
        """Return how much of each place of a picture its `mask`, white on black, covers: (K,), 0 to 1."""
        white = self.processor(images=[mask.convert("RGB")], do_normalize=False, return_tensors="pt")["pixel_values"]
        side = self.vision.config.patch_size
        return avg_pool2d(white[:, 0].float(), side).flatten().double()

    @torch.inference_mode()
    def _look(self, pixels: Tensor) -> Tensor:
        states = self.vision(pixel_values=pixels, output_hidden_states=True).hidden_states
        side = self.vision.config.patch_size
        places = (pixels.shape[-2] // side) * (pixels.shape[-1] // side)
        seen: Tensor = states[round(DEPTH * (len(states) - 1))][:, -places:]  # class tokens go first
        return seen.float().cpu()


def found_again(pictures: Tensor, parts: Tensor) -> Tensor:
    """Return how well each place of m `parts` is found in N `pictures`: (N, m, K), the best cosine to any place there.

    Both (·, K, W). Places of one thing match wherever the thing stands, and whatever stands around it (Amir et al.
    2021, Deep ViT Features as Dense Visual Descriptors, arXiv:2112.05814).
    """
    wanted = normalize(parts, dim=-1).flatten(0, 1)  # (m·K, W)
    found = [(wanted @ normalize(picture, dim=-1).T).amax(1) for picture in pictures]
    return (
        torch.stack(found).reshape(len(found), *parts.shape[:2]).double() if found else torch.zeros(0, *parts.shape[:2])
    )
