"""Signed distances of the world's shapes: negative inside, in units where a shape fits [-1, 1]², v downwards.

Source: the 2-D distance functions collected by Inigo Quilez (iquilezles.org/articles/distfunctions2d), some simplified.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Field = npt.NDArray[Any]
"""A picture-sized array of floats: (64, 64) or, with colours, (64, 64, 3)."""


def _ball(u: Field, v: Field) -> Field:
    return np.hypot(u, v) - 0.88


def _box(u: Field, v: Field) -> Field:
    return np.maximum(np.abs(u), np.abs(v)) - 0.76


def _triangle(u: Field, v: Field) -> Field:
    slope = (np.abs(u) * 1.72 - (v + 0.95) * 0.95) / np.hypot(1.72, 0.95)
    inside: Field = np.maximum(v - 0.77, slope)
    return inside


def _star(u: Field, v: Field) -> Field:
    # Fold the plane into one half of one of five arms, then take the distance to that arm's edge.
    radius, inner = 1.0, 0.42
    angle = np.pi / 5
    theta = np.arctan2(u, -v)
    folded = np.abs((theta + angle) % (2 * angle) - angle)
    r = np.hypot(u, v)
    x, y = r * np.sin(folded), r * np.cos(folded)
    tip, notch = np.array([0.0, radius]), inner * np.array([np.sin(angle), np.cos(angle)])
    edge = notch - tip
    normal = np.array([-edge[1], edge[0]]) / np.hypot(*edge)
    distance: Field = (x - tip[0]) * normal[0] + (y - tip[1]) * normal[1]
    return distance


def _heart(u: Field, v: Field) -> Field:
    x, y = np.abs(u) / 1.75, (0.92 - v) / 1.75
    lobe = np.hypot(x - 0.25, y - 0.75) - np.sqrt(2) / 4
    fold = 0.5 * np.maximum(x + y, 0)
    wedge = np.sqrt(np.minimum(x**2 + (y - 1) ** 2, (x - fold) ** 2 + (y - fold) ** 2)) * np.sign(x - y)
    return 1.75 * np.where(x + y > 1, lobe, wedge)


def _ring(u: Field, v: Field) -> Field:
    return np.abs(np.hypot(u, v) - 0.64) - 0.26


def _cross(u: Field, v: Field) -> Field:
    a, b = np.abs(u), np.abs(v)
    return np.minimum(np.maximum(a - 0.29, b - 0.92), np.maximum(a - 0.92, b - 0.29))


def _moon(u: Field, v: Field) -> Field:
    return np.maximum(np.hypot(u, v) - 0.92, 0.74 - np.hypot(u - 0.46, v + 0.1))


def _cup(u: Field, v: Field) -> Field:
    body = np.maximum(np.abs(u + 0.22) - (0.58 - 0.14 * v), np.abs(v) - 0.74)
    handle = np.abs(np.hypot(u - 0.42, v + 0.05) - 0.38) - 0.12
    return np.minimum(body, handle)


def _flower(u: Field, v: Field) -> Field:
    r = np.hypot(u, v)
    petals = 0.66 + 0.3 * np.cos(6 * np.arctan2(u, -v))
    distance: Field = np.maximum((r - petals) * 0.55, 0.17 - r)
    return distance


DISTANCES: Final[dict[str, Callable[[Field, Field], Field]]] = {
    "ball": _ball,
    "box": _box,
    "triangle": _triangle,
    "star": _star,
    "heart": _heart,
    "ring": _ring,
    "cross": _cross,
    "moon": _moon,
    "cup": _cup,
    "flower": _flower,
}
