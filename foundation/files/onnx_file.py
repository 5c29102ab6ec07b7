"""Opens ONNX models that came from outside: one file each, in its folder, that reaches for nothing else."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from foundation.errors import BaseModelError, ConfigError, first_line

MOST_BYTES: Final = 2 << 30
"""What one file of protobuf can hold."""
_EXTERNAL: Final = 1
"""`TensorProto.DataLocation.EXTERNAL`."""
_DATA_LOCATION, _EXTERNAL_DATA = 14, 13
_TENSOR: Final = "tensor"
_NESTED: Final[Mapping[str, Mapping[int, str]]] = {
    "model": {7: "graph", 25: "function"},
    "graph": {1: "node", 5: _TENSOR, 15: "sparse"},
    "function": {7: "node"},
    "node": {5: "attribute"},
    "attribute": {5: _TENSOR, 6: "graph", 10: _TENSOR, 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: _TENSOR, 2: _TENSOR},
    _TENSOR: {},
}
"""Where tensors lie in a model: by message, the fields that hold others. Source: onnx/onnx.proto3 of ONNX 1.23."""
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def open_model(path: Path, folder: Path, where: str) -> Any:
    """Return an `onnxruntime.InferenceSession` of a model on the CPU; settings are called `where` in messages.

    Raises:
        ConfigError: onnxruntime is not installed.
        BaseModelError: the file lies outside of `folder` by a link, is no model, or keeps tensors in other files.
    """
    try:
        runtime = importlib.import_module("onnxruntime")
    except ImportError as error:
        raise ConfigError([f"{where} needs onnxruntime; install it by pip install 'sweeper[face]'"]) from error
    if not path.resolve().is_relative_to(folder.resolve()):
        raise BaseModelError(f"{where}: {path} leads out of its folder, to {path.resolve()}; put the file itself there")
    if path.stat().st_size > MOST_BYTES:
        raise BaseModelError(f"{where}: {path} is larger than an ONNX model in one file can be")
    data = path.read_bytes()
    try:
        outside = any(_is_outside(tensor) for tensor in _tensors(memoryview(data), "model"))
    except (IndexError, ValueError) as error:
        raise BaseModelError(f"{where}: {path} is no ONNX model ({first_line(error)})") from error
    if outside:
        raise BaseModelError(f"{where}: {path} keeps tensors in other files, which are not read; save it as one file")
    try:
        return runtime.InferenceSession(data, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own exceptions have no base but this
        raise BaseModelError(f"{where}: {path} cannot be loaded as an ONNX model ({first_line(error)})") from error


def _is_outside(tensor: memoryview) -> bool:
    fields = list(_fields(tensor))
    return any(
        number == _EXTERNAL_DATA or (number == _DATA_LOCATION and value == _EXTERNAL) for number, value in fields
    )


def _tensors(message: memoryview, kind: str) -> Iterator[memoryview]:
    """Every tensor in a message, however deep."""
    if kind == _TENSOR:
        yield message
        return
    for number, value in _fields(message):
        inner = _NESTED[kind].get(number)
        if inner is not None and isinstance(value, memoryview):
            yield from _tensors(value, inner)


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """The fields of a protobuf message: number, and value or bytes.

    Raises:
        ValueError, IndexError: it is none.
    """
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        number, wire = key >> 3, key & 7
        if wire == _VARINT:
            value, at = _varint(message, at)
            yield number, value
            continue
        if wire == _BYTES:
            size, at = _varint(message, at)
        elif wire in (_FIXED64, _FIXED32):
            size = 8 if wire == _FIXED64 else 4
        else:
            raise ValueError(f"field {number} has wire type {wire}")
        if not number or at + size > len(message):
            raise ValueError(f"field {number} is cut off")
        yield number, message[at : at + size]
        at += size


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError("a number has more than ten bytes")
