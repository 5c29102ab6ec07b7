"""The files that an adapter can be written as, by the names that people ask for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from safetensors.torch import save

from foundation.adapter_files import WEIGHTS_FILE
from foundation.durable import write_bytes, write_json
from foundation.errors import AdapterError
from train.exports.about import About
from train.exports.adapter import Adapter, write_diffusers
from train.exports.families import FAMILIES, family_of
from train.exports.header import kohya_header
from train.exports.kohya import kohya_state

KOHYA_FILE: Final = "{title}.safetensors"
"""A kohya file's name: what is written between the colons of A1111's `<lora:…:1>`."""
PEFT_WEIGHTS: Final = "adapter_model.safetensors"
PEFT_CONFIG: Final = "adapter_config.json"
"""What `PeftModel.from_pretrained` looks for in a folder."""
_PEFT_PREFIX: Final = "base_model.model."
"""Before every name: a `PeftModel` holds the model twice wrapped."""


@dataclass(frozen=True, slots=True)
class FileFormat:
    """One way to write an adapter."""

    write: Callable[[Adapter, Path, About], Path]
    """Writes it into a folder; what was written: a file or a folder."""
    programs: Callable[[Adapter, About], str]
    """Who reads it."""


def _diffusers(adapter: Adapter, folder: Path, about: About) -> Path:
    if others := ", ".join(sorted(adapter.kinds - {"LORA"})):
        raise AdapterError(f"diffusers loads LoRA only, this is {others}; export formats kohya, peft or merged")
    write_diffusers(adapter, folder / WEIGHTS_FILE)
    return folder / WEIGHTS_FILE


def _kohya(adapter: Adapter, folder: Path, about: About) -> Path:
    family = FAMILIES[family_of(adapter, about.family)]
    state = kohya_state(adapter, family)
    file = folder / KOHYA_FILE.format(title=about.title)
    write_bytes(file, save(state, kohya_header(adapter, state, family, about)))
    return file


def _peft(adapter: Adapter, folder: Path, about: About) -> Path:
    """One folder a part: a `PeftModel` wraps one module."""
    for part, saved in adapter.parts.items():
        tensors = {f"{_PEFT_PREFIX}{name}": tensor.contiguous() for name, tensor in saved.state.items()}
        write_bytes(folder / "peft" / part / PEFT_WEIGHTS, save(tensors, {"format": "pt"}))
        write_json(folder / "peft" / part / PEFT_CONFIG, {**saved.config, "inference_mode": True})
    return folder / "peft"


def kohya_web_uis(adapter: Adapter, about: About) -> str:
    """Who of A1111's line reads an adapter's kohya file; empty for none."""
    family = FAMILIES[family_of(adapter, about.family)]
    return family.web_uis if adapter.is_plain or family.places is None else ""


def kohya_programs(adapter: Adapter, about: About) -> str:
    """All who read an adapter's kohya file; of kinds that are no plain LoRA see docs/exports.md."""
    others = FAMILIES[family_of(adapter, about.family)].others if adapter.is_plain else ""
    return ", ".join(each for each in (kohya_web_uis(adapter, about), "ComfyUI", others) if each)


FILE_FORMATS: Final[Mapping[str, FileFormat]] = {
    "diffusers": FileFormat(_diffusers, lambda adapter, about: "diffusers, ComfyUI"),
    "kohya": FileFormat(_kohya, kohya_programs),
    "peft": FileFormat(_peft, lambda adapter, about: "PEFT"),
}


def write_format(name: str, adapter: Adapter, folder: Path, about: About) -> Path:
    """Write an adapter as one of `FILE_FORMATS` into a folder; what was written.

    Raises:
        AdapterError: the format cannot hold it.
    """
    return FILE_FORMATS[name].write(adapter, folder, about)
