"""How a command speaks to a person: plain text, as it is. No other module prints.

Names, captions and paths come from users and may hold anything: `[/a]`, `%41`, `{}`, quotes, control characters, half a
character. None of it is markup here, and no line is broken that a person may want to copy.
"""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Collection, Sequence
from typing import Final, TextIO

from rich.cells import cell_len

from foundation.json_output import note_error

_KEPT: Final = "\n\t"
_DIRECTION: Final = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Turn what follows the other way round, so that a line reads as another one."""
_GAP: Final = "  "


def say(*lines: str, to: TextIO | None = None) -> None:
    """Print line by line, at once; to stdout by default."""
    for line in lines:
        _write(to or sys.stdout, line)


def complain(problem: object) -> None:
    """Print what went wrong to stderr, `error: ` before each of its lines."""
    for line in str(problem).splitlines() or [type(problem).__name__]:
        _write(sys.stderr, f"error: {line}")
        note_error(line)


def printable(text: str) -> str:
    """Text that does nothing to a terminal: control characters, and half of a surrogate pair, as escapes."""
    return "".join(
        char.encode("unicode_escape").decode() if _is_unsafe(char) and char not in _KEPT else char for char in text
    )


def columns(head: Sequence[str], rows: Sequence[Sequence[str]], right: Collection[int] = ()) -> list[str]:
    """Lines of a table, its head first; columns whose numbers are in `right` are flush right. Wide characters count."""
    widths = [max(map(cell_len, cells)) for cells in zip(head, *rows, strict=True)]
    lines = []
    for row in (head, *rows):
        cells = (_pad(cell, widths[number], number in right) for number, cell in enumerate(row))
        lines.append(_GAP.join(cells).rstrip())
    return lines


def _pad(cell: str, width: int, right: bool) -> str:
    space = " " * (width - cell_len(cell))
    return space + cell if right else cell + space


def _is_unsafe(char: str) -> bool:
    return unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") or char in _DIRECTION


def _write(stream: TextIO, line: str) -> None:
    encoding = stream.encoding or "utf-8"
    text = printable(line).encode(encoding, "backslashreplace").decode(encoding)  # an ASCII terminal has no dashes
    stream.write(f"{text}\n")
    stream.flush()
