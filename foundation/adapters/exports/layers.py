"""An adapter's layers: which tensors each has, and by how much its update is scaled."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from torch import Tensor

from foundation.adapters.exports.adapter import SavedAdapter
from foundation.adapters.files import AdapterPart, kind_of
from foundation.adapters.files.layers import pattern_value, scale_told
from foundation.errors import AdapterError

_TENSOR: Final = re.compile(
    r"(?P<layer>.+)\.(?P<tensor>lora_B\.bias|(lora_[AB]|lora_magnitude_vector|hada_\w+|lokr_\w+|ia3_l|oft_\w+))"
    r"(\.weight)?"
)


@dataclass(frozen=True, slots=True)
class Layer:
    """One adapted layer."""

    name: str
    """Its path in the module."""
    tensors: Mapping[str, Tensor]
    """By PEFT's names of them: lora_A, hada_w1_a …"""
    rank: int
    """0 for kinds that have none."""
    scale: float
    """What the product of its tensors is multiplied by, at strength 1."""

    @property
    def alpha(self) -> float:
        """The alpha whose share in the rank is the scale, as files without PEFT's config tell it."""
        return self.scale * self.rank


@dataclass(frozen=True, slots=True)
class BaseLayer:
    """What the base has where an adapter's layer is."""

    weight: Tensor
    """(out, in), or (out, in, k, k)."""
    bias: Tensor | None


BaseLayers = Callable[[str, str], BaseLayer]
"""The base's layer by part and the layer's name there."""


def layers_of(part: AdapterPart, what: str) -> list[Layer]:
    """The layers of a part, by name.

    Raises:
        AdapterError: there is more in it (whole modules); `what` says what has no place for that.
    """
    for layer, change in part.changes.items():
        raise AdapterError(
            f"{what} has no place for {layer}, a {change.kind} as other programs write it; export merged"
        )
    grouped: dict[str, dict[str, Tensor]] = {}
    for name, tensor in part.state.items():
        found = _TENSOR.fullmatch(name)
        if found is None:
            raise AdapterError(f"{what} has no place for {name}; export formats peft or merged instead")
        grouped.setdefault(found["layer"], {})[found["tensor"]] = tensor
    return [_layer(name, tensors, part) for name, tensors in sorted(grouped.items())]


def _layer(name: str, tensors: dict[str, Tensor], part: AdapterPart) -> Layer:
    config, kind = part.config, kind_of(part)
    if kind == "LORA":
        rank = len(tensors["lora_A"])
        return Layer(name, tensors, rank, scale_told(config, name, rank))
    if kind in ("LOHA", "LOKR"):
        rank = pattern_value(config.get("rank_pattern"), name, config["r"])
        return Layer(name, tensors, rank, pattern_value(config.get("alpha_pattern"), name, config["alpha"]) / rank)
    return Layer(name, tensors, 0, 1.0)


def plain_loras(adapter: SavedAdapter, who: str) -> dict[str, list[Layer]]:
    """All layers by part, of an adapter that is nothing but B·A in every layer.

    Raises:
        AdapterError: it is more or other than that; `who` begins the sentence.
    """
    if adapter.has_dora:
        raise AdapterError(f"{who} takes no DoRA: its magnitudes hang on the base; merge it instead")
    if adapter.has_bias:
        raise AdapterError(f"{who} takes no LoRA with biases (adapter.lora_bias); merge it into the base instead")
    if others := _names(adapter.kinds - {"LORA"}):
        raise AdapterError(f"{who} takes LoRA only, got {others}; merge it into the base instead")
    if adapter.changes:
        raise AdapterError(f"{who} takes LoRA only, got {_names(adapter.changes)}; merge it into the base instead")
    return {part: layers_of(saved, who) for part, saved in adapter.parts.items()}


def _names(kinds: Iterable[str]) -> str:
    return ", ".join(sorted(kinds))
