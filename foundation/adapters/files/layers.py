"""The layers that a file tells of, as one part of an adapter: PEFT's LoRA where it is one, a change where it is not."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import torch
from torch import Tensor

from foundation.adapters.files.changes import ALPHA, BIAS, CHANGE_KINDS, MAGNITUDE, Change, LayerShare, scale_of
from foundation.adapters.files.part import AdapterPart, kind_of, lora_config
from foundation.bases.original_layers import Members, diffusers_layers, is_original, swaps_halves

_MAGNITUDE_OF_PEFT: Final = "lora_magnitude_vector"
_BIAS_OF_PEFT: Final = "lora_B.bias"
"""It is multiplied by the scale, unlike `BIAS`."""
_LORA: Final = frozenset({"lora_A", "lora_B"})
_EMBEDDING: Final = frozenset({"lora_embedding_A", "lora_embedding_B"})
_FACTORS: Final = ("lora_A", "lora_B", "lora_embedding_A", "lora_embedding_B", "lora_mid")
"""Tensors that are matrices or kernels."""
_MATRIX: Final = 2
_WHOLE: Final = frozenset({"weight", "bias"})
_WHOLE_NAME: Final = re.compile(r"\^[\w.]+")


@dataclass(frozen=True, slots=True)
class FileLayer:
    """One layer that a file has tensors for."""

    name: str
    tensors: Mapping[str, Tensor]

    def __str__(self) -> str:
        bad = [name for name, tensor in self.tensors.items() if not _is_sound(name, tensor)]
        return f"{self.name} ({', '.join(sorted(self.tensors))}{f'; a wrong {bad[0]}' if bad else ''})"

    @property
    def kind(self) -> str:
        """One of `CHANGE_KINDS`, "embedding", or nothing where its tensors are no whole update."""
        names = frozenset(self.tensors)
        if not all(_is_sound(name, tensor) for name, tensor in self.tensors.items()):
            return ""
        if names - {ALPHA} == _EMBEDDING:
            return "embedding"
        if names >= _LORA and names <= _LORA | {ALPHA, MAGNITUDE, BIAS, _BIAS_OF_PEFT}:
            return "lora"
        for name, kind in CHANGE_KINDS.items():
            if kind.needs <= names <= kind.needs | kind.may and (name != "lokr" or _is_lokr(names)):
                return name
        return ""


def _is_sound(name: str, tensor: Tensor) -> bool:
    """Whether a tensor could be what it is called: one number, or a matrix with something in it."""
    if name == ALPHA:
        return tensor.numel() == 1
    return tensor.numel() > 0 and (tensor.ndim >= _MATRIX or name not in _FACTORS)


def _is_lokr(names: frozenset[str]) -> bool:
    def factor(name: str) -> bool:
        return (f"{name}" in names) != ({f"{name}_a", f"{name}_b"} <= names)

    return factor("lokr_w1") and factor("lokr_w2") and not ("lokr_t2" in names and "lokr_w2" in names)


def scale_told(config: Mapping[str, Any], layer: str, rank: int) -> float:
    """What a LoRA's product is multiplied by, as PEFT's config tells it; 1 where there is none.

    Source: peft/tuners/lora/layer.py `update_layer`, peft/utils/other.py `get_pattern_key`.
    """
    if not config:
        return 1.0
    alpha = pattern_value(config.get("alpha_pattern"), layer, config.get("lora_alpha", rank))
    return float(alpha) / (math.sqrt(rank) if config.get("use_rslora") else rank)


def pattern_value(patterns: Mapping[str, Any] | None, layer: str, otherwise: Any) -> Any:
    """The first pattern's that a layer's name ends with; PEFT's `get_pattern_key` (peft/utils/other.py)."""
    for pattern, value in (patterns or {}).items():
        whole_name = _WHOLE_NAME.fullmatch(pattern)  # as `lora_config` writes them; no regex for each of hundreds
        if pattern[1:] == layer if whole_name else re.match(rf"(.*\.)?({pattern})$", layer):
            return value
    return otherwise


def as_part(
    layers: Sequence[FileLayer], config: Mapping[str, Any], base_norms: bool = False
) -> tuple[AdapterPart, list[str]]:
    """A part of all layers, and those that are no update, in words.

    `config` is PEFT's, empty where the file has none. A layer's own alpha is before it. For `base_norms` see `Change`.
    """
    if kind_of(AdapterPart({}, config)) != "LORA":
        return _of_other_kind(layers, config)
    biased = any({BIAS, _BIAS_OF_PEFT} & layer.tensors.keys() for layer in layers)
    part = _Lora(config, magnitudes=not biased and not base_norms, base_norms=base_norms)
    original = any(is_original(layer.name) for layer in layers)
    whole = tuple(config.get("modules_to_save") or ())
    for layer in map(_with_one_name, layers):
        members = diffusers_layers(layer.name) if original else None
        if layer.tensors.keys() <= _WHOLE and f".{layer.name}".endswith(tuple(f".{name}" for name in whole)):
            part.state |= {f"{layer.name}.{name}": tensor for name, tensor in layer.tensors.items()}
        elif members is None:
            part.add(layer)
        else:
            part.add_original(layer, members)
    return part.whole(), part.problems


def _of_other_kind(layers: Sequence[FileLayer], config: Mapping[str, Any]) -> tuple[AdapterPart, list[str]]:
    """PEFT's LoHa, LoKr, IA3 or OFT, in PEFT's own names; whether all is there is seen when it meets the model."""
    prefix = {"LOHA": "hada_", "LOKR": "lokr_", "IA3": "ia3_l", "OFT": "oft_R"}[kind_of(AdapterPart({}, config))]
    state, problems = {}, []
    for layer in layers:
        for name, tensor in layer.tensors.items():
            state[f"{layer.name}.{name}{'.weight' if name == 'oft_R' else ''}"] = tensor
        if not all(name.startswith(prefix) for name in layer.tensors):
            problems.append(str(layer))
    return AdapterPart(state, config), problems


def _with_one_name(layer: FileLayer) -> FileLayer:
    """PEFT's magnitude under the name that it has elsewhere; it is one for each output, however it is shaped."""
    if _MAGNITUDE_OF_PEFT not in layer.tensors or MAGNITUDE in layer.tensors:
        return layer
    tensors = dict(layer.tensors)
    tensors[MAGNITUDE] = tensors.pop(_MAGNITUDE_OF_PEFT).flatten()
    return replace(layer, tensors=tensors)


class _Lora:
    """A part that grows layer by layer."""

    def __init__(self, config: Mapping[str, Any], magnitudes: bool, base_norms: bool) -> None:
        """`magnitudes` tells whether PEFT's DoRA can hold these: it has none beside biases."""
        self.state: dict[str, Tensor] = {}
        self.changes: dict[str, Change] = {}
        self.problems: list[str] = []
        self._config = config
        self._magnitudes = magnitudes
        self._base_norms = base_norms
        self._kept = bool(config)
        """Whether PEFT's config still tells all scales."""
        self._ranks: dict[str, int] = {}
        self._alphas: dict[str, float] = {}
        self._dora = self._bias = False

    def add(self, layer: FileLayer) -> None:
        """One of diffusers' layers."""
        kind = layer.kind
        if kind == "embedding":
            down, up = (layer.tensors[f"lora_embedding_{side}"] for side in "AB")
            self._scale_of(layer, down)
            self.state |= {f"{layer.name}.lora_embedding_A": down, f"{layer.name}.lora_embedding_B": up}
        elif kind == "lora" and self._is_plain(layer):
            self._add_lora(layer.name, layer, layer.tensors["lora_B"])
        elif kind and _BIAS_OF_PEFT not in layer.tensors:
            self._change(layer.name, kind, layer)
        else:
            self.problems.append(str(layer))

    def add_original(self, layer: FileLayer, members: Members) -> None:
        """A layer of the original code, which may be several of diffusers'."""
        kind = layer.kind
        fused = bool(members.shares)
        swapped = not fused and _is_swapped(layer)
        plain = kind == "lora" and self._is_plain(layer) and not swapped
        if (
            not kind
            or (fused and not CHANGE_KINDS.get(kind, CHANGE_KINDS["lora"]).fuses)
            or _BIAS_OF_PEFT in layer.tensors
        ):
            self.problems.append(str(layer))
        elif plain and not fused:
            self.add(replace(layer, name=members.layers[0]))
        elif plain:
            self._add_fused(layer, members)
        elif kind == "lora" and self._is_plain(layer):
            self._add_swapped(members.layers[0], layer)
        else:
            for name, number in zip(members.layers, members.numbers, strict=True):
                self._change(name, kind, layer, LayerShare(number, members.shares) if fused else None, swapped)

    def _change(
        self, name: str, kind: str, layer: FileLayer, share: LayerShare | None = None, swapped: bool = False
    ) -> None:
        tensors = layer.tensors
        if kind == "lora" and ALPHA not in tensors:
            rank = len(tensors["lora_A"])
            tensors = {**tensors, ALPHA: torch.tensor(rank * scale_told(self._config, layer.name, rank))}
        self.changes[name] = Change(kind, tensors, share, swapped, self._base_norms)

    def _is_plain(self, layer: FileLayer) -> bool:
        """Whether PEFT's LoRA is the same: B·A, or with a magnitude for each output."""
        down, up = layer.tensors["lora_A"], layer.tensors["lora_B"]
        magnitude = layer.tensors.get(MAGNITUDE)
        held = magnitude is None or (self._magnitudes and magnitude.numel() == len(magnitude) == len(up))
        return down.ndim == up.ndim and held and BIAS not in layer.tensors

    def whole(self) -> AdapterPart:
        """All that was added."""
        if self._kept and not self.changes:
            return AdapterPart(self.state, self._config)
        kept = {name: self._config[name] for name in ("modules_to_save",) if self._config.get(name)}
        config = lora_config(self._ranks, self._alphas) if self._ranks else {"peft_type": "LORA", "r": 1}
        flags = {"use_dora": True} if self._dora else {}
        flags |= {"lora_bias": True} if self._bias else {}
        return AdapterPart(self.state, {**config, **flags, **kept}, self.changes)

    def _scale_of(self, layer: FileLayer, down: Tensor) -> float:
        rank = len(down)
        if ALPHA in layer.tensors:
            self._kept = False
            scale = scale_of(layer.tensors, rank)
        else:
            scale = scale_told(self._config, layer.name, rank)
        self._ranks[layer.name], self._alphas[layer.name] = rank, scale * rank
        return scale

    def _add_lora(self, name: str, layer: FileLayer, up: Tensor, columns: Tensor | None = None) -> None:
        """A plain LoRA of `name`; of its ranks those in `columns`, where these are given."""
        down = layer.tensors["lora_A"]
        scale = self._scale_of(replace(layer, name=name), down)
        if columns is not None:
            down, up = down[columns], up[:, columns]
            self._ranks[name], self._alphas[name] = len(down), scale * len(down)
        self.state |= {f"{name}.lora_A.weight": down.contiguous(), f"{name}.lora_B.weight": up.contiguous()}
        if _BIAS_OF_PEFT in layer.tensors:
            self._bias = True
            self.state[f"{name}.{_BIAS_OF_PEFT}"] = layer.tensors[_BIAS_OF_PEFT]
        if (magnitude := layer.tensors.get(MAGNITUDE)) is not None:
            self._dora = True
            shape = (-1,) if down.ndim == 2 else (1, -1, *[1] * (down.ndim - 2))
            self.state[f"{name}.{_MAGNITUDE_OF_PEFT}"] = magnitude.reshape(shape)

    def _add_fused(self, layer: FileLayer, members: Members) -> None:
        """Each layer's own rows of the up matrix, with the ranks that act on them."""
        self._kept = False
        down, up = layer.tensors["lora_A"], layer.tensors["lora_B"]
        width = down[0].numel()
        if len(up) != sum(members.shares) * width:
            self.problems.append(str(layer))
            return
        for name, number in zip(members.layers, members.numbers, strict=True):
            rows = LayerShare(number, members.shares).rows(width)
            own = {each: tensor for each, tensor in layer.tensors.items() if each != MAGNITUDE}
            if MAGNITUDE in layer.tensors:
                own[MAGNITUDE] = layer.tensors[MAGNITUDE].flatten()[rows]
            acting = up[rows].flatten(1).any(0)
            acting[0] |= not acting.any()
            self._add_lora(name, replace(layer, tensors=own), up[rows], acting)

    def _add_swapped(self, name: str, layer: FileLayer) -> None:
        self._kept = False
        tensors = {each: _halves_swapped(layer.tensors[each]) for each in (MAGNITUDE,) if each in layer.tensors}
        up = _halves_swapped(layer.tensors["lora_B"])
        self._add_lora(name, replace(layer, tensors={**layer.tensors, **tensors}), up)


def _is_swapped(layer: FileLayer) -> bool:
    """Whether it is a modulation whose halves diffusers has in the other order."""
    if "diff" in layer.tensors:
        return swaps_halves(layer.name, *layer.tensors["diff"].shape[:2])
    if not layer.tensors.keys() >= _LORA:
        return False
    return swaps_halves(layer.name, len(layer.tensors["lora_B"]), layer.tensors["lora_A"].shape[1])


def _halves_swapped(tensor: Tensor) -> Tensor:
    return torch.cat(tensor.chunk(2)[::-1])
