"""Paints a layout in a style by parameters (`train.pocket.recipes`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates

from train.pocket.brushes import COLS, ROWS, SIZE, Placed, blur, cloud, cover, hatch, over
from train.pocket.recipes import Distortion, Fill, Line, Palette, Recipe
from train.pocket.shapes import Field


def paint(recipe: Recipe, placed: Sequence[Placed], ground: Field, rng: np.random.Generator) -> Field:
    """Paint `placed` things on a `ground` of one colour (3,): (64, 64, 3), about [0, 1]."""
    paper = _paper(recipe, rng)
    picture = _lay(paper, _tone(ground, recipe.ground_palette or recipe.palette), recipe.ground, rng)
    for thing in placed:
        if recipe.shadow:
            fallen = blur(np.roll(cover(thing.distance)[..., 0], (3, 3), axis=(0, 1)), 1.2)
            picture = picture * (1 - recipe.shadow * fallen[..., None])
    for thing in placed:
        colour = _tone(thing.colour, recipe.palette)
        edge = thing.distance + recipe.rough * cloud(rng, 13) if recipe.rough else thing.distance
        inside = cover(edge, recipe.softness)
        if recipe.glow:
            picture = picture + colour * 0.8 * np.exp(-np.clip(edge, 0, None) / recipe.glow)[..., None]
        painted = _lay(paper, colour, recipe.fill, rng, edge)
        picture = over(picture, painted, inside)
        if recipe.line:
            picture = _outline(picture, recipe.line, colour, edge, rng)
    return _DISTORT[recipe.distortion](np.clip(picture, 0, 1.3), recipe.amount, rng)


def _paper(recipe: Recipe, rng: np.random.Generator) -> Field:
    rough = 0.6 * cloud(rng, 33) + 0.4 * rng.standard_normal((SIZE, SIZE))
    tinted: Field = np.array(recipe.paper, dtype=np.float32) * (1 + recipe.grain * rough[..., None])
    return tinted


def _tone(colour: Field, palette: Palette) -> Field:
    grey = colour.mean(-1, keepdims=True)
    toned = (grey + (colour - grey) * palette.saturation) * palette.gain
    mixed: Field = toned + (np.array(palette.tint, dtype=np.float32) - toned) * palette.mix
    return np.clip(mixed, 0, 1)


def _lay(paper: Field, colour: Field, fill: Fill, rng: np.random.Generator, edge: Field | None = None) -> Field:
    """The paint over paper, wherever the fill puts it; `edge` is the distance to the thing's edge, if it is one."""
    mask, light = _mask_and_light(fill, rng, edge)
    alpha = fill.least + (fill.most - fill.least) * np.clip(mask, 0, 1)
    return over(paper, np.clip(colour * (1 + fill.uneven * light)[..., None], 0, 1), alpha[..., None])


def _mask_and_light(fill: Fill, rng: np.random.Generator, edge: Field | None) -> tuple[Field, Field]:
    """Where paint is, (64, 64) in [0, 1], and how much lighter or darker it is there."""
    angle, p = fill.angle + rng.uniform(-0.1, 0.1), fill.period
    none = np.zeros((SIZE, SIZE), dtype=np.float32)
    match fill.kind:
        case "flat":
            return none + 1, none
        case "hatch":
            return hatch(rng, angle, p, 0.4), none
        case "cross":
            return np.maximum(hatch(rng, angle, p, 0.3), hatch(rng, angle + np.pi / 2, p, 0.3)), none
        case "dots":
            product = (hatch(rng, angle, p, 0) - 0.5) * (hatch(rng, angle + np.pi / 2, p, 0) - 0.5)
            return np.clip(0.5 + 6 * (product * 4 + 0.1), 0, 1), none
        case "stipple":
            specks = gaussian_filter(rng.standard_normal((SIZE, SIZE)), p / 5)
            return np.clip(0.5 + 2.0 * specks / specks.std(), 0, 1), none
        case "tiles":
            return _tiles(rng, p)
        case "wash":
            return 0.6 + 0.35 * cloud(rng, max(3, round(SIZE / p))), cloud(rng, 9)
        case "glaze":
            depth = np.clip(-edge, 0, 8) / 8 if edge is not None else (SIZE - ROWS) / SIZE
            return none + 1, (depth - 0.4) * 2 + 0.6 * (hatch(rng, angle, 40.0, 0) > 0.93)
        case "weave":
            over_under = np.sin(np.pi * ROWS / p) * np.sin(np.pi * COLS / p)
            return 0.5 + 0.5 * np.sign(over_under) * np.abs(over_under) ** 0.3, over_under
        case "stitch":
            shift = np.floor((COLS * np.cos(angle) + ROWS * np.sin(angle)) / p)
            along = -COLS * np.sin(angle) + ROWS * np.cos(angle) + shift * p * 1.3
            return (0.5 + 0.5 * np.sin(2 * np.pi * along / (3 * p))) ** 0.4, np.sin(np.pi * shift)
        case "rings":
            far = edge if edge is not None else np.hypot(COLS - SIZE / 2, ROWS - SIZE / 2)
            return 0.5 + 0.5 * np.cos(2 * np.pi * far / p), none


def _tiles(rng: np.random.Generator, period: float) -> tuple[Field, Field]:
    """Square tiles with joints between them, each a little lighter or darker."""
    dy, dx = rng.uniform(0, period, size=2)
    y, x = (ROWS + dy) / period, (COLS + dx) / period
    joint = np.maximum(np.abs(y % 1 - 0.5), np.abs(x % 1 - 0.5)) > 0.5 - 0.55 / period
    count = int(SIZE / period) + 3
    light = rng.standard_normal((count, count))[y.astype(int), x.astype(int)]
    return (~joint).astype(np.float32), light.astype(np.float32)


def _outline(picture: Field, line: Line, colour: Field, edge: Field, rng: np.random.Generator) -> Field:
    ink = np.array(line.paint, dtype=np.float32) if line.paint else colour * min(line.shade, 1)
    if not line.paint and line.shade > 1:
        ink = colour + (1 - colour) * (line.shade - 1)
    strayed = edge + line.wobble * cloud(rng, 15) if line.wobble else edge
    picture = over(picture, ink, cover(np.abs(strayed) - line.width) * line.strength)
    if line.twice:
        picture = over(picture, ink, cover(np.abs(strayed - 3 * line.width - 1) - line.width * 0.6) * line.strength)
    return picture


def _ripple(picture: Field, amount: float, rng: np.random.Generator) -> Field:
    down, right = rng.uniform(0, 2 * np.pi, size=2)
    rows = ROWS - 0.5 + amount * np.sin(COLS / 3.2 + down)
    cols = COLS - 0.5 + amount * np.sin(ROWS / 3.2 + right)
    return _pixels_at(picture, rows, cols)


def _shards(picture: Field, amount: float, rng: np.random.Generator) -> Field:
    """Each pane of frosted glass shows the picture a little moved."""
    panes = rng.normal(0, amount, size=(2, 13, 13))
    y, x = (ROWS / 5.3).astype(int), (COLS / 5.3).astype(int)
    return _pixels_at(picture, ROWS - 0.5 + panes[0][y, x], COLS - 0.5 + panes[1][y, x])


def _pixels_at(picture: Field, rows: Field, cols: Field) -> Field:
    channels = [map_coordinates(picture[..., i], [rows, cols], order=1, mode="nearest") for i in range(3)]
    return np.stack(channels, axis=-1)


def _blocks(picture: Field, amount: float, rng: np.random.Generator) -> Field:
    side = int(amount)
    small: Field = picture.reshape(SIZE // side, side, SIZE // side, side, 3).mean((1, 3))
    return small.repeat(side, 0).repeat(side, 1)


def _levels(picture: Field, amount: float, rng: np.random.Generator) -> Field:
    stepped: Field = np.round(np.clip(picture, 0, 1) * amount) / amount
    return stepped


def _relief(picture: Field, amount: float, rng: np.random.Generator) -> Field:
    height = blur(picture.mean(-1), 0.6)
    slope = np.gradient(height, axis=0) + np.gradient(height, axis=1)
    lit: Field = picture + amount * slope[..., None]
    return lit


def _soften(picture: Field, amount: float, rng: np.random.Generator) -> Field:
    return np.stack([blur(picture[..., i], amount) for i in range(3)], axis=-1)


def _misregister(picture: Field, amount: float, rng: np.random.Generator) -> Field:
    """Colours printed beside one another."""
    step = int(amount)
    return np.stack([np.roll(picture[..., 0], step, 1), picture[..., 1], np.roll(picture[..., 2], -step, 0)], axis=-1)


def _scanlines(picture: Field, amount: float, rng: np.random.Generator) -> Field:
    dark: Field = 1 - amount * ((np.arange(SIZE) + int(rng.integers(3))) % 3 == 0)
    striped: Field = picture * dark[:, None, None]
    return striped


def _vignette(picture: Field, amount: float, rng: np.random.Generator) -> Field:
    far = np.hypot(COLS - SIZE / 2, ROWS - SIZE / 2) / (SIZE / 2)
    shaded: Field = picture * (1 - amount * np.clip(far - 0.3, 0, 1) ** 2)[..., None]
    return shaded


def _keep(picture: Field, amount: float, rng: np.random.Generator) -> Field:
    return picture


_DISTORT: Final[dict[Distortion, Callable[[Field, float, np.random.Generator], Field]]] = {
    "none": _keep,
    "ripple": _ripple,
    "blocks": _blocks,
    "levels": _levels,
    "relief": _relief,
    "blur": _soften,
    "shifted": _misregister,
    "scanlines": _scanlines,
    "shards": _shards,
    "vignette": _vignette,
}
