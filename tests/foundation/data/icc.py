"""ICC profiles written by hand from ICC.1:2010, and what they say in plain floating point."""

from __future__ import annotations

import struct
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float64]
D50 = np.array([0.9642, 1.0, 0.8249])
SRGB = np.array([[0.4360, 0.3851, 0.1431], [0.2225, 0.7169, 0.0606], [0.0139, 0.0971, 0.7141]])
"""Columns: XYZ of its primaries, adapted to D50."""
DISPLAY_P3 = np.array([[0.5151, 0.2920, 0.1571], [0.2412, 0.6922, 0.0666], [-0.0011, 0.0419, 0.7841]])


def rgb_profile(primaries: Matrix, gamma: float) -> bytes:
    """A display of these primaries, whose channels are light to this power."""
    curve = _curve(gamma)
    tags = {b"wtpt": _xyz(D50), b"rTRC": curve, b"gTRC": curve, b"bTRC": curve}
    tags |= {name: _xyz(column) for name, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), primaries.T, strict=True)}
    return _profile(b"mntr", b"RGB ", b"XYZ ", tags)


def grey_profile(gamma: float) -> bytes:
    return _profile(b"mntr", b"GRAY", b"XYZ ", {b"wtpt": _xyz(D50), b"kTRC": _curve(gamma)})


def cmyk_profile(corners: Mapping[tuple[int, int, int, int], tuple[float, float, float]]) -> bytes:
    """A press whose 16 full mixes (each ink 0 or 1) have these CIELAB colours."""
    linear = struct.pack(">2H", 0, 65535)
    table = b"".join(
        struct.pack(">3H", round(light * 652.8), round((a + 128) * 256), round((b + 128) * 256))
        for _, (light, a, b) in sorted(corners.items())
    )
    lut = b"mft2" + bytes(4) + struct.pack(">4B", 4, 3, 2, 0) + _fixed(1, 0, 0, 0, 1, 0, 0, 0, 1)
    lut += struct.pack(">2H", 2, 2) + linear * 4 + table + linear * 3
    return _profile(b"prtr", b"CMYK", b"Lab ", {b"wtpt": _xyz(D50), b"A2B0": lut, b"A2B1": lut})


def in_srgb(light: Matrix, primaries: Matrix = SRGB) -> Matrix:
    """Linear channels (…, 3) of these primaries as sRGB from 0 to 255; IEC 61966-2-1."""
    linear = np.clip(light @ primaries.T @ np.linalg.inv(SRGB).T, 0, 1)
    return 255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def lab_in_srgb(light: float, a: float, b: float) -> Matrix:
    """CIELAB of D50 as sRGB from 0 to 255; CIE 15."""
    y = (light + 16) / 116
    f = np.array([y + a / 500, y, y - b / 200])
    xyz = D50 * np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29))
    return in_srgb(np.linalg.inv(SRGB) @ xyz)


def _profile(kind: bytes, space: bytes, pcs: bytes, tags: Mapping[bytes, bytes]) -> bytes:
    tags = {b"desc": b"desc" + bytes(4) + struct.pack(">I", 2) + b"x\0" + bytes(78), **tags}
    place, directory, body = 128 + 4 + 12 * len(tags), struct.pack(">I", len(tags)), b""
    for name, data in tags.items():
        data += bytes(-len(data) % 4)
        directory += name + struct.pack(">II", place + len(body), len(data))
        body += data
    head = struct.pack(">I4sI4s4s4s", place + len(body), b"none", 0x02400000, kind, space, pcs)
    head += struct.pack(">6H", 2024, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + _fixed(*D50)
    return head + bytes(128 - len(head)) + directory + body


def _fixed(*values: float) -> bytes:
    return b"".join(struct.pack(">i", round(value * 65536)) for value in values)


def _xyz(values: Matrix) -> bytes:
    return b"XYZ " + bytes(4) + _fixed(*values)


def _curve(gamma: float) -> bytes:
    return b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256))
