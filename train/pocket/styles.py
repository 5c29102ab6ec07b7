"""The styles of the drawn world: each painter turns a layout into a picture (64, 64, 3) in [0, 1]."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from train.pocket.brushes import SIZE, Placed, blur, cloud, cover, hatch, over
from train.pocket.named_recipes import RECIPES, RESERVED
from train.pocket.recipe_painter import paint
from train.pocket.recipes import Recipe
from train.pocket.shapes import Field

Painter = Callable[[Sequence[Placed], Field, str, np.random.Generator], Field]

_WHITE = np.ones(3, dtype=np.float32)


def photo(placed: Sequence[Placed], ground: Field, background: str, rng: np.random.Generator) -> Field:
    """Shaded things with soft shadows on a textured ground, slight sensor noise."""
    fall = np.linspace(1.08, 0.86, SIZE, dtype=np.float32)[:, None, None]
    grain = 0.035 * cloud(rng, 9) + 0.012 * cloud(rng, 33)
    picture = ground * fall * (1 + grain[..., None])
    if background == "night":
        picture = picture + (rng.random((SIZE, SIZE, 1)) > 0.993) * 0.28
    for thing in placed:
        shadow = blur(np.roll(cover(thing.distance)[..., 0], (3, 2), axis=(0, 1)), 1.8)
        picture = picture * (1 - 0.42 * shadow[..., None])
    for thing in placed:
        height = np.sqrt(np.clip(-thing.distance, 0, 6) + 0.05)
        soft = blur(height, 0.8)
        slope_y, slope_x = np.gradient(soft, axis=0), np.gradient(soft, axis=1)
        light = np.clip(0.86 - 0.85 * slope_x - 0.95 * slope_y, 0.35, 1.25)[..., None]
        shine = np.clip(light - 1.02, 0, 1) * 1.1
        picture = over(picture, thing.colour * light + shine, cover(thing.distance))
    noisy: Field = picture + rng.normal(0, 0.008, picture.shape)
    return noisy


def flat(placed: Sequence[Placed], ground: Field, background: str, rng: np.random.Generator) -> Field:
    """Plain areas of one colour, hard edges."""
    picture = np.broadcast_to(ground, (SIZE, SIZE, 3)).astype(np.float32)
    for thing in placed:
        picture = over(picture, thing.colour, cover(thing.distance))
    return picture


def outline(placed: Sequence[Placed], ground: Field, background: str, rng: np.random.Generator) -> Field:
    """Thick coloured contours on white with a tint of the ground."""
    picture = np.broadcast_to(_WHITE + (ground - _WHITE) * 0.45, (SIZE, SIZE, 3)).astype(np.float32)
    for thing in placed:
        picture = over(picture, _WHITE, cover(thing.distance))
        picture = over(picture, thing.colour, cover(np.abs(thing.distance) - 1.3))
    return picture


def watercolour(placed: Sequence[Placed], ground: Field, background: str, rng: np.random.Generator) -> Field:
    """Uneven washes that pool at their edges, on white paper."""
    paper = _WHITE * (0.98 + 0.012 * cloud(rng, 33)[..., None])
    wash = np.clip(0.72 + 0.17 * cloud(rng, 5), 0.3, 1)[..., None]
    picture = over(paper, ground, wash)
    for thing in placed:
        edge = thing.distance + 0.7 * cloud(rng, 9)
        pooled = np.exp(-((edge + 0.8) ** 2) / 1.6)[..., None]
        strength = np.clip(0.76 + 0.14 * cloud(rng, 7)[..., None], 0.45, 0.95)
        picture = over(picture, paper, cover(edge, 0.9))
        picture = over(picture, thing.colour * (1 - 0.3 * pooled), cover(edge, 0.9) * np.maximum(strength, pooled))
    return picture


def pixel(placed: Sequence[Placed], ground: Field, background: str, rng: np.random.Generator) -> Field:
    """Blocks of 2×2 pixels, a checkered dither on the ground, a dark lower edge on things."""
    rows, cols = np.mgrid[0:SIZE, 0:SIZE] // 2
    check = ((rows + cols) % 2)[..., None]
    picture = ground * (1 - 0.1 * check)
    for thing in placed:
        block = thing.distance.reshape(SIZE // 2, 2, SIZE // 2, 2).mean((1, 3)).repeat(2, 0).repeat(2, 1)
        below = np.roll(block, -2, axis=0) > 0
        paint = thing.colour * np.where(below, 0.6, 1.0)[..., None]
        picture = over(picture, paint, (block < 0)[..., None])
    blocks: Field = picture.astype(np.float32)
    return blocks


def pencil(placed: Sequence[Placed], ground: Field, background: str, rng: np.random.Generator) -> Field:
    """Coloured-pencil hatching over grainy cream paper, things crossed by a second hatch and outlined."""
    grain = 0.6 * cloud(rng, 33) + 0.3 * rng.standard_normal((SIZE, SIZE)).astype(np.float32)
    paper = np.array([0.97, 0.955, 0.915], dtype=np.float32) * (1 + 0.012 * grain[..., None])
    tooth = np.clip(1 - 0.16 * np.abs(grain), 0.4, 1)
    first, second = rng.uniform(0.6, 0.95), rng.uniform(-0.95, -0.6)
    strokes = hatch(rng, first, rng.uniform(3.6, 4.4), 0.5)
    picture = over(paper, ground * 0.94, (np.clip(0.17 + 0.54 * strokes, 0, 1) * tooth)[..., None])
    for thing in placed:
        edge = thing.distance + 0.3 * cloud(rng, 9)
        inside = cover(edge, 0.8)
        lay = np.maximum(hatch(rng, second, rng.uniform(2.9, 3.5), 0.4), 0.75 * hatch(rng, first + 1.0, 3.3, 0.4))
        picture = over(picture, paper, inside * 0.9)
        picture = over(picture, thing.colour, inside * (np.clip(0.42 + 0.55 * lay, 0, 1) * tooth)[..., None])
        line = cover(np.abs(edge) - 0.55, 0.6) * (0.62 + 0.25 * np.clip(cloud(rng, 17), -1, 1))[..., None]
        picture = over(picture, thing.colour * 0.42, line)
    return picture


def chalk(placed: Sequence[Placed], ground: Field, background: str, rng: np.random.Generator) -> Field:
    """Broken, dusty strokes of bright chalk on a dark board."""
    board = np.array([0.13, 0.17, 0.16], dtype=np.float32) * (1 + 0.1 * cloud(rng, 5)[..., None])
    dust = np.clip(0.62 + 0.5 * rng.standard_normal((SIZE, SIZE)), 0, 1).astype(np.float32)
    strokes = hatch(rng, rng.uniform(1.3, 1.8), 6.0, 0.8) ** 2
    picture = over(board, 0.75 * ground + 0.12, (0.55 * strokes * dust)[..., None])
    for thing in placed:
        edge = thing.distance + 0.4 * cloud(rng, 11)
        bright = 0.8 * thing.colour + 0.16
        fill = (0.3 + 0.4 * hatch(rng, rng.uniform(0.3, 0.7), 4.0, 0.6)) * dust
        picture = over(picture, board, cover(edge, 0.8))
        picture = over(picture, bright, cover(edge, 0.8) * fill[..., None])
        picture = over(picture, bright, cover(np.abs(edge) - 0.9, 0.8) * (0.25 + 0.75 * dust)[..., None])
    return picture


def _by_recipe(recipe: Recipe) -> Painter:
    def painter(placed: Sequence[Placed], ground: Field, background: str, rng: np.random.Generator) -> Field:
        return paint(recipe, placed, ground, rng)

    return painter


PAINTERS: Final[dict[str, Painter]] = {
    "photo": photo,
    "flat": flat,
    "outline": outline,
    "watercolour": watercolour,
    "pixel": pixel,
    "pencil": pencil,
    "chalk": chalk,
    **{name: _by_recipe(recipe) for name, recipe in {**RECIPES, **RESERVED}.items()},
}
