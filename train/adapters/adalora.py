"""AdaLoRA's own part in a training: its rank schedule, the loss that keeps it orthogonal, and its file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from peft import AdaLoraModel
from peft.tuners.adalora.layer import AdaLoraLayer
from torch import Tensor, nn

_MEMORY = ("ipt", "exp_avg_ipt", "exp_avg_unc")
_PATTERN = "kept"


def penalty(tuner: AdaLoraModel) -> Tensor:
    """What PEFT's `AdaLoraModel` adds to a loss: the mean distance of A·Aᵀ and Bᵀ·B from 1, weighted; no dimensions."""
    name = tuner.trainable_adapter_name
    products = []
    for layer in _layers(tuner):
        a, b = layer.lora_A[name], layer.lora_B[name]
        products += [a @ a.T, b.T @ b]
    distances = [
        torch.linalg.norm(each - torch.eye(len(each), dtype=each.dtype, device=each.device)) for each in products
    ]
    weight: float = tuner.peft_config[name].orth_reg_weight
    return weight * torch.stack(distances).mean()


def memory(tuner: AdaLoraModel) -> dict[str, Tensor]:
    """What its schedule remembers of earlier steps, by names that hold no adapter's name."""
    name, allocator = tuner.trainable_adapter_name, tuner.rankallocator
    kept = {
        f"{part}:{key.replace(f'.{name}', '')}": tensor
        for part in _MEMORY
        for key, tensor in getattr(allocator, part).items()
    }
    pattern = tuner.peft_config[name].rank_pattern or {}
    return kept | {f"{_PATTERN}:{key.replace(f'.{name}', '')}": torch.tensor(own) for key, own in pattern.items()}


def remember_ranks(tuner: AdaLoraModel, kept: Mapping[str, Tensor]) -> None:
    """Take up what `memory` gave."""
    name, allocator = tuner.trainable_adapter_name, tuner.rankallocator
    names = {key.replace(f".{name}", ""): key for key, _ in tuner.model.named_parameters() if f".{name}" in key}
    parts: dict[str, dict[str, Tensor]] = {part: {} for part in (*_MEMORY, _PATTERN)}
    for key, tensor in kept.items():
        part, _, parameter = key.partition(":")
        parts[part][names[parameter]] = tensor
    for part in _MEMORY:
        setattr(allocator, part, {key: tensor.clone() for key, tensor in parts[part].items()})
    pattern = {key: tensor.tolist() for key, tensor in parts[_PATTERN].items()}
    tuner.peft_config[name].rank_pattern = pattern or None


def as_lora(
    layers: Mapping[str, AdaLoraLayer], name: str, config: Mapping[str, Any]
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """State and `LoraConfig` of the same update as a LoRA, without the ranks that the schedule took away."""
    state: dict[str, Tensor] = {}
    ranks: dict[str, int] = {}
    alphas: dict[str, float] = {}
    for key, layer in layers.items():
        e = layer.lora_E[name].detach().flatten()
        rows = e.nonzero().flatten()
        rows = rows if len(rows) else rows.new_zeros(1)  # a LoRA has a rank
        down = (layer.lora_A[name].detach() * e[:, None])[rows]
        up = layer.lora_B[name].detach()[:, rows]
        leaf = layer.get_base_layer()
        if isinstance(leaf, nn.Conv2d):
            down, up = down.view(len(rows), leaf.in_channels, *leaf.kernel_size), up[:, :, None, None]
        state |= {f"{key}.lora_A.weight": down, f"{key}.lora_B.weight": up}
        ranks[f"^{key}"] = len(rows)
        alphas[f"^{key}"] = len(rows) * layer.scaling[name] / (layer.ranknum[name].item() + 1e-5)
    shared = ("target_modules", "exclude_modules", "layers_to_transform", "layers_pattern")
    largest = max(ranks.values())
    return state, {
        "peft_type": "LORA",
        "r": largest,
        "lora_alpha": largest,
        "rank_pattern": ranks,
        "alpha_pattern": alphas,
        **{field: config[field] for field in shared},
    }


def _layers(tuner: AdaLoraModel) -> list[AdaLoraLayer]:
    return [module for module in tuner.model.modules() if isinstance(module, AdaLoraLayer)]
