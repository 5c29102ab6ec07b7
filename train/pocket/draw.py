"""Draws a scene as a 64×64 picture in one of the world's styles, deterministic by seed.

Shapes are signed-distance fields, so every style works from the same layout: a mask is `distance < 0`,
an outline `|distance| < width`, shading the distance's gradient.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from train.pocket.brushes import COLS, ROWS, SIZE, Placed, cover
from train.pocket.recipe_painter import paint
from train.pocket.recipes import Recipe
from train.pocket.shapes import DISTANCES
from train.pocket.styles import PAINTERS
from train.pocket.subjects import Subject
from train.pocket.world import COLOURS, SHAPES, Scene, Thing

PAINT: Final[dict[str, tuple[int, int, int]]] = {
    "red": (214, 38, 38),
    "orange": (246, 138, 22),
    "yellow": (248, 222, 48),
    "green": (38, 170, 78),
    "blue": (40, 88, 216),
    "purple": (130, 52, 178),
    "pink": (246, 142, 192),
    "brown": (118, 72, 38),
}
GROUND: Final[dict[str, tuple[int, int, int]]] = {
    "grass": (108, 150, 74),
    "sand": (222, 196, 146),
    "snow": (238, 242, 248),
    "sky": (158, 202, 240),
    "night": (34, 36, 78),
}
SUBJECT_TILT: Final = 2.5
"""A subject leans up to so many times as far as any thing does."""
SUBJECT_SIZE: Final = 1.25
"""A subject is so many times as large: the autoencoder of the pocket base loses what is finer than three pixels."""


def draw_scene(scene: Scene, style: str | Recipe, seed: int) -> Image.Image:
    """The scene's picture, RGB 64×64. Place, size and texture follow the seed; what is shown does not."""
    rng = np.random.default_rng(seed)
    placed = _place(scene, rng)
    ground = np.array(GROUND[scene.background], dtype=np.float32) / 255
    if isinstance(style, Recipe):
        picture = paint(style, placed, ground, rng)
    else:
        picture = PAINTERS[style](placed, ground, scene.background, rng)
    return Image.fromarray((picture.clip(0, 1) * 255).round().astype(np.uint8), mode="RGB")


def layout(scene: Scene, seed: int, cells: int) -> npt.NDArray[np.int64]:
    """What `draw_scene` puts where, whatever the style: (2, cells, cells) class numbers, 0 where no thing is.

    First the colour's number + 1, then the shape's number + 1, of the thing at the centre of each cell.
    """
    at = (np.arange(cells) * SIZE + SIZE // 2) // cells
    result = np.zeros((2, cells, cells), dtype=np.int64)
    things = [thing for thing in (scene.first, scene.second) if thing]
    for thing, placed in zip(things, _place(scene, np.random.default_rng(seed)), strict=True):
        inside = placed.distance[np.ix_(at, at)] < 0
        result[:, inside] = [[COLOURS.index(thing.colour) + 1], [SHAPES.index(thing.shape) + 1]]
    return result


def subject_mask(scene: Scene, seed: int) -> Image.Image:
    """Where `draw_scene` shows the scene's subject, whatever the style: 64×64, one channel, white there.

    Raises:
        ValueError: the scene has no subject.
    """
    things = [thing for thing in (scene.first, scene.second) if thing]
    number = next((i for i, thing in enumerate(things) if isinstance(thing, Subject)), None)
    if number is None:
        raise ValueError(f"there is no subject in {scene}")
    placed = _place(scene, np.random.default_rng(seed))
    covered = cover(placed[number].distance)
    for over in placed[number + 1 :]:
        covered = covered * (1 - cover(over.distance))
    return Image.fromarray((covered[..., 0] * 255).round().astype(np.uint8), mode="L")


def _place(scene: Scene, rng: np.random.Generator) -> list[Placed]:
    if scene.second is None:
        x, y = SIZE / 2 + rng.uniform(-8, 8, size=2)
        return [_put(scene.first, x, y, rng.uniform(13, 18), rng)]
    radii = rng.uniform(9.5, 13, size=2)
    along = np.array([17.5, 46.5]) + rng.uniform(-3.5, 3.5, size=2)
    across = SIZE / 2 + rng.uniform(-7, 7, size=2)
    places = zip(along, across, strict=True) if scene.relation == "left of" else zip(across, along, strict=True)
    things = (scene.first, scene.second)
    return [_put(t, x, y, r, rng) for t, (x, y), r in zip(things, places, radii, strict=True)]


def _put(thing: Thing, x: float, y: float, radius: float, rng: np.random.Generator) -> Placed:
    tilt = rng.uniform(-0.14, 0.14) * (SUBJECT_TILT if isinstance(thing, Subject) else 1)
    radius *= SUBJECT_SIZE if isinstance(thing, Subject) else 1
    u, v = (COLS - x) / radius, (ROWS - y) / radius
    u, v = np.cos(tilt) * u + np.sin(tilt) * v, np.cos(tilt) * v - np.sin(tilt) * u
    if isinstance(thing, Subject):
        u, v = thing.frame(u, v)
    distance = DISTANCES[thing.shape](u, v)
    colour = np.array(PAINT[thing.colour], dtype=np.float32) / 255
    if isinstance(thing, Subject):
        colour = thing.surface(u, v, distance, colour)
    paint = (colour + rng.uniform(-0.03, 0.03, size=3)).astype(np.float32)
    return Placed((distance * radius).astype(np.float32), paint)
