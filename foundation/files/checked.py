"""Tensors on disk with a checksum: what a cache holds decides what trials learn and how they are judged."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from foundation.errors import DataError
from foundation.files.durable import write_bytes

_CHECKSUM = "sha256"


def save_checked(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors to one safetensors file, whole or not at all, with a checksum in its header."""
    whole = {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}
    write_bytes(path, safetensors.torch.save(whole, {_CHECKSUM: _checksum(whole)}))


def load_checked(path: Path) -> dict[str, Tensor]:
    """Read what `save_checked` wrote.

    Raises:
        FileNotFoundError: there is no such file.
        DataError: it is damaged: cut short, or not what was written; or written without a checksum.
    """
    try:
        with safe_open(path, "pt") as file:
            stored = (file.metadata() or {}).get(_CHECKSUM)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, it is no dict
    except SafetensorError as error:
        raise DataError(f"{path} is damaged ({error})") from error
    if stored != _checksum(tensors):
        raise DataError(f"{path} is damaged (its checksum differs)")
    return tensors


def _checksum(tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)} ".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
