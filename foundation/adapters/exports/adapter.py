"""An adapter in memory, apart from any model: PEFT's state dict and config for each part of the pipeline it is in."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from safetensors.torch import save
from torch import Tensor

from foundation.adapters.files import AdapterPart, kind_of, read_parts
from foundation.adapters.files.part import DIFFUSERS_CONFIG
from foundation.files.documents import parse_json
from foundation.files.durable import write_bytes

_IN_FILES: Final = "text_model."
"""Files name CLIP's layers from here on."""
_CLIP_LAYERS: Final = "encoder.layers."
"""Where CLIP's layers lie; T5's are under `encoder.block.`, in files too."""


@dataclass(frozen=True, slots=True)
class SavedAdapter:
    """What was trained, by the pipeline's component that it belongs to; names and configs are PEFT's."""

    parts: Mapping[str, AdapterPart]

    @property
    def kinds(self) -> frozenset[str]:
        """PEFT's types of its parts: LORA, LOHA …"""
        return frozenset(kind_of(part) for part in self.parts.values())

    @property
    def is_plain(self) -> bool:
        """Whether it is B·A in every layer and nothing else."""
        return self.kinds == {"LORA"} and not (self.has_dora or self.has_bias) and not self.changes

    @property
    def changes(self) -> frozenset[str]:
        """Kinds of layers of other programs that PEFT has none of, by LyCORIS's names; they can only be merged."""
        return frozenset(change.kind for part in self.parts.values() for change in part.changes.values())

    @property
    def has_dora(self) -> bool:
        """Whether any layer has a magnitude of its own."""
        return any("lora_magnitude_vector" in name for part in self.parts.values() for name in part.state)

    @property
    def has_bias(self) -> bool:
        """Whether any layer's update adds to its bias, too (`adapter.lora_bias`)."""
        return any(name.endswith("lora_B.bias") for part in self.parts.values() for name in part.state)


def read_adapter(path: Path) -> SavedAdapter:
    """Read a file, or the folder it lies in, whoever wrote it; see `foundation.adapters.files.read_parts`.

    Raises:
        AdapterError: it is not there, is no safetensors file, or holds anything that is no layer's update.
    """
    return SavedAdapter(read_parts(path))


def write_diffusers(adapter: SavedAdapter, file: Path) -> None:
    """Write the file that diffusers' `load_lora_weights` takes, PEFT's config in the header.

    Source: diffusers 0.42, loaders/lora_base.py `save_lora_weights`, `_pack_dict_with_prefix`.
    """
    tensors = {f"{part}.{_in_file(part, name)}": tensor for part, name, tensor in _all(adapter)}
    config = {f"{part}.{key}": value for part, saved in adapter.parts.items() for key, value in saved.config.items()}
    header = {"format": "pt", DIFFUSERS_CONFIG: json.dumps(config, indent=2, sort_keys=True)}
    write_bytes(file, as_file({name: tensor.contiguous() for name, tensor in tensors.items()}, header))


def as_file(tensors: Mapping[str, Tensor], header: Mapping[str, str]) -> bytes:
    """A safetensors file with its header in order, so that equal adapters give equal files.

    The library writes what the header says in any order (safetensors 0.8, a hash map).
    """
    data = save(dict(tensors), dict(header))
    begin = 8 + int.from_bytes(data[:8], "little")
    entries = parse_json(data[8:begin], "a header")
    entries["__metadata__"] = dict(sorted(entries["__metadata__"].items()))
    text = json.dumps(dict(sorted(entries.items())), separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)  # tensors begin at a multiple of 8
    return len(text).to_bytes(8, "little") + text + data[begin:]


def _all(adapter: SavedAdapter) -> list[tuple[str, str, Tensor]]:
    return [(part, name, tensor) for part, saved in adapter.parts.items() for name, tensor in saved.state.items()]


def layer_in_file(part: str, layer: str) -> str:
    """A layer's name as files have it."""
    clip = part.startswith("text_encoder") and layer.startswith(_CLIP_LAYERS)
    return f"{_IN_FILES}{layer}" if clip else layer


def _in_file(part: str, name: str) -> str:
    """A tensor's name as files have it; a text encoder's magnitude ends as all weights do, for transformers' loader."""
    weight = ".weight" if part.startswith("text_encoder") and name.endswith("lora_magnitude_vector") else ""
    return f"{layer_in_file(part, name)}{weight}"
