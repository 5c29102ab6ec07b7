"""Writes tiny ONNX models, byte by byte as onnx.proto3 has them, so that tests need no package for it."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

FLOAT = 1
IR_VERSION, OPSET = 8, 13


def varint(value: int) -> bytes:
    out = b""
    while value > 0x7F:
        out, value = out + bytes([value & 0x7F | 0x80]), value >> 7
    return out + bytes([value])


def field(number: int, value: int | bytes | str) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def tensor(name: str, values: NDArray[np.float32], external: str | None = None) -> bytes:
    head = b"".join(field(1, side) for side in values.shape) + field(2, FLOAT) + field(8, name)
    if external is None:
        return head + field(9, values.astype("<f4").tobytes())
    return head + field(13, field(1, "location") + field(2, external)) + field(14, 1)


def value_info(name: str, shape: Sequence[int]) -> bytes:
    dimensions = b"".join(field(1, field(1, side)) for side in shape)
    return field(1, name) + field(2, field(1, field(1, FLOAT) + field(2, dimensions)))


def node(kind: str, inputs: Sequence[str], output: str, **attributes: Sequence[int] | int | bytes) -> bytes:
    written = b""
    for name, value in attributes.items():
        if isinstance(value, bytes):  # a tensor
            body = field(5, value) + field(20, 4)
        elif isinstance(value, int):
            body = field(3, value) + field(20, 2)
        else:
            body = b"".join(field(8, each) for each in value) + field(20, 7)
        written += field(5, field(1, name) + body)
    return b"".join(field(1, each) for each in inputs) + field(2, output) + field(4, kind) + written


def model(
    nodes: Sequence[bytes],
    inputs: Mapping[str, Sequence[int]],
    outputs: Mapping[str, Sequence[int]],
    tensors: Sequence[bytes] = (),
) -> bytes:
    graph = b"".join(field(1, each) for each in nodes) + field(2, "tiny") + b"".join(field(5, each) for each in tensors)
    graph += b"".join(field(11, value_info(name, shape)) for name, shape in inputs.items())
    graph += b"".join(field(12, value_info(name, shape)) for name, shape in outputs.items())
    return field(1, IR_VERSION) + field(7, graph) + field(8, field(1, "") + field(2, OPSET))


def float_tensor(value: float) -> bytes:
    return field(2, FLOAT) + field(9, struct.pack("<f", value))
