"""The tensors of an adapter as kohya's trainer, A1111, Forge and ComfyUI name them, and LyCORIS for its kinds.

Each layer has its `.alpha`, and these programs scale by alpha / rank: what is written gives the scale that PEFT used,
also with rank_pattern, alpha_pattern or rsLoRA. Where the alphas of a UNet's or text encoder's layers differ, all
get the commonest and the rest of the scale goes into the layer's up matrix: diffusers 0.42 forgets other alphas than
the commonest (utils/peft_utils.py `get_peft_kwargs` looks for `to_k` under `processor.to_k_lora.down.weight`), and to
all other programs it is the same.

A plain LoRA of SD3 or FLUX has the names of the original code, see
`foundation.adapters.exports.original`. Other kinds cannot be
fused; they keep diffusers' names after `lora_transformer_`, which ComfyUI reads (comfy/lora.py), of FLUX Forge, too.

What multiplies whole outputs or inputs of a layer (DoRA, IA3) is written as ComfyUI and Forge take `dora_scale`:
d ⊙ (W + ΔW) / ‖W‖ with a d and a norm for each output, or d ⊙ (W + ΔW) / ‖W + ΔW‖ with one for each input. DoRA has
the norm of what W becomes for each output: d = m · ‖W‖ / ‖W + ΔW‖ gives the same weights. Both take the base's weights.

Sources: kohya-ss/sd-scripts networks/lora.py; KohakuBlueleaf/LyCORIS lycoris/modules/{loha,lokr}.py; ComfyUI
comfy/weight_adapter/*.py, there `weight_decompose`; Forge backend/patcher/lora.py; DoRA: Liu et al. 2024, equation 5.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

from foundation.adapters.exports.adapter import SavedAdapter
from foundation.adapters.exports.layer_names import kohya_name
from foundation.adapters.exports.layers import BaseLayer, BaseLayers, Layer, layers_of
from foundation.adapters.exports.original import in_original
from foundation.adapters.files import AdapterPart, kind_of
from foundation.bases.families import LayerNames
from foundation.errors import AdapterError

_UNFUSED: Final = "lora_transformer_"
"""Before diffusers' names of a transformer's layers."""
_MODULATION: Final = "adaLN_modulation"
"""In the original's names of layers whose shift and scale may have changed places."""
_TINY: Final = torch.finfo(torch.float32).eps
"""What ComfyUI and Forge add to a norm before they divide by it."""


def needs_base(adapter: SavedAdapter) -> bool:
    """Whether its tensors are computed from the base's weights, too."""
    return adapter.has_dora or adapter.has_bias or "IA3" in adapter.kinds


def kohya_state(adapter: SavedAdapter, names: LayerNames, base: BaseLayers | None = None) -> dict[str, Tensor]:
    """The tensors under kohya's names; `base` where `needs_base` says so.

    Raises:
        AdapterError: the format has no words for the adapter's kind, or for a part of it; or the base is missing.
    """
    if base is None and needs_base(adapter):
        raise AdapterError("kohya's format of this kind needs the base's weights, too: name the base")
    state: dict[str, Tensor] = {}
    for part, saved in adapter.parts.items():
        if part not in names.prefixes:
            raise AdapterError(
                f"kohya's files have no name for the {part} of {names.architecture}; export peft instead"
            )
        layers = layers_of(saved, "kohya's format")
        common = Counter(layer.alpha for layer in layers).most_common(1)[0][0]
        for prefix, layer in _layers_by_name(layers, part, names, adapter):
            alpha = layer.alpha if part == "transformer" else common
            own = base(part, layer.name) if base is not None and needs_base(adapter) else None
            tensors = _tensors(layer, saved, alpha, own)
            state |= {f"{prefix}.{name}": tensor.contiguous() for name, tensor in tensors.items()}
    return state


def _layers_by_name(
    layers: Sequence[Layer], part: str, names: LayerNames, adapter: SavedAdapter
) -> list[tuple[str, Layer]]:
    """The layers that a file holds, by what they are called there."""
    if part != "transformer" or names.places is None:
        return [(kohya_name(names, part, layer.name), layer) for layer in layers]
    if adapter.is_plain:
        return [(kohya_name(names, part, layer.name), layer) for layer in in_original(layers, names.places)]
    for layer in layers:
        _check_unfused(layer, names, adapter)
    return [(f"{_UNFUSED}{layer.name.replace('.', '_')}", layer) for layer in layers]


def _check_unfused(layer: Layer, names: LayerNames, adapter: SavedAdapter) -> None:
    """Refuse what ComfyUI does not read under diffusers' names."""
    assert names.places is not None
    try:
        place = names.places(layer.name)
    except KeyError as error:
        raise AdapterError(f"kohya's format has no name for {layer.name}; export peft or merged instead") from error
    if _MODULATION in place.layer or adapter.has_bias or "IA3" in adapter.kinds:
        what = "biases" if adapter.has_bias else ", ".join(sorted(adapter.kinds))
        raise AdapterError(
            f"kohya's format cannot hold {what} of {layer.name}, which is not a layer of its own in {place.layer}, or "
            "lies there in another order; export formats full, peft or merged instead"
        )


def _tensors(layer: Layer, part: AdapterPart, alpha: float, base: BaseLayer | None) -> dict[str, Tensor]:
    kind = kind_of(part)
    if kind == "LORA":
        return _lora(layer, alpha, base)
    if kind == "LOHA":
        return {**layer.tensors, "alpha": torch.tensor(layer.alpha)}
    if kind == "LOKR":
        return _lokr(layer)
    if kind == "IA3":
        assert base is not None
        return _ia3(layer, part, base)
    raise AdapterError(f"kohya's format has no words for {kind}; export formats full, peft or merged instead")


def _lora(layer: Layer, alpha: float, base: BaseLayer | None) -> dict[str, Tensor]:
    down, up = layer.tensors["lora_A"], layer.tensors["lora_B"]
    scaled = up if layer.alpha == alpha else up * (layer.alpha / alpha)
    tensors = {"lora_down.weight": down, "lora_up.weight": scaled, "alpha": torch.tensor(alpha)}
    if (magnitude := layer.tensors.get("lora_magnitude_vector")) is not None:
        assert base is not None
        changed = base.weight.flatten(1) + layer.scale * up.float().flatten(1) @ down.float().flatten(1)
        share = magnitude.float().flatten() / changed.norm(dim=1)
        tensors["dora_scale"] = _of_outputs(share, base.weight).to(magnitude.dtype)
    if (bias := layer.tensors.get("lora_B.bias")) is not None:
        assert base is not None
        if base.bias is None:
            raise AdapterError(
                f"kohya's format cannot hold a bias of {layer.name}, which has none in the base; export format peft"
            )
        tensors["diff_b"] = layer.scale * bias
    return tensors


def _of_outputs(share: Tensor, weight: Tensor) -> Tensor:
    """The `dora_scale` that multiplies each output's weights by its share (out,)."""
    norm: Tensor = weight.flatten(1).norm(dim=1) + _TINY
    return (share * norm).reshape(-1, *[1] * (weight.ndim - 1))


def _of_inputs(share: Tensor, weight: Tensor) -> Tensor:
    """The same for each input's, (in,), where ΔW is 0."""
    norm: Tensor = weight.transpose(0, 1).flatten(1).norm(dim=1) + _TINY
    return (share * norm).reshape(1, -1, *[1] * (weight.ndim - 2))


def _lokr(layer: Layer) -> dict[str, Tensor]:
    """Where both factors are whole, all programs take the scale for 1: it goes into the smaller one.

    A core (Tucker's) goes into the second factor's inputs, which keeps its rank: of a core ComfyUI and Forge make a
    matrix that their `torch.kron` refuses.
    """
    tensors = dict(layer.tensors)
    if (core := tensors.pop("lokr_t2", None)) is not None:
        tensors["lokr_w2_b"] = torch.einsum("ijkl,jn->inkl", core, tensors["lokr_w2_b"]).flatten(1)
        tensors["lokr_w2_a"] = tensors["lokr_w2_a"].mT
    if not {"lokr_w1", "lokr_w2"} <= set(tensors):
        return {**tensors, "alpha": torch.tensor(layer.alpha)}
    return {**tensors, "lokr_w1": tensors["lokr_w1"] * layer.scale, "alpha": torch.tensor(1.0)}


def _scales_input(layer: str, feedforward: str | list[str]) -> bool:
    """As peft/tuners/ia3/model.py `_check_target_module_feedforward` tells."""
    if isinstance(feedforward, str):
        return re.fullmatch(feedforward, layer) is not None
    return any(layer.endswith(name) for name in feedforward)


def _ia3(layer: Layer, saved: AdapterPart, base: BaseLayer) -> dict[str, Tensor]:
    """A factor for each input or output as a `dora_scale`, with a LoRA of zeros, without which it is not read.

    LyCORIS's own words for IA3 are known to A1111 alone.
    """
    weight, factor = base.weight, layer.tensors["ia3_l"].float().flatten()
    ones = [1] * (weight.ndim - 2)
    tensors = {
        "lora_down.weight": torch.zeros(1, *weight.shape[1:]),
        "lora_up.weight": torch.zeros(len(weight), 1, *ones),
        "alpha": torch.tensor(1.0),
    }
    if _scales_input(layer.name, saved.config.get("feedforward_modules") or []):
        return {**tensors, "dora_scale": _of_inputs(factor, weight)}
    tensors["dora_scale"] = _of_outputs(factor, weight)
    if base.bias is not None:
        tensors["diff_b"] = (factor - 1) * base.bias  # PEFT multiplies what the layer says, its bias with it
    return tensors
