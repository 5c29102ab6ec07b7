"""Sheets: every picture is at its place, captions are drawn, what does not fit together is refused."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from sweeper.pictures import BEST_TINT, INK, PAPER, Row, contact_sheet, grid
from train.pocket.draw import draw
from train.pocket.world import scenes


def _row(prompt: str, colours: tuple[str, str], count: int = 2) -> Row:
    base, best = (Image.new("RGB", (64, 64), colour) for colour in colours)
    return Row(prompt=prompt, base=[base] * count, best=[best] * count)


def _colours_along(sheet: Image.Image, y: int) -> list[tuple[int, ...]]:
    """The different colours along a line of the sheet, in order, paper and frames left out."""
    line = [tuple(int(part) for part in pixel) for pixel in np.asarray(sheet)[y]]
    frames = (PAPER, BEST_TINT)
    return [pixel for pixel, before in zip(line[1:], line, strict=False) if pixel != before and pixel not in frames]


def test_a_row_holds_base_and_best_of_each_seed() -> None:
    rows = [_row("a cup", ("red", "blue")), _row("a star", ("lime", "black"))]
    sheet = contact_sheet("t", "s", [0, 1], rows, tile=96)
    lines = {tuple(_colours_along(sheet, y)) for y in range(sheet.height)}
    red, blue, lime, black = (255, 0, 0), (0, 0, 255), (0, 255, 0), (0, 0, 0)
    assert (red, blue, red, blue) in lines
    assert (lime, black, lime, black) in lines


def test_tiny_pictures_are_magnified_by_whole_pixels() -> None:
    picture = draw(scenes(0, 1, held_out=True)[0], "pencil", 0)
    tile = np.asarray(grid([picture], 1, tile=192))[6:198, 6:198]
    assert np.array_equal(tile, np.asarray(picture).repeat(3, axis=0).repeat(3, axis=1))


def test_captions_are_drawn_in_full_or_end_in_dots() -> None:
    short = contact_sheet("t", "s", [0], [_row("a cup", ("red", "red"), 1)], tile=96)
    long = contact_sheet("t", "s", [0], [_row("a cup " * 80 + "x" * 300, ("red", "red"), 1)], tile=96)
    assert short.size == long.size
    ink = [int((np.asarray(sheet) == INK).all(2).sum()) for sheet in (short, long)]
    assert ink[1] > 3 * ink[0]


def test_pictures_of_any_mode_and_aspect_stay_whole() -> None:
    wide = Image.new("L", (400, 100), 255)
    tile = np.asarray(grid([wide], 3, tile=100))[6:106, 6:106]
    assert (tile[38:62] == 255).all()
    assert not (tile[:30] == 255).any()


def test_a_grid_breaks_into_rows() -> None:
    pictures = [Image.new("RGB", (8, 8), "red")] * 5
    assert grid(pictures, 2, tile=10).size == (2 * 16 + 6, 3 * 16 + 6)
    assert grid(pictures, 9, tile=10).size == (5 * 16 + 6, 16 + 6)


def test_what_does_not_fit_together_is_refused() -> None:
    with pytest.raises(ValueError, match="'a cup' must have 2 pictures of each kind, got 1 and 1"):
        contact_sheet("t", "s", [0, 1], [_row("a cup", ("red", "blue"), 1)])
    with pytest.raises(ValueError, match="wants prompts and seeds"):
        contact_sheet("t", "s", [], [])
    with pytest.raises(ValueError, match="wants pictures and columns"):
        grid([], 2)
