"""LoRA that starts from parts of the base's own weights (PiSSA, OLoRA), over a base that stays as it is.

PEFT takes what A and B start with out of the base: W ← W - s·B₀·A₀. All trials share W, so here the update leaves it
out instead, with frozen A₀ and B₀: W + s·(B·A - B₀·A₀) = (W - s·B₀·A₀) + s·B·A.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from peft.tuners.lora.layer import LoraLayer
from peft.utils.integrations import dequantize_module_weight
from torch import Tensor, nn

from foundation.errors import AdapterError
from train.products import LowRankFactors


def start_from_base(layer: LoraLayer, name: str, init: str) -> LowRankFactors:
    """Give A and B what PEFT's `init` takes from the layer's weight, which stays; returns copies of both.

    Raises:
        AdapterError: when the layer is not linear, or narrower than the rank.
    """
    leaf = layer.base_layer
    if not isinstance(leaf, nn.Linear):
        raise AdapterError(f"adapter.init={init} is for linear layers, got a {type(leaf).__name__} in adapter.targets")
    learned = layer.lora_A[name].weight, layer.lora_B[name].weight
    dtype = learned[0].dtype
    weight = dequantize_module_weight(leaf).detach().float().clone()
    if layer.r[name] > min(weight.shape):
        width, rank = min(weight.shape), layer.r[name]
        raise AdapterError(f"adapter.init={init} needs ranks up to a layer's width, got {rank} for one of {width}")
    own = nn.Linear(leaf.in_features, leaf.out_features, bias=False, device="meta")
    own.weight = nn.Parameter(weight, requires_grad=False)
    layer.base_layer = own
    try:
        layer.olora_init(name) if init == "olora" else layer.pissa_init(name, init)
    finally:
        layer.base_layer = leaf
    for parameter in learned:
        parameter.data = parameter.data.to(dtype).contiguous()
    return LowRankFactors(*(parameter.detach().clone() for parameter in learned))


def as_plain_lora(
    state: Mapping[str, Tensor], config: Mapping[str, Any], starts: Mapping[str, LowRankFactors]
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """PEFT's state and config as those of a LoRA of twice the rank, whose second half is what the update leaves out.

    PEFT's `path_initial_model_for_weight_conversion` writes the same.
    """
    doubled = dict(state)
    for layer, start in starts.items():
        down, up = f"{layer}.lora_A.weight", f"{layer}.lora_B.weight"
        doubled[down] = torch.cat([state[down], start.down.to(state[down])])
        doubled[up] = torch.cat([state[up], -start.up.to(state[up])], dim=1)
    alpha = 2**0.5 if config["use_rslora"] else 2.0  # so that the scale stays
    return doubled, {
        **config,
        "r": 2 * config["r"],
        "lora_alpha": alpha * config["lora_alpha"],
        "rank_pattern": {name: 2 * rank for name, rank in config["rank_pattern"].items()},
        "alpha_pattern": {name: alpha * own for name, own in config["alpha_pattern"].items()},
    }
