"""Text of users in Markdown, read back by a reader of Markdown."""

from __future__ import annotations

import re

import pytest

from sweeper.results.markdown import code, markdown_table, plain_markdown
from tests.hostile_path import HOSTILE

TEXTS = (
    HOSTILE,
    "a | b",
    "`",
    "``a",
    "a`b``c",
    "<script>alert(1)</script>",
    "[x](http://y)",
    "_a_ snake_case __b__",
    "\\|",
    "$x$",
)


@pytest.mark.parametrize("text", TEXTS)
def test_plain_text_reads_as_it_was(text: str) -> None:
    said = plain_markdown(text)
    assert re.sub(r"\\([^\w\s])|\\(_)", r"\1\2", said) == text
    assert not re.search(r"(?<!\\)(\\\\)*[<`|*\[]", said)


@pytest.mark.parametrize("text", TEXTS)
def test_code_ends_where_it_should(text: str) -> None:
    """By CommonMark 6.1: between equal runs of backticks; one space at both ends goes."""
    found = (
        re.fullmatch(r"(`+)(?!`)(.*?[^`])\1", code(text))
        if not text.endswith("`")
        else re.fullmatch(r"(`+)(.*)\1", code(text))
    )
    assert found is not None
    inside = found[2]
    assert found[1] not in re.findall("`+", inside)
    assert (inside[1:-1] if inside.startswith(" ") and inside.endswith(" ") else inside) == text


def test_a_bar_ends_no_cell() -> None:
    lines = markdown_table(("a", "b"), [(plain_markdown("x | y"), code("u | v")), ("1", "2")], right=(1,)).splitlines()
    assert lines[1] == "| --- | ---: |"
    assert lines[2] == "| x \\| y | `u \\| v` |"
    assert all(len(re.findall(r"(?<!\\)\|", line)) == 3 for line in lines)
