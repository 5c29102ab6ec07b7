"""Styles by parameters: paper, how grounds and things are filled, lines, palette and what distorts the whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np

from train.pocket.shapes import Field

FillKind = Literal["flat", "hatch", "cross", "dots", "stipple", "tiles", "wash", "glaze", "weave", "stitch", "rings"]
Distortion = Literal[
    "none", "ripple", "blocks", "levels", "relief", "blur", "shifted", "scanlines", "shards", "vignette"
]
Colour = tuple[float, float, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class Fill:
    """How an area is covered with paint."""

    kind: FillKind = "flat"
    least: float = 0.0
    """Cover between the strokes, 0 to 1."""
    most: float = 1.0
    """Cover on them."""
    period: float = 4.0
    """Pixels from one stroke, dot, tile or thread to the next."""
    angle: float = 0.7
    """Of strokes, in radians; each picture's differs by up to a tenth."""
    uneven: float = 0.0
    """How much brightness varies from tile to tile or from place to place, as a share."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """A contour around things."""

    width: float = 1.0
    """Half of it, in pixels."""
    shade: float = 0.4
    """The thing's colour times this; above 1 it is mixed with white."""
    paint: Colour | None = None
    """In place of the thing's colour."""
    strength: float = 1.0
    wobble: float = 0.0
    """How far it strays, in pixels."""
    twice: bool = False
    """Whether a second one runs further out."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Palette:
    """What becomes of the world's colours; which is which can still be told."""

    saturation: float = 1.0
    gain: float = 1.0
    tint: Colour = (0.5, 0.5, 0.5)
    mix: float = 0.0
    """Share of the tint."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """One style."""

    paper: Colour = (1.0, 1.0, 1.0)
    grain: float = 0.0
    """Roughness of the paper, as a share of its brightness."""
    ground: Fill = field(default_factory=Fill)
    fill: Fill = field(default_factory=Fill)
    line: Line | None = None
    palette: Palette = field(default_factory=Palette)
    ground_palette: Palette | None = None
    """None: as of things."""
    rough: float = 0.0
    """How far edges of things stray, in pixels."""
    softness: float = 0.5
    """Half the width of an edge's ramp, in pixels."""
    glow: float = 0.0
    """How far light spreads from things, in pixels."""
    shadow: float = 0.0
    """Darkness of a thing's shadow."""
    distortion: Distortion = "none"
    amount: float = 0.0
    """Of the distortion, in its own unit: pixels, levels, or a share."""


_LOT_FILLS: Final[tuple[FillKind, ...]] = (
    "flat",
    "hatch",
    "cross",
    "dots",
    "stipple",
    "tiles",
    "wash",
    "glaze",
    "weave",
    "rings",
)
_LOT_DISTORTIONS: Final[Mapping[Distortion, tuple[float, float]]] = {
    "ripple": (0.5, 1.8),
    "levels": (4, 9),
    "relief": (0.5, 2.5),
    "blur": (0.4, 1.0),
    "scanlines": (0.2, 0.5),
    "vignette": (0.3, 0.8),
}
"""From how much to how much. What only reserved styles have (stitches, shards, shifted colours) is in no lot."""


def recipe_by_lot(rng: np.random.Generator) -> Recipe:
    """A style that nobody named, of parts that styles outside of `RESERVED` have."""
    dark = rng.random() < 0.3
    paper = rng.uniform(0.02, 0.35, size=3) if dark else rng.uniform(0.75, 1.0) * rng.uniform(0.85, 1, size=3)
    line = Line(
        width=rng.uniform(0.5, 1.6),
        shade=rng.uniform(1.1, 1.6) if dark else rng.uniform(0.2, 0.8),
        paint=None if rng.random() < 0.6 else _by_lot(rng.uniform(0, 0.3, 3) if not dark else rng.uniform(0.7, 1, 3)),
        strength=rng.uniform(0.6, 1),
        wobble=rng.uniform(0, 0.7),
    )
    bent = rng.random() < 0.35
    distortion = _LOT[int(rng.integers(len(_LOT)))]
    return Recipe(
        paper=_by_lot(paper),
        grain=rng.uniform(0, 0.08),
        ground=_fill_by_lot(rng, 0.0),
        fill=_fill_by_lot(rng, 0.25),
        line=line if rng.random() < 0.6 else None,
        palette=_palette_by_lot(rng),
        ground_palette=_palette_by_lot(rng) if rng.random() < 0.4 else None,
        rough=rng.uniform(0, 0.6),
        softness=rng.uniform(0.4, 1.3),
        glow=rng.uniform(1, 4) if dark and rng.random() < 0.4 else 0.0,
        shadow=rng.uniform(0, 0.5) if rng.random() < 0.3 else 0.0,
        distortion=distortion if bent else "none",
        amount=rng.uniform(*_LOT_DISTORTIONS[distortion]) if bent else 0.0,
    )


_LOT: Final = tuple(_LOT_DISTORTIONS)


def _by_lot(values: Field) -> Colour:
    red, green, blue = (float(value) for value in values)
    return red, green, blue


def _fill_by_lot(rng: np.random.Generator, least: float) -> Fill:
    low = rng.uniform(least, 0.7)
    return Fill(
        kind=_LOT_FILLS[int(rng.integers(len(_LOT_FILLS)))],
        least=low,
        most=rng.uniform(max(low, 0.6), 1.0),
        period=rng.uniform(2.2, 7.0),
        angle=rng.uniform(0, np.pi),
        uneven=rng.uniform(0, 0.2),
    )


def _palette_by_lot(rng: np.random.Generator) -> Palette:
    return Palette(
        saturation=rng.uniform(0.65, 1.35),
        gain=rng.uniform(0.75, 1.1),
        tint=_by_lot(rng.uniform(0.3, 1.0, size=3)),
        mix=rng.uniform(0, 0.3) if rng.random() < 0.5 else 0.0,
    )
