"""What pictures of the drawn world are painted with: things at their places, edges, clouds, strokes, blur."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter

from train.pocket.shapes import Field

SIZE: Final = 64
"""Pixels of a picture's side."""
ROWS, COLS = np.mgrid[0:SIZE, 0:SIZE].astype(np.float32) + 0.5


@dataclass(frozen=True, slots=True)
class Placed:
    """A thing at its place: signed distance in pixels (64, 64), colour in [0, 1], (3,) or of each pixel (64, 64, 3)."""

    distance: Field
    colour: Field


def cover(distance: Field, softness: float = 0.5) -> Field:
    """How much of a pixel lies inside, (64, 64, 1) in [0, 1]: a ramp of ±`softness` pixels around the edge."""
    covered: Field = np.clip(0.5 - distance / (2 * softness), 0, 1)[..., None]
    return covered


def over(below: Field, paint: Field, alpha: Field) -> Field:
    """Paint over a picture."""
    painted: Field = below + (paint - below) * alpha
    return painted


def cloud(rng: np.random.Generator, cells: int) -> Field:
    """Smooth noise (64, 64) of about unit variance with `cells` bumps along a side."""
    weights = _stretch(cells)
    return (weights @ rng.standard_normal((cells, cells)) @ weights.T).astype(np.float32)


@cache
def _stretch(cells: int) -> npt.NDArray[np.float64]:
    at = (np.arange(SIZE) + 0.5) / SIZE * (cells - 1)
    weights = np.exp(-((at[:, None] - np.arange(cells)) ** 2) / 0.6)
    unit: npt.NDArray[np.float64] = weights / np.sqrt((weights**2).sum(1, keepdims=True))
    return unit


def hatch(rng: np.random.Generator, angle: float, period: float, wobble: float) -> Field:
    """Strokes (64, 64) in [0, 1] along `angle` (radians), `period` pixels apart, bent by `wobble` pixels."""
    across = COLS * np.cos(angle) + ROWS * np.sin(angle) + wobble * cloud(rng, 7)
    strokes: Field = (0.5 + 0.5 * np.cos(2 * np.pi * across / period + rng.uniform(0, 2 * np.pi))).astype(np.float32)
    return strokes


def blur(field: Field, sigma: float) -> Field:
    """Gaussian blur of a (64, 64) field."""
    return np.asarray(gaussian_filter(field, sigma), dtype=np.float32)
