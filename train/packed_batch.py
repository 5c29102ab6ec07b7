"""One pass over the rows of several slots: what the denoiser gets, and what its output costs each of them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter

import torch
from torch import Tensor

from train.batch import Batch
from train.objective import TrainingLoss


class PackedBatch:
    """The batches of K slots, one after another on the device; neighbours with equal objectives are taken together."""

    def __init__(self, objectives: Sequence[TrainingLoss], batches: Sequence[Batch], device: torch.device) -> None:
        self._parts: list[tuple[TrainingLoss, Batch, int]] = []
        for objective, alike in groupby(zip(objectives, batches, strict=True), key=itemgetter(0)):
            own = [batch for _, batch in alike]
            self._parts.append((objective, Batch.of_all(own, device), len(own)))

    @property
    def noisy(self) -> Tensor:
        """What the denoiser gets, (B, C, h, w)."""
        return _join([objective.noisy(batch) for objective, batch, _ in self._parts])

    @property
    def timesteps(self) -> Tensor:
        """(B,)."""
        return _join([batch.timesteps for _, batch, _ in self._parts])

    @property
    def embeddings(self) -> Tensor:
        """Of the captions by the base's own text encoder, (B, T, D)."""
        return _join([batch.embeddings for _, batch, _ in self._parts])

    @property
    def tokens(self) -> Tensor:
        """Of the captions, (B, T)."""
        return _join([batch.tokens for _, batch, _ in self._parts])

    @property
    def sizes(self) -> Tensor | None:
        """Of the pictures and their cuts, (B, 6), where the base reads them."""
        sizes = [batch.sizes for _, batch, _ in self._parts if batch.sizes is not None]
        return _join(sizes) if sizes else None

    def losses(self, predicted: Tensor) -> Tensor:
        """Each slot's loss (K,)."""
        answers = torch.split(predicted, [len(batch.latents) for _, batch, _ in self._parts])
        return _join(
            [
                objective.losses(answer, batch, count)
                for answer, (objective, batch, count) in zip(answers, self._parts, strict=True)
            ]
        )


def _join(parts: Sequence[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(list(parts))
