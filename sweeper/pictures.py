"""Sheets of pictures with captions, for people to look at."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from PIL import Image, ImageDraw, ImageFont

from foundation.images import read_rgb

PAPER: Final = (250, 249, 246)
INK: Final = (32, 34, 40)
FAINT: Final = (118, 120, 128)
RULE: Final = (222, 219, 211)
BEST_TINT: Final = (236, 240, 229)
"""Behind the columns of the winner, so that they are told apart from the base's at a glance."""

PROMPT: Final = "prompt"
UNRELATED: Final = "unrelated"
"""The kinds of prompts, as the names of their pictures begin."""

MARGIN: Final = 24
GAP: Final = 6
WIDE_GAP: Final = 18
CAPTION_WIDTH: Final = 210
STRENGTH_WIDTH: Final = 96
FRAME: Final = 3
CHOSEN: Final = (74, 122, 54)
"""The frame of what was chosen."""
TEXT, SMALL, TITLE, STRENGTH = 15, 13, 24, 20
SQUARE: Final = 256
"""Side of a square sheet; MLflow's page scales pictures to it (`mlflow.tracking.multimedia`)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """A prompt with the base's and the winner's pictures of it, seed by seed."""

    prompt: str
    base: Sequence[Image.Image]
    best: Sequence[Image.Image]


@dataclass(frozen=True, kw_only=True, slots=True)
class Block:
    """A prompt with pictures of it: a row for each strength, in it one for each step."""

    prompt: str
    pictures: Sequence[Sequence[Image.Image]]


def contact_sheet(title: str, subtitle: str, seeds: Sequence[int], rows: Sequence[Row], tile: int = 192) -> Image.Image:
    """Return a sheet with a row a prompt and, for each seed, the base's picture beside the winner's.

    Pictures are shown as squares of `tile` pixels. Tiny ones are magnified by whole pixels first.

    Raises:
        ValueError: a row has not a picture of each kind for each seed, or there are no rows or seeds.
    """
    if not rows or not seeds:
        raise ValueError(f"a contact sheet wants prompts and seeds, got {len(rows)} and {len(seeds)}")
    for row in rows:
        if not len(row.base) == len(row.best) == len(seeds):
            raise ValueError(
                f"{row.prompt!r} must have {len(seeds)} pictures of each kind, got {len(row.base)} and {len(row.best)}"
            )
    pair = 2 * tile + GAP
    width = max(2 * MARGIN + CAPTION_WIDTH + len(seeds) * (pair + WIDE_GAP), _width(title, TITLE) + 2 * MARGIN)
    subtitle_lines = _wrap(subtitle, SMALL, width - 2 * MARGIN)
    head = _head_height(subtitle_lines) + 52
    sheet = Image.new("RGB", (width, head + len(rows) * (tile + WIDE_GAP) + MARGIN - WIDE_GAP), PAPER)
    pen = ImageDraw.Draw(sheet)
    _head(pen, title, subtitle_lines)
    lefts = [MARGIN + CAPTION_WIDTH + WIDE_GAP + number * (pair + WIDE_GAP) for number in range(len(seeds))]
    for seed, left in zip(seeds, lefts, strict=True):
        _head_of_pair(pen, seed, left, head, tile, sheet.height)
    for number, row in enumerate(rows):
        top = head + number * (tile + WIDE_GAP)
        if number:
            pen.line((MARGIN, top - WIDE_GAP // 2, width - MARGIN, top - WIDE_GAP // 2), fill=RULE)
        _caption(pen, row.prompt, (MARGIN, top), CAPTION_WIDTH, tile)
        for left, base, best in zip(lefts, row.base, row.best, strict=True):
            sheet.paste(_fit(base, tile), (left, top))
            sheet.paste(_fit(best, tile), (left + tile + GAP, top))
    return sheet


def strength_sheet(
    title: str,
    subtitle: str,
    strengths: Mapping[float, str],
    steps: Sequence[int],
    blocks: Sequence[Block],
    chosen: tuple[float, int],
    tile: int = 128,
) -> Image.Image:
    """Return a sheet with a row a strength, a column a step and a block a prompt, side by side; `chosen` is framed.

    `strengths` are what stands at the rows, with a note for each.

    Raises:
        ValueError: a block has not a picture for each strength and step, or there are no blocks.
    """
    for block in blocks:
        if [len(row) for row in block.pictures] != [len(steps)] * len(strengths):
            raise ValueError(f"{block.prompt!r} must have {len(strengths)} rows of {len(steps)} pictures")
    if not blocks:
        raise ValueError("a sheet of strengths wants prompts, got none")
    step = tile + GAP
    inner = len(steps) * step - GAP
    lefts = [MARGIN + STRENGTH_WIDTH + number * (inner + WIDE_GAP) for number in range(len(blocks))]
    width = max(lefts[-1] + inner + MARGIN, _width(title, TITLE) + 2 * MARGIN)
    subtitle_lines = _wrap(subtitle, SMALL, width - 2 * MARGIN)
    prompts = [_wrap(block.prompt, TEXT, inner) for block in blocks]
    above = _head_height(subtitle_lines) + 8
    head = above + max(len(lines) for lines in prompts) * (TEXT + 6) + 32
    sheet = Image.new("RGB", (width, head + len(strengths) * step - GAP + MARGIN), PAPER)
    pen = ImageDraw.Draw(sheet)
    _head(pen, title, subtitle_lines)
    for row, (strength, note) in enumerate(strengths.items()):
        middle = head + row * step + tile // 2
        pen.text((MARGIN, middle - 2), f"{strength:g}", fill=INK, font=_font(STRENGTH), anchor="ls")
        pen.text((MARGIN, middle + SMALL + 4), note, fill=FAINT, font=_font(SMALL), anchor="ls")
    for left, block, lines in zip(lefts, blocks, prompts, strict=True):
        for number, line in enumerate(lines):
            pen.text((left, above + number * (TEXT + 6)), line, fill=INK, font=_font(TEXT))
        pen.line((left, head - 26, left + inner, head - 26), fill=RULE)
        for column, at in enumerate(steps):
            place = (left + column * step + tile // 2, head - 8)
            pen.text(place, f"step {at}", fill=FAINT, font=_font(SMALL), anchor="ms")
            for row, strength in enumerate(strengths):
                x, y = left + column * step, head + row * step
                if (strength, at) == chosen:
                    pen.rectangle((x - FRAME, y - FRAME, x + tile + FRAME - 1, y + tile + FRAME - 1), fill=CHOSEN)
                sheet.paste(_fit(block.pictures[row][column], tile), (x, y))
    return sheet


def side_by_side(
    title: str, columns: Sequence[str], rows: Mapping[str, Sequence[Image.Image]], tile: int = 192
) -> Image.Image:
    """Return a sheet with a row a prompt and, under each column's words, one picture.

    Raises:
        ValueError: a row has not a picture for each column, or there are none.
    """
    if not rows or not columns or any(len(row) != len(columns) for row in rows.values()):
        raise ValueError(f"a sheet side by side wants a picture for each of {len(columns)} columns in every row")
    step = tile + WIDE_GAP
    left = MARGIN + CAPTION_WIDTH + WIDE_GAP
    heads = [_wrap(words, SMALL, tile) for words in columns]
    head = _head_height(()) + max(len(lines) for lines in heads) * (SMALL + 6) + 10
    width = max(left + len(columns) * step - WIDE_GAP + MARGIN, _width(title, TITLE) + 2 * MARGIN)
    sheet = Image.new("RGB", (width, head + len(rows) * step - WIDE_GAP + MARGIN), PAPER)
    pen = ImageDraw.Draw(sheet)
    _head(pen, title, ())
    for number, lines in enumerate(heads):
        for line, words in enumerate(lines):
            place = (left + number * step, _head_height(()) + line * (SMALL + 6))
            pen.text(place, words, fill=INK, font=_font(SMALL))
    for row, (prompt, pictures) in enumerate(rows.items()):
        top = head + row * step
        _caption(pen, prompt, (MARGIN, top), CAPTION_WIDTH, tile)
        for number, picture in enumerate(pictures):
            sheet.paste(_fit(picture, tile), (left + number * step, top))
    return sheet


def square_sheet(images: Sequence[Image.Image]) -> Image.Image:
    """Return as many of a prompt's pictures as fill a square (1, 4, 9 …), the first ones, edge to edge.

    For a page that shows a picture in a square of some 250 pixels, as MLflow's does: a strip of all of them would be
    too small there to be seen. Twice that for pictures that are larger.

    Raises:
        ValueError: there are no pictures.
    """
    if not images:
        raise ValueError("a square sheet wants pictures, got none")
    num_columns = math.isqrt(len(images))
    side = SQUARE if max(images[0].size) <= SQUARE else 2 * SQUARE
    tile = side // num_columns
    sheet = Image.new("RGB", (num_columns * tile, num_columns * tile), PAPER)
    for number, image in enumerate(images[: num_columns**2]):
        row, column = divmod(number, num_columns)
        sheet.paste(_fit(image, tile), (column * tile, row * tile))
    pen = ImageDraw.Draw(sheet)
    for seam in range(tile, num_columns * tile, tile):
        pen.rectangle((seam - 1, 0, seam, sheet.height), fill=PAPER)
        pen.rectangle((0, seam - 1, sheet.width, seam), fill=PAPER)
    return sheet


def open_picture(path: Path) -> Image.Image:
    """A picture of a file, in memory.

    Raises:
        DataError: when it is damaged.
    """
    return read_rgb(path)


def _head_height(subtitle_lines: Sequence[str]) -> int:
    return MARGIN + TITLE + 12 + len(subtitle_lines) * (SMALL + 6)


def _head(pen: ImageDraw.ImageDraw, title: str, subtitle_lines: Sequence[str]) -> None:
    pen.text((MARGIN, MARGIN - 4), title, fill=INK, font=_font(TITLE))
    for number, line in enumerate(subtitle_lines):
        pen.text((MARGIN, MARGIN + TITLE + 8 + number * (SMALL + 6)), line, fill=FAINT, font=_font(SMALL))


def _head_of_pair(pen: ImageDraw.ImageDraw, seed: int, left: int, head: int, tile: int, bottom: int) -> None:
    middle = left + tile + GAP // 2
    pen.text((middle, head - 34), f"seed {seed}", fill=FAINT, font=_font(SMALL), anchor="ms")
    pen.line((left, head - 28, left + 2 * tile + GAP, head - 28), fill=RULE)
    best = left + tile + GAP
    pen.rectangle((best - GAP // 2, head - 26, best + tile + GAP // 2, bottom - MARGIN + GAP), fill=BEST_TINT)
    pen.text((left + tile // 2, head - 9), "base", fill=INK, font=_font(TEXT), anchor="ms")
    pen.text((best + tile // 2, head - 9), "best", fill=INK, font=_font(TEXT), anchor="ms")


def _caption(pen: ImageDraw.ImageDraw, text: str, place: tuple[int, int], width: int, height: int) -> None:
    lines, most = _wrap(text, TEXT, width), height // (TEXT + 6)
    if len(lines) > most:
        lines = [*lines[: most - 1], lines[most - 1].rstrip(" ,.") + " …"]
    top = place[1] + max(0, (height - len(lines) * (TEXT + 6)) // 2)
    for number, line in enumerate(lines):
        pen.text((place[0], top + number * (TEXT + 6)), line, fill=INK, font=_font(TEXT))


def _fit(image: Image.Image, tile: int) -> Image.Image:
    """A picture as a square tile: whole when it is not square, on paper."""
    image = image.convert("RGB")
    longest = max(image.size)
    if longest * 2 <= tile:
        factor = tile // longest
        image = image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)
        longest *= factor
    if longest != tile:
        size = (max(1, round(image.width * tile / longest)), max(1, round(image.height * tile / longest)))
        image = image.resize(size, Image.Resampling.LANCZOS)
    if image.size == (tile, tile):
        return image
    square = Image.new("RGB", (tile, tile), RULE)
    square.paste(image, ((tile - image.width) // 2, (tile - image.height) // 2))
    return square


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _width(text: str, size: int) -> int:
    return round(_font(size).getlength(text))


def _wrap(text: str, size: int, width: int) -> list[str]:
    """Lines no wider than `width` pixels; a word that is wider is cut."""
    lines: list[str] = []
    for word in (piece for whole in text.split() for piece in _cut(whole, size, width)):
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and _width(longer, size) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def _cut(word: str, size: int, width: int) -> list[str]:
    if _width(word, size) <= width:
        return [word]
    return textwrap.wrap(word, max(1, len(word) * width // _width(word, size) - 1))


def picture_name(kind: str, prompt: int, seed: int | Literal["*"]) -> str:
    """`prompt03-seed1.png`: the fourth prompt with the second seed; with "*" what finds them with all seeds."""
    return f"{kind}{prompt:02}-seed{seed}.png"


def sheet_name(kind: str, prompt: int) -> str:
    """`prompt03.png`: the fourth prompt's square sheet."""
    return f"{kind}{prompt:02}.png"
