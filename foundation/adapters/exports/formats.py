"""The files that an adapter can be written as, by the names that people ask for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, cast

from safetensors.torch import save

from foundation.adapters.exports.about import About
from foundation.adapters.exports.adapter import SavedAdapter, as_file, write_diffusers
from foundation.adapters.exports.full import Differences, full_state
from foundation.adapters.exports.header import kohya_header
from foundation.adapters.exports.kohya import kohya_state, needs_base
from foundation.adapters.exports.layer_names import names_of
from foundation.adapters.exports.layers import BaseLayers
from foundation.adapters.exports.programs import Format, Readers, kind_name, readers
from foundation.adapters.files import WEIGHTS_FILE
from foundation.adapters.files.opened import PEFT_CONFIG, PEFT_WEIGHTS
from foundation.errors import AdapterError
from foundation.files.durable import write_bytes, write_json

KOHYA_FILE: Final = "{title}.safetensors"
"""A kohya file's name: what is written between the colons of A1111's `<lora:…:1>`."""
FULL_FILE: Final = "{title}-full.safetensors"
"""What `PeftModel.from_pretrained` looks for in a folder."""
_PEFT_PREFIX: Final = "base_model.model."
"""Before every name: a `PeftModel` holds the model twice wrapped."""


Writer = Callable[[SavedAdapter, Path, About, BaseLayers | None], Path]
"""Writes an adapter into a folder; what was written: a file or a folder."""


def _diffusers(adapter: SavedAdapter, folder: Path, about: About, base: BaseLayers | None) -> Path:
    if others := ", ".join(sorted(adapter.kinds - {"LORA"})):
        raise AdapterError(f"diffusers loads LoRA only, this is {others}; export formats kohya, full, peft or merged")
    write_diffusers(adapter, folder / WEIGHTS_FILE)
    return folder / WEIGHTS_FILE


def _kohya(adapter: SavedAdapter, folder: Path, about: About, base: BaseLayers | None) -> Path:
    names = names_of(adapter, about.family)
    state = kohya_state(adapter, names, base)
    file = folder / KOHYA_FILE.format(title=about.title)
    write_bytes(file, as_file(state, kohya_header(adapter, state, names, about)))
    return file


def _peft(adapter: SavedAdapter, folder: Path, about: About, base: BaseLayers | None) -> Path:
    """One folder a part: a `PeftModel` wraps one module."""
    for part, saved in adapter.parts.items():
        tensors = {f"{_PEFT_PREFIX}{name}": tensor.contiguous() for name, tensor in saved.state.items()}
        write_bytes(folder / "peft" / part / PEFT_WEIGHTS, save(tensors, {"format": "pt"}))
        write_json(folder / "peft" / part / PEFT_CONFIG, {**saved.config, "inference_mode": True})
    return folder / "peft"


FILE_FORMATS: Final[Mapping[str, Writer]] = {"diffusers": _diffusers, "kohya": _kohya, "peft": _peft}


def write_format(name: str, adapter: SavedAdapter, folder: Path, about: About, base: BaseLayers | None = None) -> Path:
    """Write an adapter as one of `FILE_FORMATS` into a folder; what was written.

    `base` where the format `takes_base`.

    Raises:
        AdapterError: the format cannot hold it.
    """
    if kinds := ", ".join(sorted(adapter.changes)):
        raise AdapterError(f"{name} files are not written from {kinds} of other programs; export merged instead")
    return FILE_FORMATS[name](adapter, folder, about, base)


def write_full(adapter: SavedAdapter, differences: Differences, folder: Path, about: About) -> Path:
    """Write what an adapter changes in each layer as one file; which.

    Raises:
        AdapterError: there are no names for it.
    """
    names = names_of(adapter, about.family)
    state = full_state(differences, names)
    file = folder / FULL_FILE.format(title=about.title)
    write_bytes(file, save(state, kohya_header(adapter, state, names, about, full=True)))
    return file


def takes_base(name: str, adapter: SavedAdapter) -> bool:
    """Whether a format needs the base's weights to write this adapter."""
    return name == "kohya" and needs_base(adapter)


def readers_of(name: str, adapter: SavedAdapter, about: About) -> Readers:
    """Who reads a file of a format, or the folder."""
    if name == "peft":
        return Readers(("PEFT",), {})
    return readers(cast("Format", name), kind_name(adapter), names_of(adapter, about.family))
