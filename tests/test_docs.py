"""What the documents point at is there: files, sections, footnotes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def anchors(text: str) -> set[str]:
    """The names by which links call a page's headings, as GitHub makes them."""
    heads = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("path", DOCS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    text = re.sub(r"```.*?```|`[^`\n]*`", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" not in target:
            file, _, section = target.partition("#")
            page = path.parent / file if file else path
            assert page.exists(), target
            assert not section or section in anchors(page.read_text(encoding="utf-8")), target


@pytest.mark.parametrize("path", DOCS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_footnote_is_called_and_there_once(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    there = re.findall(r"^\[\^(\w+)\]: \S", text, re.MULTILINE)
    assert len(there) == len(set(there))
    assert set(re.findall(r"\[\^(\w+)\](?!: )", text)) == set(there)


@pytest.mark.parametrize("path", DOCS, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_rows_of_a_table_are_as_long_as_its_head(path: Path) -> None:
    head = 0
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        cells = len(re.findall(r"(?<!\\)\|", re.sub(r"`[^`]*`", lambda code: code[0].replace("\\|", ""), line)))
        head = 0 if not line.startswith("|") else head or cells
        assert head in (0, cells), f"line {number}"
