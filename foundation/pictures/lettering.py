"""Text on pictures: in fonts that have its characters, measured, broken into lines, cut where it is too long."""

from __future__ import annotations

import itertools
import unicodedata
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Final

import matplotlib
from matplotlib.font_manager import findSystemFonts
from matplotlib.ft2font import FT2Font
from PIL import ImageDraw, ImageFont

CUT: Final = "…"
"""Stands for what is left out: the end of a text that is too long, characters that no font here has."""
_ENDS: Final = frozenset("、。，．：；？！）］｝〉》」』】〕〗〙〛”’…‥・ー々")
"""Marks of Chinese and Japanese that stand at no line's beginning (JIS X 4051)."""
_VARIANTS: Final = frozenset(map(chr, range(0xFE00, 0xFE10)))
"""Choose how the character before them looks."""


def width(text: str, size: int) -> int:
    """Pixels that a line takes."""
    return round(sum(_font(file, size).getlength(run) for file, run in _runs(text)))


def write(
    pen: ImageDraw.ImageDraw,
    place: tuple[int, int],
    text: str,
    size: int,
    fill: tuple[int, int, int],
    anchor: str = "la",
) -> None:
    """Write one line of `text` with `pen`, `size` pixels high, in the colour `fill`, at `place`.

    `anchor` is what of the line is there, as Pillow's: left or middle (`l`, `m`), ascender or baseline (`a`, `s`).
    """
    x, y = float(place[0]), place[1]
    if anchor[0] == "m":
        x -= width(text, size) / 2
    if anchor[1] == "a":
        y += _font(_dejavu(), size).getmetrics()[0]
    for file, run in _runs(text):
        font = _font(file, size)
        pen.text((x, y), run, fill=fill, font=font, anchor="ls")
        x += font.getlength(run)


def wrap(text: str, size: int, room: int, most: int | None = None) -> list[str]:
    """Lines no wider than `room` pixels, at most so many; what does not fit is cut off, and the last ends in dots.

    Breaks at spaces, between characters of scripts that have none, but before no mark that ends something, and within
    words that are too wide.
    """
    lines: list[str] = []
    for piece, glue in _pieces(legible(text), size, room):
        longer = f"{lines[-1]}{glue}{piece}" if lines else piece
        if lines and width(longer, size) <= room:
            lines[-1] = longer
        else:
            lines.append(piece)
    if most is None or len(lines) <= most:
        return lines
    return [*lines[: most - 1], shorten(" ".join(lines[most - 1 :]), size, room)]


def shorten(text: str, size: int, room: int) -> str:
    """The text in one line of `room` pixels, its end cut off where it must be."""
    text = legible(text)
    if width(text, size) <= room:
        return text
    while text and width(f"{text} {CUT}", size) > room:
        text = text[:-1]
    return f"{text.rstrip(' ,.')} {CUT}"


def legible(text: str, otherwise: str = CUT) -> str:
    """The text with white space made plain, and dots for runs of characters that no font here has.

    Marks that change others (joiners, variants of emoji) are left out. Of a text of which nothing can be drawn,
    `otherwise`.

    Fonts are DejaVu Sans, which comes with matplotlib (Latin, Greek, Cyrillic, Arabic, symbols, some emoji), and those
    of the system: Chinese, Japanese, Korean and other emoji can be drawn where it has an outline font for them.
    """
    known: list[str] = []
    for char in _letters_of(text):
        if char == " " or _file_of(char):
            known.append(char)
        elif known[-1:] != [CUT]:
            known.append(CUT)
    found = "".join(known)
    return found if found.strip(f"{CUT} ,.") or not text.strip(f"{CUT} ,.") else otherwise


def missing_words(texts: Iterable[str]) -> str:
    """What to say of characters of these texts that no font here has, which `legible` leaves out; empty without any."""
    missing = {char for text in texts for char in _letters_of(text) if char != " " and not _file_of(char)}
    scripts = sorted({_script_of(char) for char in missing})
    if not scripts:
        return ""
    return f"{CUT} stands for what no font here has: {', '.join(scripts)}. The Noto fonts have it."


def _letters_of(text: str) -> Iterator[str]:
    """The characters of a text that are to be seen, white space made plain."""
    for char in " ".join(text.split()):
        if unicodedata.category(char) not in ("Cf", "Cc") and char not in _VARIANTS:
            yield char


def _script_of(char: str) -> str:
    """What a character is of, by its name: `Devanagari`, `CJK`, `Hiragana`; a symbol is one."""
    if unicodedata.category(char)[0] not in "LMN":
        return "symbols"
    word = unicodedata.name(char, "unnamed").partition(" ")[0]
    return word if word == "CJK" else word.capitalize()


def _pieces(text: str, size: int, room: int) -> Iterator[tuple[str, str]]:
    """What a line may end after, each with what stands before it where it follows something in the same line."""
    for word in text.split():
        glue = " "
        for together, chars in itertools.groupby(word, key=lambda char: not _is_wide(char)):
            run = "".join(chars)
            for part in _cut(run, size, room) if together else _with_ends(run):
                yield part, glue
                glue = ""


def _with_ends(run: str) -> Iterator[str]:
    """The characters of a run, each with the marks behind it that begin no line."""
    piece = ""
    for char in run:
        if piece and char not in _ENDS:
            yield piece
            piece = ""
        piece += char
    yield piece


def _cut(word: str, size: int, room: int) -> Iterator[str]:
    """A word in parts that are no wider than `room`."""
    part = ""
    for char in word:
        if part and width(part + char, size) > room:
            yield part
            part = ""
        part += char
    yield part


def _is_wide(char: str) -> bool:
    """Whether a line may break before and after it, as in Chinese and Japanese."""
    return unicodedata.east_asian_width(char) in "WF"


def _runs(text: str) -> Iterator[tuple[Path, str]]:
    """Neighbours of the same font, with its file; a character that none has in the first font."""
    for file, chars in itertools.groupby(text, key=_file_of):
        yield file or _dejavu(), "".join(chars)


@cache
def _file_of(char: str) -> Path | None:
    """The first font that has the character; those of the system are listed and read only when needed."""
    if ord(char) in _characters(_dejavu()):
        return _dejavu()
    return next((file for file in _system_fonts() if ord(char) in _characters(file)), None)


@cache
def _characters(file: Path) -> frozenset[int]:
    """Code points that a font has outlines for; none where it cannot be read."""
    try:
        found = frozenset(FT2Font(str(file)).get_charmap())
        _font(file, 10)
    except (OSError, RuntimeError, ValueError):  # bitmaps alone, or no font
        return frozenset()
    return found


@cache
def _dejavu() -> Path:
    return Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans.ttf"


@cache
def _system_fonts() -> tuple[Path, ...]:
    files = [Path(file) for file in findSystemFonts()]
    return tuple(sorted(files, key=lambda file: ("Regular" not in file.name, str(file))))


@cache
def _font(file: Path, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(file, size)
