"""Captions that are made while training, embedded when they come."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

import torch
from torch import Tensor

from train.bases import Base

_KEPT = 256
"""Captions whose embeddings are kept, those asked for last: 60 MB of Stable Diffusion 1.5's."""


class Texts:
    """Embeddings of captions by the base's own text encoder, for slots that leave it as it is."""

    def __init__(self, base: Base, plain: Callable[[], AbstractContextManager[None]]) -> None:
        """`plain()` is a context in which no adapter acts in the text encoder."""
        self._base = base
        self._plain = plain
        self._kept: OrderedDict[str, Tensor] = OrderedDict()

    def tokens(self, captions: Sequence[str]) -> Tensor:
        """(B, T), on the CPU."""
        return self._base.tokenize(captions)

    def embeddings(self, captions: Sequence[str]) -> Tensor:
        """(B, T, D) on the device. Each caption is encoded alone: who else asked for what changes no bit of it."""
        with torch.no_grad(), self._plain():
            return torch.cat([self._embedding(caption) for caption in captions])

    def _embedding(self, caption: str) -> Tensor:
        if caption not in self._kept:
            self._kept[caption] = self._base.encode_texts([caption])
            if len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(caption)
        return self._kept[caption]
