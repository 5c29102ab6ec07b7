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

    @property
    def preserves(self) -> bool:
        """Whether the last part of each slot's rows are its pictures as of their class; of all slots, or of none."""
        return self._parts[0][0].preserves

    def of_class(self, rows: Tensor) -> Tensor:
        """That part of rows (B, …), slot by slot."""
        shares = torch.split(rows, [len(batch.latents) for _, batch, _ in self._parts])
        return _join(
            [
                objective.rows_of_class(share, count)
                for share, (objective, _, count) in zip(shares, self._parts, strict=True)
            ]
        )

    def losses(self, predicted: Tensor, of_base: Tensor | None = None) -> Tensor:
        """Each slot's loss (K,); `of_base` is what the frozen base says of the rows of `of_class`."""
        lengths = [len(batch.latents) for _, batch, _ in self._parts]
        answers = torch.split(predicted, lengths)
        kept: Sequence[Tensor | None] = [None] * len(lengths)
        if of_base is not None:
            own = [
                length // objective.num_parts for length, (objective, _, _) in zip(lengths, self._parts, strict=True)
            ]
            kept = torch.split(of_base, own)
        return _join(
            [
                objective.losses(answer, batch, count, base)
                for answer, base, (objective, batch, count) in zip(answers, kept, self._parts, strict=True)
            ]
        )


def _join(parts: Sequence[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(list(parts))
