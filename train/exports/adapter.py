"""An adapter in memory, apart from any model: PEFT's state dict and config for each part of the pipeline it is in."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from safetensors.torch import save
from torch import Tensor

from foundation.adapter_files import WEIGHTS_FILE, Part, read_parts
from foundation.durable import write_bytes
from foundation.errors import AdapterError

CONFIG_KEY: Final = "lora_adapter_metadata"
"""Where diffusers keeps PEFT's config in a file's header, as JSON of `<part>.<field>`."""
PARTS: Final = ("unet", "transformer", "text_encoder", "text_encoder_2", "text_encoder_3")
"""Components of diffusers' pipelines that an adapter may be in."""
_IN_FILES: Final = "text_model."
"""Files name CLIP's layers from here on."""
_WITHOUT: Final = "text_encoder"
"""The part whose modules have it no more since transformers 5, a `CLIPTextModel`; SDXL's second one is none."""
_CLIP_LAYERS: Final = "encoder.layers."
"""Where CLIP's layers lie; T5's are under `encoder.block.`, in files too."""


@dataclass(frozen=True, slots=True)
class Adapter:
    """What was trained, by the pipeline's component that it belongs to; names and configs are PEFT's."""

    parts: Mapping[str, Part]

    @property
    def kinds(self) -> frozenset[str]:
        """PEFT's types of its parts: LORA, LOHA …"""
        return frozenset(kind_of(part) for part in self.parts.values())

    @property
    def is_plain(self) -> bool:
        """Whether it is B·A in every layer and nothing else."""
        return self.kinds == {"LORA"} and not self.has_dora and not self.has_bias

    @property
    def has_dora(self) -> bool:
        """Whether any layer has a magnitude of its own."""
        return any("lora_magnitude_vector" in name for part in self.parts.values() for name in part.state)

    @property
    def has_bias(self) -> bool:
        """Whether any layer's update adds to its bias, too (`adapter.lora_bias`)."""
        return any(name.endswith("lora_B.bias") for part in self.parts.values() for name in part.state)


def kind_of(part: Part) -> str:
    """PEFT's type of a part, in capitals."""
    return str(part.config.get("peft_type", "LORA")).rpartition(".")[2].upper()


def read_adapter(path: Path) -> Adapter:
    """Read a file, or the folder it lies in, in either format of `foundation.adapter_files`.

    Without PEFT's config in the header alpha is the rank, as diffusers has it.

    Raises:
        AdapterError: it is not there, is no safetensors file, or has other names than these formats.
    """
    file = path / WEIGHTS_FILE if path.is_dir() else path
    if not file.is_file():
        raise AdapterError(f"there is no LoRA at {file}; name a .safetensors file, or a folder with {WEIGHTS_FILE}")
    if file.suffix != ".safetensors":
        raise AdapterError(f"{file} is no .safetensors file; nothing is unpickled here, convert it first")
    read = read_parts(file)
    strange = [name for name in read if name not in PARTS]
    if strange or not read:
        what = f"it holds {strange[0]}" if strange else "it is empty"
        raise AdapterError(f"{file} has no names as diffusers gives them ({what}); give the diffusers file")
    return Adapter({part: _as_modules(part, read[part]) for part in PARTS if part in read})


def write_diffusers(adapter: Adapter, file: Path) -> None:
    """Write the file that diffusers' `load_lora_weights` takes, PEFT's config in the header.

    Source: diffusers 0.42, loaders/lora_base.py `save_lora_weights`, `_pack_dict_with_prefix`.
    """
    tensors = {f"{part}.{_in_file(part, name)}": tensor for part, name, tensor in _all(adapter)}
    config = {f"{part}.{key}": value for part, saved in adapter.parts.items() for key, value in saved.config.items()}
    header = {"format": "pt", CONFIG_KEY: json.dumps(config, indent=2, sort_keys=True)}
    write_bytes(file, save({name: tensor.contiguous() for name, tensor in tensors.items()}, header))


def _all(adapter: Adapter) -> list[tuple[str, str, Tensor]]:
    return [(part, name, tensor) for part, saved in adapter.parts.items() for name, tensor in saved.state.items()]


def layer_in_file(part: str, layer: str) -> str:
    """A layer's name as files have it."""
    clip = part.startswith("text_encoder") and layer.startswith(_CLIP_LAYERS)
    return f"{_IN_FILES}{layer}" if clip else layer


def _in_file(part: str, name: str) -> str:
    """A tensor's name as files have it; a text encoder's magnitude ends as all weights do, for transformers' loader."""
    weight = ".weight" if part.startswith("text_encoder") and name.endswith("lora_magnitude_vector") else ""
    return f"{layer_in_file(part, name)}{weight}"


def _as_modules(part: str, read: Part) -> Part:
    """Under the modules' own names, which PEFT knows them by."""
    state = {
        (name.removeprefix(_IN_FILES) if part == _WITHOUT else name).replace(
            "lora_magnitude_vector.weight", "lora_magnitude_vector"
        ): tensor
        for name, tensor in read.state.items()
    }
    return Part(state, read.config or _guessed(state, part))


def _guessed(state: Mapping[str, Tensor], part: str) -> dict[str, Any]:
    """The config of a LoRA whose file tells none: alpha is the rank in every layer."""
    ranks = {name.partition(".lora_A")[0]: len(tensor) for name, tensor in state.items() if ".lora_A" in name}
    if not ranks:
        raise AdapterError(f"the file's {part} holds no lora_A and no config of another kind; give the diffusers file")
    return lora_config(ranks)


def lora_config(ranks: Mapping[str, int]) -> dict[str, Any]:
    """PEFT's config of a LoRA with alpha = rank from its layers' ranks: what differs from `LoraConfig`'s defaults."""
    common = Counter(ranks.values()).most_common(1)[0][0]
    # ^ makes a pattern the whole name, where PEFT takes any layer that ends with it.
    others = {f"^{layer}": rank for layer, rank in sorted(ranks.items()) if rank != common}
    return {
        "peft_type": "LORA",
        "r": common,
        "lora_alpha": common,
        "rank_pattern": others,
        "alpha_pattern": dict(others),
        "target_modules": sorted(ranks),
    }
