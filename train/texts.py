"""Captions that are made while training, embedded when they come."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Final

import torch
from torch import Tensor

from foundation.bases.port import Base

KEPT_BYTES: Final = 256 * 2**20
"""Embeddings that are kept, those used last. By bytes, since one of Stable Diffusion 1.5 takes 0.2 MiB and one of
512 tokens of T5 8 MiB: so there are 1134 of the former and 32 of the latter, and beside the weights of either base they
take little room."""


class Texts:
    """Embeddings of captions by the base's own text encoder, for slots that leave it as it is."""

    def __init__(self, base: Base, plain: Callable[[], AbstractContextManager[None]]) -> None:
        """`plain()` is a context in which no adapter acts in the text encoder."""
        self._base = base
        self._plain = plain
        self._kept: OrderedDict[str, Tensor] = OrderedDict()
        self._bytes = 0

    def tokens(self, captions: Sequence[str]) -> Tensor:
        """(B, T), on the CPU."""
        return self._base.tokenize(captions)

    def embeddings(self, captions: Sequence[str]) -> Tensor:
        """(B, T, D) on the device. Each caption is encoded alone: what else is encoded changes no bit of it."""
        with torch.no_grad(), self._plain():
            return torch.cat([self._embedding(caption) for caption in captions])

    def _embedding(self, caption: str) -> Tensor:
        if caption not in self._kept:
            self._kept[caption] = made = self._base.encode_texts([caption])
            self._bytes += made.nbytes
            while self._bytes > KEPT_BYTES and len(self._kept) > 1:
                self._bytes -= self._kept.popitem(last=False)[1].nbytes
        self._kept.move_to_end(caption)
        return self._kept[caption]
