"""Sheets of pictures with captions, for people to look at: the winner, the finalists, the strengths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from PIL import Image, ImageDraw

from foundation.pictures.lettering import legible, missing_words, shorten, width, wrap, write
from foundation.pictures.tiles import FAINT, INK, PAPER, RULE, fit_into

BEST_TINT: Final = (236, 242, 230)
"""Behind the columns of the winner, so that they are seen at a glance."""
CHOSEN: Final = (53, 117, 31)
"""The frame of what was chosen."""
SHEET_MARGIN: Final = 24
GAP: Final = 6
WIDE_GAP: Final = 18
CAPTION_WIDTH: Final = 210
STRENGTH_WIDTH: Final = 96
FRAME: Final = 3
TEXT, SMALL, TITLE, STRENGTH = 14, 12, 22, 18
_LINE: Final = 6
"""Pixels between the lines of a text."""
_CAPTION_LINES: Final = 2
"""Under a picture."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Real:
    """A picture of the data set, and what its caption says."""

    picture: Image.Image
    caption: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """A prompt with the base's and the winner's pictures of it, seed by seed, and a real picture that is like it."""

    prompt: str
    base: Sequence[Image.Image]
    best: Sequence[Image.Image]
    real: Real | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """What stands over a column of a sheet side by side."""

    name: str
    notes: Sequence[str] = ()
    """A line each, in small."""
    won: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Block:
    """A prompt with pictures of it: a row for each strength, in it one for each checkpoint."""

    prompt: str
    pictures: Sequence[Sequence[Image.Image]]


def contact_sheet(title: str, subtitle: str, seeds: Sequence[int], rows: Sequence[Row], tile: int = 192) -> Image.Image:
    """Return a sheet with a row a prompt: a real picture, and for each seed the base's beside the winner's.

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
    pair, has_real = 2 * tile + GAP, any(row.real for row in rows)
    real_left = SHEET_MARGIN + CAPTION_WIDTH + WIDE_GAP
    first = real_left + (tile + WIDE_GAP if has_real else 0)
    lefts = [first + number * (pair + WIDE_GAP) for number in range(len(seeds))]
    texts = [text for row in rows for text in (row.prompt, row.real.caption if row.real else "")]
    page = _Page(title, [subtitle, missing_words(texts)], lefts[-1] + pair + SHEET_MARGIN, heads=52)
    step = tile + WIDE_GAP + (_CAPTION_LINES * (SMALL + _LINE) if has_real else 0)
    pen = page.begin(len(rows) * step - WIDE_GAP)
    for seed, left in zip(seeds, lefts, strict=True):
        _head_of_pair(pen, seed, left, page.top, tile, page.bottom)
    if has_real:
        write(pen, (real_left + tile // 2, page.top - 9), "real", TEXT, INK, "ms")
    for number, row in enumerate(rows):
        top = page.top + number * step
        if number:
            pen.line((SHEET_MARGIN, top - WIDE_GAP // 2, page.width - SHEET_MARGIN, top - WIDE_GAP // 2), fill=RULE)
        _caption(pen, number, row.prompt, (SHEET_MARGIN, top), tile)
        if row.real:
            _real(page.sheet, pen, row.real, (real_left, top), tile)
        for left, base, best in zip(lefts, row.base, row.best, strict=True):
            page.sheet.paste(fit_into(base, tile), (left, top))
            page.sheet.paste(fit_into(best, tile), (left + tile + GAP, top))
    return page.sheet


def strength_sheet(
    title: str,
    subtitle: str,
    strengths: Mapping[float, str],
    columns: Sequence[str],
    blocks: Sequence[Block],
    chosen: tuple[float, str],
    tile: int = 128,
) -> Image.Image:
    """Return a sheet with a row a strength, a column a checkpoint and a block a prompt, side by side; `chosen` is
    framed.

    `strengths` are what stands at the rows, with the score that the chosen checkpoint has at each; `title` and
    `subtitle` stand above, `columns` say which checkpoint, such as `step 40`. Pictures are `tile` pixels wide.

    Raises:
        ValueError: a block has not a picture for each strength and column, or there are no blocks.
    """
    for block in blocks:
        if [len(row) for row in block.pictures] != [len(columns)] * len(strengths):
            raise ValueError(f"{block.prompt!r} must have {len(strengths)} rows of {len(columns)} pictures")
    if not blocks:
        raise ValueError("a sheet of strengths wants prompts, got none")
    step = tile + GAP
    inner = len(columns) * step - GAP
    lefts = [SHEET_MARGIN + STRENGTH_WIDTH + number * (inner + WIDE_GAP) for number in range(len(blocks))]
    prompts = [wrap(legible(block.prompt, f"prompt {n}"), TEXT, inner, 4) for n, block in enumerate(blocks, start=1)]
    heads = 8 + max(map(len, prompts)) * (TEXT + _LINE) + 32
    subtitles = [subtitle, missing_words(block.prompt for block in blocks)]
    page = _Page(title, subtitles, lefts[-1] + inner + SHEET_MARGIN, heads)
    pen = page.begin(len(strengths) * step - GAP)
    write(pen, (SHEET_MARGIN, page.top - 26), "strength", TEXT, INK, "ls")
    write(pen, (SHEET_MARGIN, page.top - 10), "score", SMALL, FAINT, "ls")
    for row, (strength, note) in enumerate(strengths.items()):
        middle = page.top + row * step + tile // 2
        write(pen, (SHEET_MARGIN, middle - 2), f"{strength:g}", STRENGTH, INK, "ls")
        write(pen, (SHEET_MARGIN, middle + SMALL + 6), note, SMALL, FAINT, "ls")
    for left, block, lines in zip(lefts, blocks, prompts, strict=True):
        for number, line in enumerate(lines):
            write(pen, (left, page.top - heads + 8 + number * (TEXT + _LINE)), line, TEXT, INK)
        pen.line((left, page.top - 26, left + inner, page.top - 26), fill=RULE)
        for column, words in enumerate(columns):
            place = (left + column * step + tile // 2, page.top - 8)
            write(pen, place, shorten(words, SMALL, tile), SMALL, INK if words == chosen[1] else FAINT, "ms")
            for row, strength in enumerate(strengths):
                x, y = left + column * step, page.top + row * step
                if (strength, words) == chosen:
                    pen.rectangle((x - FRAME, y - FRAME, x + tile + FRAME - 1, y + tile + FRAME - 1), fill=CHOSEN)
                page.sheet.paste(fit_into(block.pictures[row][column], tile), (x, y))
    return page.sheet


def side_by_side(
    title: str,
    subtitle: str,
    columns: Sequence[Column],
    rows: Mapping[str, Sequence[Image.Image]],
    reals: Sequence[Real] = (),
    tile: int = 192,
) -> Image.Image:
    """Return a sheet with a row a prompt and a picture of it under each column's head; those that won are framed.

    `columns` have a picture each in every one of `rows`, which are by prompt; `reals` are real pictures, one a row, in
    a column of their own before the others. `title` and `subtitle` stand above. Pictures are `tile` pixels wide.

    Raises:
        ValueError: a row has not a picture for each column, or there are none.
    """
    if not rows or not columns or any(len(row) != len(columns) for row in rows.values()):
        raise ValueError(f"a sheet side by side wants a picture for each of {len(columns)} columns in every row")
    step, real_left = tile + WIDE_GAP, SHEET_MARGIN + CAPTION_WIDTH + WIDE_GAP
    first = real_left + (step if reals else 0)
    heads = TEXT + max(len(column.notes) for column in columns) * (SMALL + _LINE) + 22
    subtitles = [subtitle, missing_words([*rows, *(real.caption for real in reals)])]
    page = _Page(title, subtitles, first + len(columns) * step - WIDE_GAP + SHEET_MARGIN, heads)
    height = step + (_CAPTION_LINES * (SMALL + _LINE) if reals else 0)
    pen = page.begin(len(rows) * height - WIDE_GAP)
    if reals:
        write(pen, (real_left, page.top - heads + 6), "real", TEXT, INK)
    for number, column in enumerate(columns):
        left, top = first + number * step, page.top - heads + 6
        if column.won:
            pen.rectangle(
                (left - GAP, top - GAP, left + tile + GAP - 1, page.bottom - SHEET_MARGIN + GAP), fill=BEST_TINT
            )
        write(pen, (left, top), column.name, TEXT, CHOSEN if column.won else INK)
        for line, words in enumerate(column.notes):
            write(pen, (left, top + TEXT + 6 + line * (SMALL + _LINE)), shorten(words, SMALL, tile), SMALL, FAINT)
    for number, (prompt, pictures) in enumerate(rows.items()):
        top = page.top + number * height
        _caption(pen, number, prompt, (SHEET_MARGIN, top), tile)
        if reals:
            _real(page.sheet, pen, reals[number], (real_left, top), tile)
        for place, (column, picture) in enumerate(zip(columns, pictures, strict=True)):
            left = first + place * step
            if column.won:
                pen.rectangle((left - FRAME, top - FRAME, left + tile + FRAME - 1, top + tile + FRAME - 1), fill=CHOSEN)
            page.sheet.paste(fit_into(picture, tile), (left, top))
    return page.sheet


class _Page:
    """A sheet of paper with its title, and room for heads of columns above `top`."""

    def __init__(self, title: str, subtitles: Sequence[str], wanted: int, heads: int) -> None:
        self._title = legible(title, "a study")
        self.width = max(wanted, min(width(self._title, TITLE), 2 * wanted) + 2 * SHEET_MARGIN)
        self._lines = [line for text in subtitles for line in wrap(text, SMALL, self.width - 2 * SHEET_MARGIN, 3)]
        self.top = SHEET_MARGIN + TITLE + 12 + len(self._lines) * (SMALL + _LINE) + heads

    def begin(self, height: int) -> ImageDraw.ImageDraw:
        """Make the sheet, `height` pixels of which come under `top`."""
        self.bottom = self.top + height + SHEET_MARGIN
        self.sheet = Image.new("RGB", (self.width, self.bottom), PAPER)
        pen = ImageDraw.Draw(self.sheet)
        write(
            pen,
            (SHEET_MARGIN, SHEET_MARGIN - 4),
            shorten(self._title, TITLE, self.width - 2 * SHEET_MARGIN),
            TITLE,
            INK,
        )
        for number, line in enumerate(self._lines):
            write(pen, (SHEET_MARGIN, SHEET_MARGIN + TITLE + 8 + number * (SMALL + _LINE)), line, SMALL, FAINT)
        return pen


def _head_of_pair(pen: ImageDraw.ImageDraw, seed: int, left: int, head: int, tile: int, bottom: int) -> None:
    middle = left + tile + GAP // 2
    write(pen, (middle, head - 34), f"seed {seed}", SMALL, FAINT, "ms")
    pen.line((left, head - 28, left + 2 * tile + GAP, head - 28), fill=RULE)
    best = left + tile + GAP
    pen.rectangle((best - GAP // 2, head - 26, best + tile + GAP // 2, bottom - SHEET_MARGIN + GAP), fill=BEST_TINT)
    write(pen, (left + tile // 2, head - 9), "base", TEXT, INK, "ms")
    write(pen, (best + tile // 2, head - 9), "best", TEXT, INK, "ms")


def _caption(pen: ImageDraw.ImageDraw, number: int, text: str, place: tuple[int, int], height: int) -> None:
    """A prompt beside its pictures, in the middle of their height; of one that no font here can write, its number."""
    line = TEXT + _LINE
    lines = wrap(legible(text, f"prompt {number + 1}"), TEXT, CAPTION_WIDTH, height // line)
    top = place[1] + max(0, (height - len(lines) * line) // 2)
    for row, words in enumerate(lines):
        write(pen, (place[0], top + row * line), words, TEXT, INK)


def _real(sheet: Image.Image, pen: ImageDraw.ImageDraw, real: Real, place: tuple[int, int], tile: int) -> None:
    """A real picture, and its caption in small under it."""
    sheet.paste(fit_into(real.picture, tile), place)
    for row, words in enumerate(wrap(real.caption, SMALL, tile, _CAPTION_LINES)):
        write(pen, (place[0], place[1] + tile + 3 + row * (SMALL + _LINE)), words, SMALL, FAINT)
