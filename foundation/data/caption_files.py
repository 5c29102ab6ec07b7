"""Caption files that lie beside images: `a.txt`, `a.caption` or `a.json` of `a.png`, in whatever case."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Final

from foundation.data.metadata import CaptionColumn
from foundation.data.text_files import read_text
from foundation.errors import DataError
from foundation.files.documents import parse_json

BESIDE: Final = (".txt", ".caption", ".json")
"""The first that is there counts."""


class CaptionFiles:
    """Those of one folder."""

    def __init__(self, folder: Path, texts: Iterable[str], column: CaptionColumn) -> None:
        self._folder, self._column = folder, column
        self._texts = frozenset(texts)
        self._lower = {text.lower(): text for text in sorted(texts, reverse=True)}
        self.of_lines: list[str] = []
        """Those read that had several lines."""

    def file_of(self, image: str) -> str | None:
        """The name of an image's caption file; None without one."""
        stem = str(PurePosixPath(image).with_suffix(""))
        for suffix in BESIDE:
            if (exact := f"{stem}{suffix}") in self._texts:
                return exact
            if found := self._lower.get(f"{stem}{suffix}".lower()):
                return found
        return None

    def read(self, image: str) -> tuple[str | None, str | None]:
        """The caption file and what it says, on one line; twice None without one."""
        name = self.file_of(image)
        if name is None:
            return None, None
        text = read_text(self._folder / name)
        if name.lower().endswith(".json"):
            return name, self._in_json(self._folder / name, text)
        if len([line for line in text.split("\n") if line.strip()]) > 1:
            self.of_lines.append(name)
        return name, " ".join(text.split())

    def _in_json(self, file: Path, text: str) -> str:
        """Of webdataset's `.json`: the caption column's value, or that of "caption" where there is no such column."""
        try:
            value = parse_json(text, str(file))
        except DataError as error:
            raise DataError(f'{error}; write {{"{self._column.name}": "a caption"}}') from error
        row = value if isinstance(value, dict) else {}
        name = "caption" if self._column.name not in row and "caption" in row else self._column.name
        return " ".join(CaptionColumn(name, self._column.knobs).of(row, str(file)).split())
