"""What other programs make of a layer with a kohya file's tensors, by their own formulas and in their own order.

A1111: extensions-builtin/Lora/networks.py `load_network`, network.py `finalize_updown`, network_*.py. Forge:
backend/patcher/lora.py `merge_lora_to_weight`. ComfyUI: comfy/lora.py `load_lora`, comfy/weight_adapter/*.py. Each
computes in float32, at strength 1. LyCORIS's formulas are in `lycoris.py`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

Tensors = Mapping[str, Tensor]


@dataclass(frozen=True)
class Loaded:
    """What a program makes of one layer."""

    weight: Tensor
    bias: Tensor | None
    read: frozenset[str]
    """The tensors that it knew."""


Program = Callable[[Tensor, Tensor | None, Tensors], Loaded]


def comfyui(weight: Tensor, bias: Tensor | None, t: Tensors) -> Loaded:
    """`diff_b` beside whatever else there is; of the others the last of lora, loha, lokr, diff that is there."""
    read, added, scale = {"alpha", "dora_scale"} & t.keys(), None, 1.0
    if "lora_up.weight" in t:
        up, down = t["lora_up.weight"], t["lora_down.weight"]
        read |= {"lora_up.weight", "lora_down.weight"}
        added, scale = torch.mm(up.flatten(1), down.flatten(1)), _scale(t, len(down))
    if "hada_w1_a" in t:
        added, scale = _loha(t), _scale(t, len(t["hada_w1_b"]))
        read |= {name for name in t if name.startswith("hada_")}
    if any(name.startswith("lokr_") for name in t):
        first, second, rank = _factors(t)
        added = torch.kron(first, second)  # as it is: `kron` refuses what einsum leaves in another order
        scale = 1.0 if rank is None else _scale(t, rank)
        read |= {name for name in t if name.startswith("lokr_")}
    if added is not None:
        added = scale * added.reshape(weight.shape)
        weight = weight + added if "dora_scale" not in t else _decomposed_as_comfyui(weight, added, t["dora_scale"])
    if "diff" in t:
        assert t["diff"].shape == weight.shape
        weight, read = weight + t["diff"], read | {"diff"}
    if "diff_b" in t and bias is not None:
        bias, read = bias + t["diff_b"], read | {"diff_b"}
    return Loaded(weight, bias, frozenset(read))


def _decomposed_as_comfyui(weight: Tensor, added: Tensor, scale: Tensor) -> Tensor:
    """For outputs the norm is that of the weight before, for inputs that of the weight after."""
    after = weight + added
    if scale.shape[0] == after.shape[0]:
        norm = weight.reshape(len(weight), -1).norm(dim=1).reshape(-1, *[1] * (weight.ndim - 1))
    else:
        norm = after.transpose(0, 1).reshape(after.shape[1], -1).norm(dim=1).reshape(1, -1, *[1] * (weight.ndim - 2))
    return after * (scale / (norm + torch.finfo(weight.dtype).eps))


def a1111(weight: Tensor, bias: Tensor | None, t: Tensors) -> Loaded:
    """The first of lora, loha, IA3, lokr, diff whose tensors are all there; DoRA by inputs, whatever its shape."""
    rank = None
    if {"lora_up.weight", "lora_down.weight"} <= t.keys():
        read = {"lora_up.weight", "lora_down.weight"}
        added, rank = t["lora_up.weight"].flatten(1) @ t["lora_down.weight"].flatten(1), len(t["lora_down.weight"])
    elif "hada_w1_a" in t:
        read = {name for name in t if name.startswith("hada_")}
        added, rank = _loha(t), len(t["hada_w1_b"])
    elif "weight" in t:
        read = {"weight", "on_input"}
        added = weight * (t["weight"] if t["on_input"] else t["weight"].reshape(-1, 1))
    elif any(name.startswith("lokr_w1") for name in t):
        read = {name for name in t if name.startswith("lokr_")}
        first, second, rank = _factors(t)
        added = torch.kron(first, second.contiguous())
    else:
        read, added = {"diff"}, t["diff"]
        if "diff_b" in t and bias is not None:
            bias, read = bias + t["diff_b"], read | {"diff_b"}
    added = added.reshape(weight.shape) * (1.0 if rank is None else _scale(t, rank))
    if "dora_scale" in t:
        after = weight + added
        norm = after.transpose(0, 1).reshape(after.shape[1], -1).norm(dim=1).reshape(1, -1, *[1] * (weight.ndim - 2))
        added = after * (t["dora_scale"] / norm) - weight
    return Loaded(weight + added, bias, frozenset(read | ({"alpha", "dora_scale"} & t.keys())))


LOADERS: dict[str, Program] = {"A1111": a1111, "Forge": comfyui, "ComfyUI": comfyui}


def _scale(t: Tensors, rank: int) -> float:
    return float(t["alpha"]) / rank if "alpha" in t else 1.0


def _loha(t: Tensors) -> Tensor:
    one, other = (_product(t.get(f"hada_t{i}"), t[f"hada_w{i}_a"], t[f"hada_w{i}_b"]) for i in (1, 2))
    return one * other


def _factors(t: Tensors) -> tuple[Tensor, Tensor, int | None]:
    """Both factors, and what the scale is divided by: the last rank there is."""
    first = t["lokr_w1"] if "lokr_w1" in t else t["lokr_w1_a"] @ t["lokr_w1_b"]
    second = t["lokr_w2"] if "lokr_w2" in t else _product(t.get("lokr_t2"), t["lokr_w2_a"], t["lokr_w2_b"])
    rank = next((len(t[name]) for name in ("lokr_w2_b", "lokr_w1_b") if name in t), None)
    return (first[:, :, None, None] if second.ndim == 4 else first), second, rank


def _product(core: Tensor | None, a: Tensor, b: Tensor) -> Tensor:
    return torch.mm(a, b) if core is None else torch.einsum("i j k l, j r, i p -> p r k l", core, b, a)


def by_layer(state: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """A file's tensors by the names of the layers."""
    grouped: dict[str, dict[str, Tensor]] = defaultdict(dict)
    for key, tensor in state.items():
        layer, _, name = key.partition(".")
        grouped[layer][name] = tensor
    return dict(grouped)


@torch.no_grad()
def put_into(modules: Mapping[str, nn.Module], state: Mapping[str, Tensor], program: Program) -> int:
    """Change the weights of modules, given by the prefix of their layers, as a program does; how many layers.

    All that the file holds must be what the program knows.
    """
    layers = {
        prefix + name.replace(".", "_"): layer
        for prefix, module in modules.items()
        for name, layer in module.named_modules()
    }
    grouped = by_layer(state)
    for name, tensors in grouped.items():
        layer = layers[name]
        loaded = program(layer.weight, layer.bias, {key: tensor.float() for key, tensor in tensors.items()})
        assert loaded.read == tensors.keys()
        layer.weight.copy_(loaded.weight)
        if loaded.bias is not None:
            layer.bias.copy_(loaded.bias)
    return len(grouped)
