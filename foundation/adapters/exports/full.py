"""The file of whole differences: what an adapter of any kind adds to each layer's weight and bias, as LyCORIS's `full`.

A1111, Forge and ComfyUI add `diff` and `diff_b` to the weight and the bias as they are (A1111
extensions-builtin/Lora/network_full.py, ComfyUI comfy/lora.py `load_lora`). It is as large as the layers themselves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from foundation.adapters.exports.layer_names import kohya_name
from foundation.bases.families import LayerNames
from foundation.bases.original_layers import Place, swaps_halves
from foundation.errors import AdapterError


@dataclass(frozen=True, slots=True)
class Difference:
    """What an adapter adds to one layer."""

    weight: Tensor
    bias: Tensor | None


Differences = Mapping[str, Mapping[str, Difference]]
"""By part and layer."""


def full_state(differences: Differences, names: LayerNames) -> dict[str, Tensor]:
    """The tensors under kohya's names.

    Raises:
        AdapterError: they have no name for a part or a layer.
    """
    state: dict[str, Tensor] = {}
    for part, layers in differences.items():
        if part not in names.prefixes:
            raise AdapterError(f"kohya's files have no name for the {part} of {names.architecture}")
        if part == "transformer" and names.places is not None:
            layers = _in_original(layers, names)
        for name, own in layers.items():
            prefix = kohya_name(names, part, name)
            state[f"{prefix}.diff"] = own.weight.contiguous()
            if own.bias is not None:
                state[f"{prefix}.diff_b"] = own.bias.contiguous()
    return state


def _in_original(layers: Mapping[str, Difference], names: LayerNames) -> dict[str, Difference]:
    """Those of the original code's layers; of one that holds several, the others' rows are zero."""
    assert names.places is not None
    grouped: dict[str, list[tuple[Place, Difference]]] = {}
    for name, own in layers.items():
        try:
            place = names.places(name)
        except KeyError as error:
            raise AdapterError(f"kohya's files have no name for {name}; export peft or merged instead") from error
        grouped.setdefault(place.layer, []).append((place, own))
    return {name: _fuse(name, members) for name, members in grouped.items()}


def _fuse(name: str, members: list[tuple[Place, Difference]]) -> Difference:
    (first, own), *_ = members
    if not first.shares:
        swapped = swaps_halves(name, *own.weight.shape[:2])
        return (
            Difference(_swap_halves(own.weight), own.bias if own.bias is None else _swap_halves(own.bias))
            if swapped
            else own
        )
    width = own.weight.shape[1]
    weight = own.weight.new_zeros(sum(first.shares) * width, width)
    bias = own.weight.new_zeros(len(weight))
    for place, each in members:
        start = sum(place.shares[: place.number]) * width
        rows = slice(start, start + len(each.weight))
        weight[rows] = each.weight
        if each.bias is not None:
            bias[rows] = each.bias
    return Difference(weight, bias if any(each.bias is not None for _, each in members) else None)


def _swap_halves(tensor: Tensor) -> Tensor:
    return torch.cat(tensor.chunk(2)[::-1])
