"""The drawn world in words: which scenes there are, how each is captioned, how scenes are drawn by lot.

A scene is one coloured thing, or two in a relation, on a background. Every part is an argument, so whoever
asks for a scene knows what its picture should show.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

SHAPES: Final = ("ball", "box", "triangle", "star", "heart", "ring", "cross", "moon", "cup", "flower")
COLOURS: Final = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "brown")
RELATIONS: Final = ("left of", "above")
BACKGROUNDS: Final = {
    "grass": "on grass",
    "sand": "on sand",
    "snow": "on snow",
    "sky": "in the sky",
    "night": "at night",
}

BASE_STYLES: Final = ("photo", "flat", "outline", "watercolour", "pixel")
"""The styles that the pocket base was trained on."""
UNSEEN_STYLES: Final = ("pencil", "chalk")
"""Styles that the pocket base has never seen: something for a LoRA to learn."""
STYLES: Final = BASE_STYLES + UNSEEN_STYLES
RECIPE_STYLES: Final = (
    "engraving",
    "crayon",
    "marker",
    "mosaic",
    "stipple",
    "halftone",
    "blueprint",
    "neon",
    "woodcut",
    "pastel",
    "gouache",
    "batik",
    "tapestry",
    "comic",
    "poster",
    "antique",
    "television",
    "ceramic",
    "embossed",
    "ripple",
)
"""Styles by parameters (`train.pocket.recipes`) that the base has never seen, and the CLIP has."""
RESERVED_STYLES: Final = (
    "linocut",
    "embroidery",
    "oil",
    "risograph",
    "frosted",
    "charcoal",
    "enamel",
    "felt",
    "nightvision",
    "contourmap",
)
"""Styles by parameters that no model has seen, and nothing was tuned on: for reports alone (docs/judge.md)."""
TAUGHT_STYLES: Final = STYLES + RECIPE_STYLES
"""The styles that the CLIP was trained on."""
ALL_STYLES: Final = TAUGHT_STYLES + RESERVED_STYLES


@dataclass(frozen=True, slots=True)
class Thing:
    """A coloured shape."""

    colour: str
    shape: str

    def __post_init__(self) -> None:
        _must_be_one_of("colour", self.colour, COLOURS)
        _must_be_one_of("shape", self.shape, SHAPES)

    def __str__(self) -> str:
        article = "an" if self.colour[0] in "aeiou" else "a"
        return f"{article} {self.colour} {self.shape}"


@dataclass(frozen=True, slots=True)
class Scene:
    """One thing on a background, or two things with `relation` read from the first to the second."""

    background: str
    first: Thing
    relation: str | None = None
    second: Thing | None = None

    def __post_init__(self) -> None:
        _must_be_one_of("background", self.background, tuple(BACKGROUNDS))
        if self.relation is not None:
            _must_be_one_of("relation", self.relation, RELATIONS)
        if (self.relation is None) != (self.second is None):
            raise ValueError("a scene has a relation exactly when it has a second thing")

    def __str__(self) -> str:
        things = f"{self.first} {self.relation} {self.second}" if self.second else f"{self.first}"
        return f"{things} {BACKGROUNDS[self.background]}"

    def caption(self, style: str | None = None) -> str:
        """`a red cup left of an orange star on grass, in pencil style`; without a style the scene alone."""
        if style is None:
            return str(self)
        _must_be_one_of("style", style, ALL_STYLES)
        return f"{self}, in {style} style"


def random_scene(rng: np.random.Generator, single_share: float = 0.3) -> Scene:
    """A scene by lot: one thing with probability `single_share`, else two that differ."""
    background = str(rng.choice(tuple(BACKGROUNDS)))
    first = _random_thing(rng)
    if rng.random() < single_share:
        return Scene(background, first)
    second = _random_thing(rng)
    while second == first:
        second = _random_thing(rng)
    return Scene(background, first, str(rng.choice(RELATIONS)), second)


def is_held_out(scene: Scene) -> bool:
    """Whether the pocket models never trained on this scene: one in sixteen, by a fixed hash of its words."""
    digest = 2166136261  # FNV-1a, 32 bit: the same on every machine, unlike hash()
    for byte in str(scene).encode():
        digest = ((digest ^ byte) * 16777619) % 2**32
    return (digest >> 7) % 16 == 0


def scenes(seed: int, count: int, held_out: bool) -> list[Scene]:
    """`count` different scenes by lot, all of them held out from the pocket models' training or none."""
    rng = np.random.default_rng(seed)
    found: dict[Scene, None] = {}
    while len(found) < count:
        scene = random_scene(rng)
        if is_held_out(scene) == held_out:
            found[scene] = None
    return list(found)


PART_SIZES: Final = (
    len(BACKGROUNDS),
    len(COLOURS),
    len(SHAPES),
    len(RELATIONS) + 1,
    len(COLOURS) + 1,
    len(SHAPES) + 1,
)
"""How many classes each of `parts_of` has."""


def parts_of(scene: Scene) -> tuple[int, ...]:
    """Class numbers of background, first colour and shape, relation, second colour and shape.

    Where there is no second thing, its parts and the relation have the last class of their kind.
    """
    second = scene.second
    return (
        tuple(BACKGROUNDS).index(scene.background),
        COLOURS.index(scene.first.colour),
        SHAPES.index(scene.first.shape),
        RELATIONS.index(scene.relation) if scene.relation else len(RELATIONS),
        COLOURS.index(second.colour) if second else len(COLOURS),
        SHAPES.index(second.shape) if second else len(SHAPES),
    )


def _random_thing(rng: np.random.Generator) -> Thing:
    return Thing(str(rng.choice(COLOURS)), str(rng.choice(SHAPES)))


def _must_be_one_of(what: str, got: str, allowed: tuple[str, ...]) -> None:
    if got not in allowed:
        raise ValueError(f"{what} must be one of {', '.join(allowed)}, got {got!r}")
