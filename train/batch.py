"""Rows for the denoiser: what a slot draws for one micro-batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Batch:
    """Clean latents (B, C, h, w), noise alike, times (B,), and the captions.

    These are embedded as the base embeds them, (B, T, D), for who leaves the text encoder as it is, and token ids
    (B, T) for who trains it. With regularisation pictures they are the second part of the rows; where the class is
    preserved, the pictures come once more as the last part, with the captions of their class.
    """

    latents: Tensor
    noise: Tensor
    timesteps: Tensor
    embeddings: Tensor
    tokens: Tensor
    perturbed: Tensor | None = None
    """The noise in the denoiser's input, where it is not `noise`."""
    masks: Tensor | None = None
    """(B, 1, h, w) in [0, 1], where some places count more than others."""
    sizes: Tensor | None = None
    """(B, 6) of the pictures and their cuts, where the base reads them; see `CroppedView.size_condition`."""

    @staticmethod
    def of_all(batches: Sequence[Batch], device: torch.device) -> Batch:
        """The rows of several batches, which have the same columns, one after another, on the device."""
        columns = ([getattr(batch, field.name) for batch in batches] for field in fields(Batch))
        return Batch(*(None if column[0] is None else _join(column, device) for column in columns))  # type: ignore[arg-type]


def _join(parts: Sequence[Tensor], device: torch.device) -> Tensor:
    """One after another on the device, where some may be already; out of pinned memory, so that no one waits."""
    if any(part.device.type != "cpu" for part in parts):
        return torch.cat([part.to(device) for part in parts])
    rows = torch.cat(list(parts))
    return (rows.pin_memory() if device.type == "cuda" else rows).to(device, non_blocking=True)
