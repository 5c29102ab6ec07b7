"""Markdown around text that is somebody's: a caption, a name, a path. None of it becomes a tag, a link or a column."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Final

_MARKS: Final = re.compile(r"([\\`*\[\]<>&|~$#])|(?<![^\W_])_|_(?![^\W_])")
"""What Markdown, HTML in it, or mathematics in it, may read; an underscore within a word is none."""


def plain_markdown(text: str) -> str:
    """Text on one line that is read as it is written."""
    return _MARKS.sub(lambda mark: f"\\{mark[0]}", " ".join(text.split()))


def code(text: str) -> str:
    """Text on one line as code, between more backticks than it holds."""
    line = " ".join(text.split())
    fence = "`" * (1 + max(map(len, re.findall("`+", line)), default=0))
    space = " " if line[:1] in ("`", "") or line[-1:] == "`" else ""
    return f"{fence}{space}{line}{space}{fence}"


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]], right: Collection[int] = ()) -> str:
    """A table of cells in Markdown; a bar ends no cell, in code neither. Columns in `right` are flush right."""
    rule = ["---:" if column in right else "---" for column in range(len(head))]
    return "\n".join("| " + " | ".join(map(_cell, row)) + " |" for row in (head, rule, *rows))


def _cell(text: str) -> str:
    return " ".join(re.sub(r"(?<!\\)\|", r"\\|", text).split())
