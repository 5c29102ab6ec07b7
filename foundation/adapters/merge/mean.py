"""The mean of several LoRAs: of what they add to the base, which the mean of their factors is not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from foundation.adapters.exports.adapter import SavedAdapter
from foundation.adapters.exports.layers import Layer, plain_loras
from foundation.adapters.files import AdapterPart
from foundation.adapters.files.part import COMPONENTS
from foundation.adapters.merge.low_rank import as_matrix, in_shape, truncate
from foundation.adapters.merge.resize import lora_part
from foundation.errors import AdapterError


@dataclass(frozen=True, slots=True)
class Mean:
    """A LoRA whose update is the mean of others', as near as its rank comes to that."""

    adapter: SavedAdapter
    rank: int
    error: float
    """‖the mean of the updates - its update‖ / ‖the mean‖ (Frobenius, all layers); 0 where the rank holds all of it."""


def mean_of(adapters: Sequence[SavedAdapter], rank: int | None = None) -> Mean:
    """Average the updates ΔW = scale · B·A of LoRAs layer by layer; a layer that one has not counts as 0 there.

    The mean of n products is a product itself, [B₁ … Bₙ]·[A₁; …; Aₙ] with scales over n: as exact as float64, of the
    ranks' sum. Each layer takes the best approximation of that of `rank`; None is the highest that any of them has.

    Raises:
        AdapterError: one is no plain LoRA, or they are of different bases.
    """
    loras = [plain_loras(adapter, "an average") for adapter in adapters]
    rank = rank or max(layer.rank for lora in loras for layers in lora.values() for layer in layers)
    parts: dict[str, AdapterPart] = {}
    lost = total = 0.0
    for part in (part for part in COMPONENTS if any(part in lora for lora in loras)):
        given: dict[str, list[Layer]] = {}
        for layer in (layer for lora in loras for layer in lora.get(part, [])):
            given.setdefault(layer.name, []).append(layer)
        tensors: dict[str, tuple[Tensor, Tensor]] = {}
        for name, layers in sorted(given.items()):
            tensors[name], values = _mean(layers, len(loras), rank)
            lost, total = lost + float(values[rank:].square().sum()), total + float(values.square().sum())
        parts[part] = lora_part(tensors)
    return Mean(SavedAdapter(parts), rank, (lost / total) ** 0.5 if total else 0.0)


def _mean(layers: Sequence[Layer], count: int, rank: int) -> tuple[tuple[Tensor, Tensor], Tensor]:
    """A and B of a layer's mean over `count` adapters, of a rank, and all singular values of the whole mean."""
    shapes = {(each.tensors["lora_A"].shape[1:], each.tensors["lora_B"].shape[:1]) for each in layers}
    if len(shapes) > 1:
        raise AdapterError(f"the LoRAs are of different bases: {layers[0].name} has other sizes")
    down, up = layers[0].tensors["lora_A"], layers[0].tensors["lora_B"]
    factors = [as_matrix(each.tensors["lora_A"], each.tensors["lora_B"]) for each in layers]
    scales = [each.scale / count for each in layers]
    A = torch.cat([A for A, _ in factors])
    B = torch.cat([scale * B for scale, (_, B) in zip(scales, factors, strict=True)], 1)
    A, B, values = truncate(A, B, rank)
    return in_shape(A, B, down, up), values
