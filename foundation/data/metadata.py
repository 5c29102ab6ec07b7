"""Tables of captions: `metadata.jsonl`, `.csv`, `.tsv` or `.parquet`, a row for each picture."""

from __future__ import annotations

import csv
import json
import os.path
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from foundation.data.left_out import cut, first_names
from foundation.data.tables import read_rows
from foundation.data.text_files import read_text
from foundation.errors import DataError
from foundation.files.documents import parse_json

METADATA: Final = ("metadata.jsonl", "metadata.csv", "metadata.tsv", "metadata.parquet")
_ADDRESS: Final = re.compile(r"\w+://")
_DELIMITERS: Final = (",", ";", "\t")
_EXCEL: Final = re.compile(r"\Asep=.\n", re.IGNORECASE)
"""A first line that tells Excel what parts fields."""


@dataclass(frozen=True, slots=True)
class CaptionColumn:
    """Where the caption stands in a row, and how messages tell a person to name it."""

    name: str
    knobs: str
    """The group of settings that has `caption_column`; "" where a person has none."""

    @property
    def shape(self) -> str:
        """What a row should be."""
        return f'{{"file_name": "a.png", "{self.name}": "a caption"}}'

    def of(self, row: Mapping[str, object], where: str) -> str:
        """The caption of a row.

        Raises:
            DataError: when the row has no such key, or something else than a text there.
        """
        value = row.get(self.name)
        if isinstance(value, str):
            return value.strip()
        if self.name in row:
            raise DataError(f'{where} has {_what(value)} for its caption "{self.name}"; write one text{_none(value)}')
        others = sorted(str(key) for key in row if key != "file_name")
        texts = [key for key in others if isinstance(row[key], str)]
        way = f"write {self.shape}"
        if self.knobs:
            way = f"name it by {self.knobs}.caption_column" + (f"={texts[0]}" if len(texts) == 1 else "")
        raise DataError(f'{where} has no caption "{self.name}" (other keys: {first_names(others, 8) or "none"}); {way}')


@dataclass(slots=True)
class CaptionRows:
    """What a table says."""

    captions: dict[str, str] = field(default_factory=dict)
    """By the picture's name in the folder, in the table's order."""
    repeated: list[str] = field(default_factory=list)
    """Names of pictures that a second line gives the same caption as the first."""


def read_table(file: Path, folder: Path, images: Sequence[str], column: CaptionColumn) -> CaptionRows:
    """Read a table whose names count from its own folder, which lies in `folder`; `images` are what is there.

    A name may be written as Windows writes it, in another case than the file's, or in full.

    Raises:
        DataError: for a row that cannot be read, a picture outside the folder or not there, or two captions of one.
    """
    names, rows, missing = _Names(file.parent, folder, images), CaptionRows(), list[str]()
    for where, row in _READERS[file.suffix.lower()](file, column):
        if not isinstance(row, Mapping) or not isinstance(row.get("file_name"), str):
            raise DataError(f'{where} has no "file_name"; write {column.shape}')
        written, caption = row["file_name"], column.of(row, where)
        if any("\ud800" <= letter <= "\udfff" for letter in written + caption):
            raise DataError(f"{where} holds half a character (a lone surrogate), which is no text; write it anew")
        name = names.find(written, where)
        if name is None:
            missing.append(written)
            name = written
        if rows.captions.get(name, caption) != caption:
            raise DataError(f"{where} gives {name} another caption than before; keep one line for each image")
        if name in rows.captions:
            rows.repeated.append(name)
        else:
            rows.captions[name] = caption
    if missing:
        raise DataError(
            f"{file} has captions for files that are not there: {first_names(list(dict.fromkeys(missing)), 5)}; "
            f"{names.hint(missing[0])}add the files or remove the lines"
        )
    if not rows.captions:
        raise DataError(f"{file} is empty; write one line {column.shape} for each image")
    return rows


class _Names:
    """Finds which picture a row means."""

    def __init__(self, home: Path, folder: Path, images: Sequence[str]) -> None:
        self._home, self._folder = home, folder
        self._images = frozenset(images)
        self._alike: dict[str, list[str]] = {}
        for image in images:
            self._alike.setdefault(_alike(image), []).append(image)

    def find(self, written: str, where: str) -> str | None:
        """The name in the folder; None for a file that is not there.

        Raises:
            DataError: for no name at all, an address, or a place outside the table's folder.
        """
        if not written.strip():
            raise DataError(f'{where} has an empty "file_name"; write the name of its image, or remove the line')
        if "\0" in written:
            raise DataError(f'{where} has a zero byte in its "file_name", which no file can have; write it anew')
        if _ADDRESS.match(written):
            raise DataError(f"{where} names {cut(written)}, an address; fetch it, and name the file beside the table")
        for spelt in dict.fromkeys((written, written.strip(), written.strip().replace("\\", "/"))):
            if (name := self._inside(spelt, where)) is not None and (found := self._there(name)) is not None:
                return found
        return None

    def _inside(self, written: str, where: str) -> str | None:
        """The place in the folder that a name means."""
        home = Path(os.path.normpath(self._home.absolute()))
        path = Path(os.path.normpath(home / written))  # resolve() would follow links that lie inside
        for place, root in ((path, home), (path, home.resolve()), (path.resolve(), home.resolve())):
            if place.is_relative_to(root):
                below = self._home.relative_to(self._folder) / place.relative_to(root)
                return below.as_posix()
        raise DataError(f"{where} names {cut(written)}, which is outside its folder; keep images inside")

    def _there(self, name: str) -> str | None:
        if name in self._images or _is_file(self._folder / name):
            return name
        alike = self._alike.get(_alike(name), [])
        return alike[0] if len(alike) == 1 else None

    def hint(self, written: str) -> str:
        """Where a picture of a missing one's name lies instead."""
        last = _alike(written.replace("\\", "/")).rpartition("/")[2]
        others = [image for image in sorted(self._images) if _alike(image).rpartition("/")[2] == last]
        return f"{others[0]} is there, and names count from the table's folder; " if others else ""


def _alike(name: str) -> str:
    """What names share that differ in case only, or in how accents are written."""
    return unicodedata.normalize("NFC", name).casefold()


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that no file can have
        return False


def _rows_of_jsonl(file: Path, column: CaptionColumn) -> Iterator[tuple[str, object]]:
    # splitlines() would also cut at U+2028 in a caption
    for number, line in enumerate(read_text(file).split("\n"), start=1):
        if line.strip():
            try:
                yield f"{file}:{number}", parse_json(line, f"{file}:{number}")
            except DataError as error:
                raise DataError(f"{error}; write {column.shape}") from error


def _rows_of_csv(file: Path, column: CaptionColumn) -> Iterator[tuple[str, object]]:
    text = _EXCEL.sub("\n", read_text(file).lstrip())
    head = text.lstrip().partition("\n")[0]
    delimiter = max(_DELIMITERS, key=head.count)
    lines = csv.reader(re.findall(r"[^\n]*\n|[^\n]+", text), delimiter=delimiter, strict=True, skipinitialspace=True)
    header: list[str] = []
    try:
        for fields in lines:
            where = f"{file}:{lines.line_num}"
            if not any(each.strip() for each in fields):
                continue
            if not header:
                header = _header(fields, where, column)
            elif wrong := _misfit(fields, header, delimiter):
                raise DataError(f"{where} has {wrong}")
            else:
                yield where, dict(zip(header, fields, strict=False))
    except csv.Error as error:
        raise DataError(f"{file}:{lines.line_num} is not CSV: {error}; write file_name,{column.name}") from error


def _header(fields: Sequence[str], where: str, column: CaptionColumn) -> list[str]:
    header = [each.strip() for each in fields]
    if "file_name" not in header:
        raise DataError(
            f'{where} has no "file_name" among its columns ({first_names(header, 8)}); '
            f"the first line names them: file_name,{column.name}"
        )
    named = [each for each in header if each]
    if len(set(named)) < len(named):
        raise DataError(f"{where} names a column twice ({first_names(header, 8)}); keep one of each")
    return header


def _misfit(fields: Sequence[str], header: Sequence[str], delimiter: str) -> str:
    """What is wrong with how many fields a row has; empty ones at the end, as Excel writes them, are nothing."""
    named = header[: max(number for number, name in enumerate(header, start=1) if name)]
    fits = f"{len(fields)} field{'' if len(fields) == 1 else 's'}, the header {len(named)} ({first_names(named, 8)})"
    if len(fields) < len(named):
        return f"{fits}; part them by {_NAMES[delimiter]}, as the header's are"
    if any(each.strip() for each in fields[len(named) :]):
        way = f'a.png{delimiter}"a cup{delimiter} red"'
        return f"{fits}; put a text that holds {_NAMES[delimiter]} into quotes: {way}"
    return ""


def _rows_of_parquet(file: Path, column: CaptionColumn) -> Iterator[tuple[str, object]]:
    for number, row in enumerate(read_rows(file), start=1):
        yield f"{file} row {number}", row


_READERS: Final = {
    ".jsonl": _rows_of_jsonl,
    ".csv": _rows_of_csv,
    ".tsv": _rows_of_csv,
    ".parquet": _rows_of_parquet,
}
_NAMES: Final = {",": "commas", ";": "semicolons", "\t": "tabs"}


def _what(value: object) -> str:
    """A value that is no text, in words."""
    if value is None:
        return "null"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}"
    if isinstance(value, bool | int | float):
        return f"{json.dumps(value)}, which is no text,"
    return f"a {'mapping' if isinstance(value, Mapping) else type(value).__name__}"


def _none(value: object) -> str:
    return ', or "" for none' if value is None else ""
