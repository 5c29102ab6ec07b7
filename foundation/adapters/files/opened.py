"""The files in which an adapter lies: found, opened, and called by their name where they are something else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from foundation.adapters.files.part import COMPONENTS, WEIGHTS_FILE
from foundation.errors import AdapterError
from foundation.files.documents import as_mapping, parse_json
from foundation.files.sums import SUMS, damage_of

PEFT_WEIGHTS: Final = "adapter_model.safetensors"
PEFT_CONFIG: Final = "adapter_config.json"
"""What `PeftModel.save_pretrained` writes into a folder."""
_WRITTEN: Final = ("lora", "best")
"""Where `sweeper train` puts it in its folder, and a study the best in its own."""
_PIPELINE_INDEX: Final = "model_index.json"
_LENGTH_BYTES: Final = 8
"""A safetensors file begins with the length of its header, little endian."""
_MOST_HEADER: Final = 100_000_000
"""Bytes that safetensors itself takes a header to have at most."""
_OTHERS: Final = (
    (
        b"version https://git-lfs",
        "a git-LFS pointer and not the weights; run `git lfs pull`, or download the file itself",
    ),
    (b"<!DOCTYPE", "a web page and not the weights; download the file itself"),
    (b"<!doctype", "a web page and not the weights; download the file itself"),
    (b"<html", "a web page and not the weights; download the file itself"),
    (b"PK\x03\x04", "a pickled PyTorch file or a zip; nothing is unpickled here, convert it to safetensors first"),
    (b"\x80", "a pickled Python file; nothing is unpickled here, convert it to safetensors first"),
    (b"GGUF", "a GGUF file, which LoRAs are not read from; take the safetensors file"),
    (b"\x1f\x8b", "a gzip archive; unpack it first"),
)
"""How files begin that are called .safetensors and are none."""


@dataclass(frozen=True, slots=True)
class Opened:
    """One file's content."""

    path: Path
    tensors: Mapping[str, Tensor]
    header: Mapping[str, str]
    """The header's free text entries."""
    component: str = ""
    """Which of `COMPONENTS` its folder is called; empty where it is called otherwise."""
    config: Mapping[str, Any] = field(default_factory=dict)
    """PEFT's, where it lies beside the file."""


def adapter_files(path: Path) -> list[Path]:
    """The files of the adapter that `path` means: itself, what lies in the folder, or a PEFT folder for each component.

    Raises:
        AdapterError: there is none, more than one, or it is no safetensors file.
    """
    if not path.exists():
        raise AdapterError(f"there is no LoRA at {path}; name a .safetensors file, or a folder that one lies in")
    if path.is_dir():
        return _in_folder(path)
    if path.suffix.lower() != ".safetensors":
        raise AdapterError(f"{path} is no .safetensors file; nothing is unpickled here, convert it first")
    return [path]


def _in_folder(folder: Path) -> list[Path]:
    for file in (folder / WEIGHTS_FILE, folder / PEFT_WEIGHTS, *(folder / part / WEIGHTS_FILE for part in _WRITTEN)):
        if file.is_file():
            return [file]
    if (folder / _PIPELINE_INDEX).is_file():
        raise AdapterError(f"{folder} is a whole pipeline and no LoRA; give it as base=")
    for parent in (folder, folder / "peft"):
        if parts := [parent / name / PEFT_WEIGHTS for name in COMPONENTS if (parent / name / PEFT_WEIGHTS).is_file()]:
            return parts
    files = sorted(each for each in folder.iterdir() if each.suffix.lower() == ".safetensors" and each.is_file())
    if len(files) != 1:
        names = ", ".join(file.name for file in files) or "none"
        raise AdapterError(f"a LoRA's folder must hold one .safetensors file, got {names} in {folder}; name the file")
    return files


def open_file(file: Path) -> Opened:
    """Read a file, and PEFT's config where it lies beside.

    Raises:
        AdapterError: it cannot be read, is not what its checksum beside it says, holds nothing, or numbers that are not
            finite.
    """
    try:
        _check_content(file)
        if words := damage_of(file):
            raise AdapterError(
                f"{words}; take a whole copy or another one, or, if you changed it yourself, delete {SUMS}"
            )
        with safe_open(file, framework="pt") as content:
            header = content.metadata() or {}
            tensors = {name: content.get_tensor(name) for name in content.keys()}  # noqa: SIM118 - it is no mapping
    except (OSError, SafetensorError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise AdapterError(f"{file} cannot be read as a safetensors file: {reason}") from error
    if not tensors:
        raise AdapterError(f"{file} holds no tensors at all; save or download it again")
    broken = [name for name, tensor in tensors.items() if not _is_finite(tensor)]
    if broken:
        raise AdapterError(
            f"{file} holds numbers that are not finite, in {broken[0]} ({len(broken)} of {len(tensors)} tensors); take "
            "an earlier checkpoint"
        )
    component = file.parent.name if file.name == PEFT_WEIGHTS and file.parent.name in COMPONENTS else ""
    return Opened(file, tensors, header, component, _config_beside(file))


def _check_content(file: Path) -> None:
    """Name what is called .safetensors and is not whole, or is something else."""
    size = file.stat().st_size
    with file.open("rb") as content:
        start = content.read(64)
        if not start:
            raise AdapterError(f"{file} is empty, 0 bytes; save or download it again")
        for beginning, what in _OTHERS:
            if start.lstrip().startswith(beginning) and not _may_be_safetensors(start, size):
                raise AdapterError(f"{file} is {what}")
        length = int.from_bytes(start[:_LENGTH_BYTES], "little")
        if len(start) < _LENGTH_BYTES or length > _MOST_HEADER or start[_LENGTH_BYTES : _LENGTH_BYTES + 1] != b"{":
            return  # safetensors says what is wrong
        if _LENGTH_BYTES + length > size:
            raise AdapterError(f"{file} is cut off within its header, at {size} bytes; copy or download it again")
        content.seek(_LENGTH_BYTES)
        try:
            entries = parse_json(content.read(length), str(file))
            ends = [int(each["data_offsets"][1]) for name, each in entries.items() if name != "__metadata__"]
        except (ValueError, LookupError, TypeError, AttributeError, OverflowError):
            return
    whole = _LENGTH_BYTES + length + max(ends, default=0)
    if whole > size:
        raise AdapterError(f"{file} is cut off: {size} of {whole} bytes are there; copy or download it again")


def _may_be_safetensors(start: bytes, size: int) -> bool:
    length = int.from_bytes(start[:_LENGTH_BYTES], "little")
    return start[_LENGTH_BYTES : _LENGTH_BYTES + 1] == b"{" and _LENGTH_BYTES + length <= size


def _is_finite(tensor: Tensor) -> bool:
    if not tensor.is_floating_point():
        return not tensor.is_complex()
    return bool(torch.isfinite(tensor if tensor.element_size() > 1 else tensor.float()).all())


def _config_beside(file: Path) -> dict[str, Any]:
    config = file.parent / PEFT_CONFIG
    if file.name != PEFT_WEIGHTS or not config.is_file():
        return {}
    return json_object(config.read_bytes(), f"{config}")


def json_object(text: str | bytes, where: str) -> dict[str, Any]:
    """A JSON object.

    Raises:
        AdapterError: it is none.
    """
    return as_mapping(parse_json(text, where, AdapterError), where, AdapterError)
