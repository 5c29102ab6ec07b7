"""A part of an adapter and the module that it is for: layer by layer, sizes compared before anything is touched."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import torch
from torch import Tensor, nn

from foundation.adapters.files.changes import Change
from foundation.adapters.files.layers import pattern_value, scale_told
from foundation.adapters.files.part import AdapterPart, kind_of

_TENSOR: Final = re.compile(
    r"(?P<layer>.+)\.(?P<tensor>lora_[AB]\.weight|lora_B\.bias|lora_embedding_[AB]|lora_magnitude_vector"
    r"|hada_\w+|lokr_\w+|ia3_l|oft_R\.weight)"
)
_TEXT_MODEL: Final = "text_model."
_FROM_BASE: Final = ("pissa", "olora")
"""PEFT's ways to begin that take the beginning out of the base, and are the same each time."""
_ALSO_FROM_BASE: Final = ("pissa_niter_", "corda", "loftq", "lora_ga", "milora")
"""Those that are not."""
_MATRIX: Final = 2
"""Dimensions of a linear layer's weight."""


@dataclass(slots=True)
class Fitted:
    """A part as it is put on its module."""

    state: dict[str, Tensor] = field(default_factory=dict)
    """PEFT's state dict under the module's own names."""
    ranks: dict[str, int] = field(default_factory=dict)
    """By layer, of kinds that have one."""
    scales: dict[str, float] = field(default_factory=dict)
    """By layer, what its product is multiplied by at strength 1."""
    layers: set[str] = field(default_factory=set)
    """All layers that are adapted, whatever the kind."""
    problems: list[str] = field(default_factory=list)
    """Layers that are not in the module, or of another size there, in words."""


class _Names:
    """The layers of a module, also by what files call them."""

    def __init__(self, module: nn.Module) -> None:
        self.modules = dict(module.named_modules())
        self._flat = {name.replace(".", "_"): name for name in self.modules}

    def find(self, layer: str) -> str | None:
        """A layer's own name."""
        tried = (layer, f"{_TEXT_MODEL}{layer}", layer.removeprefix(_TEXT_MODEL))
        known = next((name for name in tried if name in self.modules), None)
        return known or self._flat.get(layer.replace(".", "_"))

    def leaf(self, layer: str) -> nn.Module:
        """The plain layer, whatever adapters are around it."""
        around: Any = self.modules[layer]
        leaf: nn.Module = around.get_base_layer() if hasattr(around, "get_base_layer") else around
        return leaf


def fit_part(module: nn.Module, part: AdapterPart) -> Fitted:
    """Find a place for every layer of a part; what has none is among the problems."""
    names, fitted = _Names(module), Fitted()
    grouped: dict[str, dict[str, Tensor]] = {}
    for name, tensor in part.state.items():
        if (found := _TENSOR.fullmatch(name)) is not None:
            grouped.setdefault(found["layer"], {})[found["tensor"]] = tensor
        elif not _fit_whole(module, name, tensor, fitted):
            fitted.problems.append(f"{name} ({_size(tensor)})")
    for layer, tensors in grouped.items():
        if (own := names.find(layer)) is None:
            fitted.problems.append(f"it has no {layer}")
        elif kind_of(part) == "LORA":
            _fit_lora(own, layer, tensors, part, names.leaf(own), fitted)
        else:
            fitted.layers.add(own)
            fitted.state |= {f"{own}.{tensor}": value for tensor, value in tensors.items()}
            if kind_of(part) in ("LOHA", "LOKR"):
                rank = pattern_value(part.config.get("rank_pattern"), layer, part.config["r"])
                alpha = pattern_value(part.config.get("alpha_pattern"), layer, part.config["alpha"])
                _scale_layer(own, rank, alpha / rank, fitted)
    for layer, change in part.changes.items():
        if (own := names.find(layer)) is None:
            fitted.problems.append(f"it has no {layer}")
            continue
        leaf = names.leaf(own)
        try:
            _fit_change(own, change, leaf, fitted)
        except (ValueError, RuntimeError, KeyError, TypeError, IndexError):
            fitted.problems.append(f"{own} is {_kind_and_size(leaf)}, for which the file's {change.kind} is not made")
    return fitted


def _fit_change(own: str, change: Change, leaf: nn.Module, fitted: Fitted) -> None:
    weight = _weight(leaf)
    _add(own, *_as_factors(change.update(weight)), fitted)
    if (bias := change.bias(weight[0].numel())) is not None:
        if getattr(leaf, "bias", None) is None or len(bias) != len(weight):
            raise ValueError(f"{tuple(bias.shape)} is no bias of it")
        fitted.state[f"{own}.lora_B.bias"] = bias


def _fit_whole(module: nn.Module, name: str, tensor: Tensor, fitted: Fitted) -> bool:
    """A parameter of a module that was trained whole."""
    own = dict(module.named_parameters()).get(name)
    if own is None or own.shape != tensor.shape:
        return False
    fitted.state[name] = tensor
    return True


def _fit_lora(
    own: str, layer: str, tensors: Mapping[str, Tensor], part: AdapterPart, leaf: nn.Module, fitted: Fitted
) -> None:
    if "lora_embedding_A" in tensors:
        _fit_embedding(own, layer, tensors, part, leaf, fitted)
        return
    if not {"lora_A.weight", "lora_B.weight"} <= tensors.keys():
        fitted.problems.append(f"{own} has {', '.join(tensors)} alone")
        return
    down, up = tensors["lora_A.weight"], tensors["lora_B.weight"]
    rank = len(down)
    scale = scale_told(part.config, layer, rank)
    shaped = _as_peft(down, up, leaf)
    if shaped is None:
        fitted.problems.append(f"{own} is {_kind_and_size(leaf)}, the file's is {_size(down)}, {_size(up)}")
        return
    if (init := part.config.get("init_lora_weights")) in _FROM_BASE and isinstance(leaf, nn.Linear):
        shaped = _without_beginning(*shaped, str(init), scale, _weight(leaf))
    _add(own, *shaped, fitted, scale)
    others = {
        name: tensor for name, tensor in tensors.items() if not name.startswith("lora_A") and name != "lora_B.weight"
    }
    if (magnitude := others.get("lora_magnitude_vector")) is not None:
        shape = (-1,) if isinstance(leaf, nn.Linear) else (1, -1, *[1] * (shaped[0].ndim - _MATRIX))
        others["lora_magnitude_vector"] = magnitude.reshape(shape)
    fitted.state |= {f"{own}.{name}": tensor for name, tensor in others.items()}


def _fit_embedding(
    own: str, layer: str, tensors: Mapping[str, Tensor], part: AdapterPart, leaf: nn.Module, fitted: Fitted
) -> None:
    first, second = tensors["lora_embedding_A"], tensors["lora_embedding_B"]
    sizes = (first.shape[1], len(second))
    if not isinstance(leaf, nn.Embedding) or sizes != (leaf.num_embeddings, leaf.embedding_dim):
        fitted.problems.append(f"{own} is {_kind_and_size(leaf)}, the file's is {_size(first)}, {_size(second)}")
        return
    fitted.state |= {f"{own}.{name}": tensor for name, tensor in tensors.items()}
    _scale_layer(own, len(first), scale_told(part.config, layer, len(first)), fitted)


def begins_anywhere(part: AdapterPart) -> str:
    """PEFT's way to begin, where what it took out of the base cannot be known; empty else."""
    init = part.config.get("init_lora_weights")
    return str(init) if isinstance(init, str) and init.startswith(_ALSO_FROM_BASE) else ""


def _without_beginning(down: Tensor, up: Tensor, init: str, scale: float, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Factors of twice the rank: W - s·B₀·A₀ + s·B·A, as PEFT saves it when it converts.

    Source: peft/tuners/lora/layer.py `pissa_init`, `olora_init`.
    """
    rank, base = len(down), weight.float()
    if init == "olora":
        Q, R = torch.linalg.qr(base)
        first_up, first_down = Q[:, :rank], R[:rank]
    else:
        U, S, Vh = torch.linalg.svd(base, full_matrices=False)
        root = (S[:rank] / scale).sqrt()
        first_up, first_down = U[:, :rank] * root, root[:, None] * Vh[:rank]
    return torch.cat([down.float(), first_down.cpu()]), torch.cat([up.float(), -first_up.cpu()], 1)


def _add(own: str, down: Tensor, up: Tensor, fitted: Fitted, scale: float = 1.0) -> None:
    fitted.state |= {f"{own}.lora_A.weight": down, f"{own}.lora_B.weight": up}
    _scale_layer(own, len(down), scale, fitted)


def _scale_layer(own: str, rank: int, scale: float, fitted: Fitted) -> None:
    fitted.layers.add(own)
    fitted.ranks[own], fitted.scales[own] = rank, scale


def _as_peft(down: Tensor, up: Tensor, leaf: nn.Module) -> tuple[Tensor, Tensor] | None:
    """A and B as PEFT has them of this layer; linear layers and 1 × 1 convolutions stand for each other."""
    rank = len(down)
    if isinstance(leaf, nn.Linear):
        inputs: tuple[int, ...] = (leaf.in_features,)
        outputs: tuple[int, ...] = (leaf.out_features, rank)
    elif isinstance(leaf, nn.Conv1d | nn.Conv2d | nn.Conv3d):
        inputs = (leaf.in_channels // leaf.groups, *leaf.kernel_size)
        outputs = (leaf.out_channels, rank, *[1] * len(leaf.kernel_size))
    else:
        return None
    kernels = [tensor.shape[2:].numel() for tensor in (down, up)]
    plain = down.shape[1:] == inputs or down.ndim == _MATRIX or kernels[0] == 1
    whole = down[0].numel() == torch.Size(inputs).numel() and up.numel() == torch.Size(outputs).numel()
    if rank == 0 or not plain or not whole or len(up) != outputs[0]:
        return None
    return down.reshape(rank, *inputs), up.reshape(outputs)


def _as_factors(update: Tensor) -> tuple[Tensor, Tensor]:
    """ΔW as B·A with an identity: exact, at the rank of the layer."""
    outputs = len(update)
    eye = torch.eye(outputs)
    update = update.cpu()
    if update.ndim > _MATRIX:
        return update, eye.reshape(outputs, outputs, *[1] * (update.ndim - _MATRIX))
    return (update, eye) if outputs <= update.shape[1] else (torch.eye(update.shape[1]), update)


def _weight(leaf: nn.Module) -> Tensor:
    from peft.utils.integrations import dequantize_module_weight

    if not isinstance(leaf, nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d):
        raise TypeError(f"{type(leaf).__name__} is not adapted")
    weight: Tensor = dequantize_module_weight(leaf)
    return weight


def _kind_and_size(leaf: nn.Module) -> str:
    weight = getattr(leaf, "weight", None)
    return f"a {type(leaf).__name__}" if weight is None else f"a {type(leaf).__name__} of {_size(weight)}"


def _size(tensor: Tensor) -> str:
    return " × ".join(str(size) for size in tensor.shape) or "one number"
