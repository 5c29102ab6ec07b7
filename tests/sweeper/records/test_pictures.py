"""Sheets: every picture is at its place, captions are drawn, what does not fit together is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from foundation.pictures.sheets import (
    BEST_TINT,
    CHOSEN,
    Block,
    Column,
    Real,
    Row,
    contact_sheet,
    side_by_side,
    strength_sheet,
)
from foundation.pictures.tiles import INK, PAPER
from sweeper.records.pictures import square_sheet
from train.pocket.draw import draw_scene
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


def test_a_real_picture_stands_first_in_its_row() -> None:
    real = Real(picture=Image.new("RGB", (64, 64), "yellow"), caption="a cup, in pencil style")
    sheet = contact_sheet("t", "s", [0], [replace(_row("a cup", ("red", "blue"), 1), real=real)], tile=96)
    lines = {tuple(_colours_along(sheet, y)) for y in range(sheet.height)}
    assert ((255, 255, 0), (255, 0, 0), (0, 0, 255)) in lines


def test_tiny_pictures_are_magnified_by_whole_pixels() -> None:
    picture = draw_scene(scenes(0, 1, held_out=True)[0], "pencil", 0)
    tile = np.asarray(square_sheet([picture]))
    assert np.array_equal(tile, np.asarray(picture).repeat(4, axis=0).repeat(4, axis=1))


def test_captions_are_drawn_in_full_or_end_in_dots() -> None:
    short = contact_sheet("t", "s", [0], [_row("a cup", ("red", "red"), 1)], tile=96)
    long = contact_sheet("t", "s", [0], [_row("a cup " * 80 + "x" * 300, ("red", "red"), 1)], tile=96)
    assert short.size == long.size
    ink = [int((np.asarray(sheet) == INK).all(2).sum()) for sheet in (short, long)]
    assert ink[1] > 3 * ink[0]


def test_pictures_of_any_mode_and_aspect_stay_whole() -> None:
    wide = Image.new("L", (400, 100), 255)
    tile = np.asarray(square_sheet([wide]))
    assert tile.shape == (512, 512, 3)
    assert (tile[200:312] == 255).all()
    assert not (tile[:180] == 255).any()


@pytest.mark.parametrize(("count", "columns"), [(1, 1), (2, 1), (3, 1), (4, 2), (8, 2), (9, 3)])
def test_a_sheet_of_seeds_is_square_and_as_large_as_mlflow_shows_it(count: int, columns: int) -> None:
    pictures = [Image.new("RGB", (64, 64), (9 * number, 0, 0)) for number in range(1, count + 1)]
    sheet = square_sheet(pictures)
    side = 256 // columns
    assert sheet.size == (side * columns,) * 2
    lines = [side * number + side // 2 for number in range(columns)]
    middles = [(x, y) for y in lines for x in lines]
    assert [sheet.getpixel(middle) for middle in middles] == [(9 * n, 0, 0) for n in range(1, columns**2 + 1)]


def test_what_does_not_fit_together_is_refused() -> None:
    with pytest.raises(ValueError, match="'a cup' must have 2 pictures of each kind, got 1 and 1"):
        contact_sheet("t", "s", [0, 1], [_row("a cup", ("red", "blue"), 1)])
    with pytest.raises(ValueError, match="wants prompts and seeds"):
        contact_sheet("t", "s", [], [])
    with pytest.raises(ValueError, match="wants pictures, got none"):
        square_sheet([])


def plain_block(prompt: str, strengths: int, steps: int) -> Block:
    """Every picture of another shade: rows by red, columns by green."""
    shades = [
        [Image.new("RGB", (64, 64), (40 + 30 * row, 60 * column, 0)) for column in range(steps)]
        for row in range(strengths)
    ]
    return Block(prompt=prompt, pictures=shades)


STRENGTHS = {0.5: "1.0", 1.0: "2.0", 1.5: ""}


def test_strengths_go_down_and_steps_across_in_each_prompts_block() -> None:
    blocks = [plain_block("a cup", 3, 2), plain_block("a star", 3, 2)]
    sheet = np.asarray(strength_sheet("t", "s", STRENGTHS, ["step 40", "step 80"], blocks, (1.0, "step 80"), tile=64))
    tops = []
    for row in range(3):
        places = [np.argwhere((sheet == (40 + 30 * row, 60 * column, 0)).all(2)) for column in range(2)]
        assert all(len(place) == 2 * 64 * 64 for place in places)  # once in each of two blocks
        left, right = (place[:, 1] for place in places)
        assert left.min() < right.min() < left.max() < right.max()
        assert places[0][:, 0].min() == places[1][:, 0].min()
        tops.append(int(places[0][:, 0].min()))
    assert tops == sorted(tops) and tops[1] - tops[0] >= 64
    framed = np.argwhere((sheet == CHOSEN).all(2))
    chosen = np.argwhere((sheet == (70, 60, 0)).all(2))
    assert (framed.min(0) == chosen.min(0) - 3).all() and (framed.max(0) == chosen.max(0) + 3).all()


def test_a_sheet_of_strengths_has_room_for_every_word() -> None:
    def size(prompt: str, title: str = "t", steps: int = 1) -> tuple[int, int]:
        blocks = [plain_block(prompt, 3, steps)]
        names = [f"step {number}" for number in range(steps)]
        return strength_sheet(title, "s", STRENGTHS, names, blocks, (1.0, names[0]), tile=64).size

    assert size("a cup left of a star on grass, in pencil style")[1] > size("a cup")[1] + 2 * 15
    assert size("a cup", "a title that is wider than a tile")[0] > size("a cup")[0]
    assert size("a cup", steps=4)[0] == size("a cup", steps=5)[0] - 64 - 6


def test_strengths_that_do_not_fit_together_are_refused() -> None:
    with pytest.raises(ValueError, match="'a cup' must have 3 rows of 2 pictures"):
        strength_sheet("t", "s", STRENGTHS, ["40", "80"], [plain_block("a cup", 3, 1)], (1.0, "40"))
    with pytest.raises(ValueError, match="wants prompts, got none"):
        strength_sheet("t", "s", STRENGTHS, ["40"], [], (1.0, "40"))


def test_side_by_side_each_column_has_its_picture_of_each_prompt() -> None:
    colours = {"a cup": ("red", "blue", "lime"), "a star": ("lime", "red", "black")}
    rows = {prompt: [Image.new("RGB", (64, 64), colour) for colour in row] for prompt, row in colours.items()}
    columns = [
        Column(name="base"),
        Column(name="one", notes=("score 7.1", "rank 8, " * 50)),
        Column(name="2", won=True),
    ]
    reals = [Real(picture=Image.new("RGB", (64, 64), colour), caption="真的 " * 40) for colour in ("yellow", "white")]
    sheet = side_by_side("t", "s", columns, rows, tile=96)
    with_reals = side_by_side("t", "s", columns, rows, reals, tile=96)
    lines = {tuple(_colours_along(sheet, y)) for y in range(sheet.height)}
    framed = (CHOSEN, (0, 255, 0), CHOSEN)  # the winner's
    assert ((255, 0, 0), (0, 0, 255), *framed) in lines
    assert ((0, 255, 0), (255, 0, 0), CHOSEN, (0, 0, 0), CHOSEN) in lines
    lines = {tuple(_colours_along(with_reals, y)) for y in range(with_reals.height)}
    assert ((255, 255, 0), (255, 0, 0), (0, 0, 255), *framed) in lines
    with pytest.raises(ValueError, match="a picture for each of 2 columns"):
        side_by_side("t", "s", columns[:2], rows)
