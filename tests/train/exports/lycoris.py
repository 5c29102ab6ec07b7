"""What other programs do with a kohya file, after their own formulas: the weights it makes of a base's.

ComfyUI comfy/weight_adapter/{lora,loha,lokr}.py; LyCORIS lycoris/modules/{loha,lokr,ia3}.py and its `wd_on_out`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

import torch
from torch import Tensor, nn


def put_into(modules: Mapping[str, nn.Module], state: Mapping[str, Tensor]) -> int:
    """Change the weights of modules, given by the prefix of their layers, as a kohya file says; how many layers."""
    layers = {
        prefix + name.replace(".", "_"): layer
        for prefix, module in modules.items()
        for name, layer in module.named_modules()
    }
    grouped: dict[str, dict[str, Tensor]] = defaultdict(dict)
    for key, tensor in state.items():
        name, _, tensor_name = key.partition(".")
        grouped[name][tensor_name] = tensor
    for name, tensors in grouped.items():
        weight: Tensor = layers[name].weight.data
        weight.copy_(changed(weight.double(), {key: tensor.double() for key, tensor in tensors.items()}))
    return len(grouped)


def changed(weight: Tensor, t: Mapping[str, Tensor]) -> Tensor:
    """A weight with the update that one layer's tensors make."""
    if "on_input" in t:
        factor = t["weight"] if t["on_input"] else t["weight"].reshape(-1, *[1] * (weight.ndim - 1))
        return weight * (1 + factor)
    result = weight + update(t).reshape(weight.shape)
    if "dora_scale" in t:
        norm = result.reshape(len(result), -1).norm(dim=1).reshape(-1, *[1] * (result.ndim - 1))
        result = t["dora_scale"] * result / norm
    return result


def update(t: Mapping[str, Tensor]) -> Tensor:
    """ΔW, in a shape of as many numbers as the weight's."""
    if "lora_down.weight" in t:
        down, up = t["lora_down.weight"], t["lora_up.weight"]
        return up.flatten(1) @ down.flatten(1) * t["alpha"] / len(down)
    if "hada_w1_a" in t:
        one, other = (_product(t.get(f"hada_t{i}"), t[f"hada_w{i}_a"], t[f"hada_w{i}_b"]) for i in (1, 2))
        return one * other * t["alpha"] / len(t["hada_w1_b"])
    dim = next((len(t[name]) for name in ("lokr_w2_b", "lokr_w1_b") if name in t), None)
    w1 = t["lokr_w1"] if "lokr_w1" in t else t["lokr_w1_a"] @ t["lokr_w1_b"]
    w2 = t["lokr_w2"] if "lokr_w2" in t else _product(t.get("lokr_t2"), t["lokr_w2_a"], t["lokr_w2_b"])
    return torch.kron(w1.reshape(*w1.shape, *[1] * (w2.ndim - 2)), w2.contiguous()) * (t["alpha"] / dim if dim else 1)


def _product(core: Tensor | None, a: Tensor, b: Tensor) -> Tensor:
    return a @ b if core is None else torch.einsum("ijkl,jr,ip->prkl", core, b, a)
