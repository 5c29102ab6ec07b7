"""One LoRA out of several, each with a weight: PEFT's `add_weighted_adapter` without the base model.

The ways of combining are PEFT's own functions, in its order and with its meaning (peft/tuners/lora/model.py):
`linear`, `ties`, `dare_linear`, `dare_ties` and `magnitude_prune` combine the factors A and B, each with the root of
weight · scale; those that end in `svd` combine whole updates and take the best of a rank; `cat` puts factors side by
side, exactly.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from peft.utils import merge_utils
from torch import Tensor

from foundation.adapters.exports.adapter import SavedAdapter
from foundation.adapters.exports.layers import Layer, plain_loras
from foundation.adapters.files import AdapterPart
from foundation.adapters.files.part import COMPONENTS
from foundation.adapters.merge.low_rank import as_matrix, in_shape, truncate
from foundation.adapters.merge.recipe import Recipe
from foundation.adapters.merge.resize import lora_part
from foundation.errors import AdapterError


def combine(adapters: Sequence[SavedAdapter], weights: Sequence[float], recipe: Recipe) -> SavedAdapter:
    """Combine LoRAs layer by layer; a layer that only some have is combined of these.

    Raises:
        AdapterError: one is no plain LoRA, shapes differ, or ranks do where the method adds up factors.
    """
    if len(adapters) != len(weights):
        raise AdapterError(f"each LoRA needs a weight: {len(adapters)} LoRAs, {len(weights)} weights")
    loras = [plain_loras(adapter, "a combination") for adapter in adapters]
    rank = recipe.rank or max(layer.rank for lora in loras for layers in lora.values() for layer in layers)
    parts: dict[str, AdapterPart] = {}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        for part in (part for part in COMPONENTS if any(part in lora for lora in loras)):
            given: dict[str, list[tuple[Layer, float]]] = {}
            for lora, weight in zip(loras, weights, strict=True):
                for layer in lora.get(part, []):
                    given.setdefault(layer.name, []).append((layer, weight))
            tensors = {name: _combine(name, given[name], recipe, rank) for name in sorted(given)}
            parts[part] = lora_part(tensors)
    return SavedAdapter(parts)


def _combine(name: str, given: Sequence[tuple[Layer, float]], recipe: Recipe, rank: int) -> tuple[Tensor, Tensor]:
    first = given[0][0].tensors
    shapes = {(each.tensors["lora_A"].shape[1:], each.tensors["lora_B"].shape[:1]) for each, _ in given}
    if len(shapes) > 1:
        raise AdapterError(f"the LoRAs are of different bases: {name} has other sizes")
    pairs = [
        (*as_matrix(layer.tensors["lora_A"], layer.tensors["lora_B"]), weight * layer.scale) for layer, weight in given
    ]
    if recipe.method in ("cat", "svd"):
        A, B = torch.cat([weight * down for down, _, weight in pairs]), torch.cat([up for _, up, _ in pairs], 1)
        if recipe.method == "svd":
            A, B, _ = truncate(A, B, rank)
    elif recipe.method.endswith("_svd"):
        whole = [layer.scale * up @ down for (down, up, _), (layer, _) in zip(pairs, given, strict=True)]
        U, S, Vh = torch.linalg.svd(_mix(whole, [weight for _, weight in given], recipe), full_matrices=False)
        A, B = Vh[:rank], U[:, :rank] * S[:rank]
    else:
        if len({len(down) for down, _, _ in pairs}) > 1:
            ranks = " and ".join(str(len(down)) for down, _, _ in pairs)
            raise AdapterError(f"{name} has ranks {ranks}: {recipe.method} adds up factors; take method cat or svd")
        # A sign goes on one side only, or it would cancel.
        A = _mix([d for d, _, _ in pairs], [math.copysign(math.sqrt(abs(w)), w) for _, _, w in pairs], recipe)
        B = _mix([up for _, up, _ in pairs], [math.sqrt(abs(w)) for _, _, w in pairs], recipe)
    return in_shape(A, B, first["lora_A"], first["lora_B"])


def _mix(tensors: list[Tensor], weights: Sequence[float], recipe: Recipe) -> Tensor:
    """PEFT's function of the method, which is to be taken of A, of B, or of the whole update."""
    factors = torch.tensor(weights, dtype=torch.float64)
    method = recipe.method.removesuffix("_svd")
    mixed: Tensor
    if method == "linear":
        mixed = merge_utils.task_arithmetic(tensors, factors)
    elif method in ("ties", "dare_ties"):
        mixed = getattr(merge_utils, method)(tensors, factors, recipe.density, recipe.majority)
    else:
        mixed = getattr(merge_utils, method)(tensors, factors, recipe.density)
    return mixed
