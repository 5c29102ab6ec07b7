"""What LyCORIS adds to a weight for a kohya file's tensors: lycoris/modules/{locon,loha,lokr}.py."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


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
