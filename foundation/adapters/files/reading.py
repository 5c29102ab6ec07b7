"""An adapter's file as parts: every tensor in it is part of a layer's update, or the file is refused by what it is."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from torch import Tensor

from foundation.adapters.files.changes import BASE_NORMS, NORMS_ENTRY
from foundation.adapters.files.contents import what_it_is
from foundation.adapters.files.layers import FileLayer, as_part
from foundation.adapters.files.names import DENOISER, parse_name
from foundation.adapters.files.opened import PEFT_CONFIG, PEFT_WEIGHTS, Opened, adapter_files, json_object, open_file
from foundation.adapters.files.part import COMPONENTS, DIFFUSERS_CONFIG, PEFT_CONFIGS, AdapterPart, kind_of
from foundation.errors import AdapterError

PEFT_KINDS: Final = ("LORA", "LOHA", "LOKR", "IA3", "OFT")
"""PEFT's types that are read as PEFT has them."""
_SHOWN: Final = 3
"""Names that a message gives."""
_FLUX_ONLY: Final = ("double_blocks", "single_blocks", "single_transformer_blocks")
_T5: Final = "encoder.block."


@dataclass(slots=True)
class _Gathered:
    """What the names of a file say."""

    layers: dict[str, dict[str, dict[str, Tensor]]] = field(default_factory=dict)
    """Component, layer, tensor."""
    strange: list[str] = field(default_factory=list)
    """Names that no adapter has."""
    twice: list[str] = field(default_factory=list)
    """Names that say what another one says, too."""


def read_parts(path: Path) -> dict[str, AdapterPart]:
    """What an adapter's file or folder holds, by component, under the names that diffusers' modules have.

    Read are all namings of `foundation.adapters.files.names`, and PEFT's folders. A layer's scale is alpha / rank with
    its own alpha, else as PEFT's config says that is in the header or beside the file, else 1.

    Raises:
        AdapterError: it cannot be read, is no adapter, or holds anything that is none of an adapter's layers.
    """
    parts: dict[str, AdapterPart] = {}
    for file in adapter_files(path):
        content = open_file(file)
        parts |= _ours(content) if PEFT_CONFIGS in content.header else _parts(content)
    return {component: parts[component] for component in COMPONENTS if component in parts}


def _ours(content: Opened) -> dict[str, AdapterPart]:
    """Our own format, of kinds that diffusers does not load: PEFT's names after the component's."""
    configs = json_object(content.header[PEFT_CONFIGS], f"{content.path}'s header")
    states: dict[str, dict[str, Tensor]] = {}
    for name, tensor in content.tensors.items():
        component, _, rest = name.partition(".")
        states.setdefault(component, {})[rest] = tensor
    if strange := [each for each in states if each not in COMPONENTS or not isinstance(configs.get(each), dict)]:
        raise AdapterError(f"{content.path} is damaged: its header has no config of {strange[0]}")
    return {component: _of_kind(AdapterPart(state, configs[component]), content) for component, state in states.items()}


def _of_kind(part: AdapterPart, content: Opened) -> AdapterPart:
    if wrong := _wrong_in(part.config):
        raise AdapterError(f"{content.path} is damaged: its config's {wrong} is no such thing")
    if (kind := kind_of(part)) not in PEFT_KINDS:
        raise AdapterError(
            f"{content.path} is an adapter of PEFT's kind {kind}, which is not read here; {', '.join(PEFT_KINDS)} are"
        )
    return part


def _wrong_in(config: Mapping[str, Any]) -> str:
    """What of PEFT's config is not of its type, of all that is read here; empty for nothing."""

    def is_number(value: Any) -> bool:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= 0

    ranked = kind_of(AdapterPart({}, config)) in ("LORA", "LOHA", "LOKR")
    for name in ("r", "lora_alpha", "alpha"):
        if name in config and not (is_number(config[name]) and (config[name] >= 1 or name != "r" or not ranked)):
            return f"{name} {config[name]!r}"
    for name in ("rank_pattern", "alpha_pattern"):
        patterns = config.get(name) or {}
        if not isinstance(patterns, Mapping) or not all(map(is_number, patterns.values())):
            return name
        if broken := next((pattern for pattern in patterns if not _is_pattern(pattern)), None):
            return f"{name} {broken!r}"
    needed = {"r", "alpha"} if kind_of(AdapterPart({}, config)) in ("LOHA", "LOKR") else set()
    return next((f"{name}, which is not there," for name in sorted(needed - config.keys())), "")


def _is_pattern(text: str) -> bool:
    try:
        re.compile(text)
    except re.error:
        return False
    return True


def _parts(content: Opened) -> dict[str, AdapterPart]:
    if content.path.name == PEFT_WEIGHTS and not content.config:
        raise AdapterError(f"{content.path} needs {PEFT_CONFIG} beside it, which says its kind and alpha; copy both")
    configs = _configs(content)
    for config in configs.values():
        _of_kind(AdapterPart({}, config), content)
    gathered = _gather(content)
    if other := what_it_is(content.tensors, gathered.strange):
        raise AdapterError(f"{content.path} {other}")
    if gathered.twice:
        raise AdapterError(f"{content.path} says what one layer gets twice, in {_some(gathered.twice)}; save it anew")
    parts, problems = {}, list[str]()
    for component, layers in gathered.layers.items():
        config = configs.get(component) or configs.get("", {})
        found = [FileLayer(name, tensors) for name, tensors in layers.items()]
        part, wrong = as_part(found, config, content.header.get(NORMS_ENTRY) == BASE_NORMS)
        problems += [f"{component}.{each}" for each in wrong]
        parts[component] = part
    unused = [*gathered.strange, *problems]
    if unused:
        raise AdapterError(
            f"{content.path} holds what no LoRA could act with: {len(unused)} of {len(content.tensors)} tensors or "
            f"layers, {_some(unused)}; save it without them, or give the file that its trainer made"
        )
    return parts


def _configs(content: Opened) -> dict[str, dict[str, Any]]:
    """PEFT's configs by component; under "" the one that lies beside the file."""
    if content.config:
        return {content.component: dict(content.config)}
    found: dict[str, dict[str, Any]] = {}
    if DIFFUSERS_CONFIG in content.header:
        entries = json_object(content.header[DIFFUSERS_CONFIG], f"{content.path}'s header")
        for key, value in entries.items():
            component, _, name = key.partition(".")
            found.setdefault(component, {})[name] = value
    return found


def _gather(content: Opened) -> _Gathered:
    gathered = _Gathered()
    for name, tensor in content.tensors.items():
        named = parse_name(name)
        if named is None:
            gathered.strange.append(name)
            continue
        component = content.component or named.component
        layer = gathered.layers.setdefault(component, {}).setdefault(named.layer, {})
        if named.tensor in layer:
            gathered.twice.append(name)
        layer[named.tensor] = tensor
    _name_denoiser(gathered)
    _name_t5(gathered)
    return gathered


def _name_denoiser(gathered: _Gathered) -> None:
    """Layers of unknown names are of the denoiser that the others are of."""
    layers = gathered.layers
    if DENOISER in layers:
        owner = "transformer" if "transformer" in layers else "unet"
        layers[owner] = layers.get(owner, {}) | layers.pop(DENOISER)


def _name_t5(gathered: _Gathered) -> None:
    """FLUX's second text encoder is a T5, which sd-scripts and ComfyUI count as the third."""
    layers = gathered.layers
    flux = any(layer.startswith(_FLUX_ONLY) for layer in layers.get("transformer", {}))
    third = layers.get("text_encoder_3", {})
    if flux and third and "text_encoder_2" not in layers and all(name.startswith(_T5) for name in third):
        layers["text_encoder_2"] = layers.pop("text_encoder_3")


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{', '.join(names[:_SHOWN])}{more}"
