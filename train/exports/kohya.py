"""The tensors of an adapter as kohya's trainer, A1111 and ComfyUI name them, and LyCORIS for its kinds.

Each layer has its `.alpha`, and these programs scale by alpha / rank: what is written gives the scale that PEFT used,
also with rank_pattern, alpha_pattern or rsLoRA. Where the alphas of a UNet's or text encoder's layers differ, all are
told the commonest and the rest of the scale goes into the layer's up matrix: diffusers 0.42 forgets other alphas than
the commonest (utils/peft_utils.py `get_peft_kwargs` looks for `to_k` under `processor.to_k_lora.down.weight`), and to
all other programs it is the same.

A plain LoRA of SD3 or FLUX has the names of the original code, see `train.exports.original`. Other kinds cannot be
fused; they keep diffusers' names after `lora_transformer_`, which ComfyUI reads (comfy/lora.py), of FLUX Forge, too.

Sources: kohya-ss/sd-scripts networks/lora.py; KohakuBlueleaf/LyCORIS lycoris/modules/{loha,lokr,ia3}.py;
ComfyUI comfy/weight_adapter/*.py.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

from foundation.adapter_files import Part
from foundation.errors import AdapterError
from train.exports.adapter import Adapter, kind_of
from train.exports.families import Family
from train.exports.layers import Layer, layers_of
from train.exports.original import in_original

_UNFUSED: Final = "lora_transformer_"
"""Before diffusers' names of a transformer's layers."""
_UNBIASED: Final = ("to_q", "to_k", "to_v")
"""Layers of UNets that have no bias."""


def kohya_state(adapter: Adapter, family: Family) -> dict[str, Tensor]:
    """The tensors under kohya's names.

    Raises:
        AdapterError: the format has no words for the adapter's kind, or for a part of it.
    """
    state: dict[str, Tensor] = {}
    for part, saved in adapter.parts.items():
        if part not in family.prefixes:
            raise AdapterError(
                f"kohya's files have no name for the {part} of {family.architecture}; export peft instead"
            )
        layers = layers_of(saved, "kohya's format")
        common = Counter(layer.alpha for layer in layers).most_common(1)[0][0]
        for prefix, layer in _named(layers, part, family, adapter.is_plain):
            alpha = layer.alpha if part == "transformer" else common
            tensors = _ia3(layer, saved, part) if kind_of(saved) == "IA3" else _tensors(layer, saved, alpha)
            state |= {f"{prefix}.{name}": tensor.contiguous() for name, tensor in tensors.items()}
    return state


def _named(layers: Sequence[Layer], part: str, family: Family, plain: bool) -> list[tuple[str, Layer]]:
    """The layers that a file holds, by what they are called there."""
    if part != "transformer" or family.places is None:
        return [(family.kohya_name(part, layer.name), layer) for layer in layers]
    if plain:
        return [(family.kohya_name(part, layer.name), layer) for layer in in_original(layers, family.places)]
    return [(f"{_UNFUSED}{layer.name.replace('.', '_')}", layer) for layer in layers]


def _tensors(layer: Layer, part: Part, alpha: float) -> dict[str, Tensor]:
    kind = kind_of(part)
    if kind == "LORA":
        return _lora(layer, alpha)
    if kind == "LOHA":
        return {**layer.tensors, "alpha": torch.tensor(layer.alpha)}
    if kind == "LOKR":
        return _lokr(layer)
    raise AdapterError(f"kohya's format has no words for {kind}; export formats peft or merged instead")


def _lora(layer: Layer, alpha: float) -> dict[str, Tensor]:
    down, up = layer.tensors["lora_A"], layer.tensors["lora_B"]
    up = up if layer.alpha == alpha else up * (layer.alpha / alpha)
    tensors = {"lora_down.weight": down, "lora_up.weight": up, "alpha": torch.tensor(alpha)}
    if (magnitude := layer.tensors.get("lora_magnitude_vector")) is not None:
        # LyCORIS's `wd_on_out`: one for each output, shaped to multiply the weight.
        tensors["dora_scale"] = magnitude.reshape(-1, *[1] * (down.ndim - 1))
    return tensors


def _lokr(layer: Layer) -> dict[str, Tensor]:
    """Where both factors are whole, all programs take the scale for 1: it goes into the smaller one."""
    tensors = dict(layer.tensors)
    if not {"lokr_w1", "lokr_w2"} <= set(tensors):
        return {**tensors, "alpha": torch.tensor(layer.alpha)}
    return {**tensors, "lokr_w1": tensors["lokr_w1"] * layer.scale, "alpha": torch.tensor(1.0)}


def _scales_input(layer: str, feedforward: str | list[str]) -> bool:
    """As peft/tuners/ia3/model.py `_check_target_module_feedforward` tells."""
    if isinstance(feedforward, str):
        return re.fullmatch(feedforward, layer) is not None
    return any(layer.endswith(name) for name in feedforward)


def _ia3(layer: Layer, saved: Part, part: str) -> dict[str, Tensor]:
    """LyCORIS learns what is added to a factor of 1, PEFT the factor."""
    if part == "transformer":
        raise AdapterError(
            "no program reads IA3 of a transformer from kohya's files; export formats peft or merged instead"
        )
    on_input = _scales_input(layer.name, saved.config.get("feedforward_modules") or [])
    if not on_input and not (part == "unet" and layer.name.endswith(_UNBIASED)):
        raise AdapterError(
            f"kohya's format cannot hold IA3 on the outputs of {layer.name}: PEFT scales its bias, too, other programs "
            "do not; export formats peft or merged instead"
        )
    factor = layer.tensors["ia3_l"]
    weight = (factor - 1) if factor.ndim == 4 else (factor - 1).flatten()  # (1, C, 1, 1), or one a feature
    return {"weight": weight, "on_input": torch.tensor(int(on_input))}
