"""Another rank for a trained LoRA: in every layer the best one there is."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from foundation.adapters.exports.adapter import SavedAdapter
from foundation.adapters.exports.layers import plain_loras
from foundation.adapters.files import AdapterPart, lora_config
from foundation.adapters.merge.low_rank import as_matrix, in_shape, truncate
from foundation.errors import AdapterError


@dataclass(frozen=True, slots=True)
class Resized:
    """A LoRA of another rank, and what of the old one is in it."""

    adapter: SavedAdapter
    """Its alpha is its rank: strength 1 is as before."""
    kept: float
    """‖all its updates‖ / ‖all updates before‖ (Frobenius)."""
    worst: float
    """The same of the layer that lost most."""
    worst_layer: str


def resize(adapter: SavedAdapter, rank: int) -> Resized:
    """Give every layer the rank (or its own, where that is less), keeping as much of its update as any rank can.

    Raises:
        AdapterError: it is no plain LoRA, or the rank is below 1.
    """
    if rank < 1:
        raise AdapterError(f"rank must be 1 or more, got {rank}")
    parts: dict[str, AdapterPart] = {}
    energies: dict[str, tuple[float, float]] = {}  # layer: kept, all
    for part, layers in plain_loras(adapter, "a rank resize").items():
        tensors: dict[str, tuple[Tensor, Tensor]] = {}
        for layer in layers:
            down, up = layer.tensors["lora_A"], layer.tensors["lora_B"]
            A, B = as_matrix(down, up)
            A, B, values = truncate(A, layer.scale * B, min(rank, len(down)))
            tensors[layer.name] = in_shape(A, B, down, up)
            energies[f"{part}.{layer.name}"] = values[: len(A)].square().sum().item(), values.square().sum().item()
        parts[part] = lora_part(tensors)
    shares = {name: (kept / total) ** 0.5 if total else 1.0 for name, (kept, total) in energies.items()}
    total = sum(all_ for _, all_ in energies.values())
    kept = (sum(kept for kept, _ in energies.values()) / total) ** 0.5 if total else 1.0
    worst = min(shares, key=lambda name: shares[name])
    return Resized(SavedAdapter(parts), kept, shares[worst], worst)


def lora_part(tensors: dict[str, tuple[Tensor, Tensor]]) -> AdapterPart:
    """A part out of each layer's A and B, with alpha = rank."""
    state: dict[str, Tensor] = {}
    for name, (down, up) in tensors.items():
        state |= {f"{name}.lora_A.weight": down, f"{name}.lora_B.weight": up}
    return AdapterPart(state, lora_config({name: len(down) for name, (down, _) in tensors.items()}))
