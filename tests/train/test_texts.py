"""Embeddings of captions are kept as far as their bytes allow, those asked for last."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import pytest
import torch

from train.texts import KEPT_BYTES, Texts


class Encoder:
    """Makes embeddings of a shape without their bytes, and notes of what."""

    def __init__(self, *shape: int) -> None:
        self.shape = shape
        self.asked: list[str] = []

    def encode_texts(self, captions: list[str]) -> torch.Tensor:
        self.asked += captions
        return torch.empty(1, *self.shape, device="meta")


@pytest.mark.parametrize(("shape", "fit"), [((512, 4096), 32), ((77, 768), 1134), ((1024, 80_000), 1)])
def test_as_many_are_kept_as_fit(shape: tuple[int, int], fit: int) -> None:
    assert fit == max(1, KEPT_BYTES // (4 * shape[0] * shape[1]))
    encoder: Any = Encoder(*shape)
    texts = Texts(encoder, nullcontext)
    captions = [str(number) for number in range(fit)]
    assert texts.embeddings(captions).shape == (fit, *shape)
    texts.embeddings([*reversed(captions)])
    assert encoder.asked == captions  # all are there
    texts.embeddings(["new"])  # drives out what was asked for longest ago
    if fit > 1:
        texts.embeddings(captions[:-1])
    assert encoder.asked == [*captions, "new"]
    texts.embeddings([captions[-1]])
    assert encoder.asked[-1] == captions[-1]
