"""Which pictures a folder holds and what is said of each, in any of the ways that the field writes it down.

Told apart by looking, the first that fits:

    metadata.jsonl, metadata.csv, metadata.parquet    a row for each image: file_name and a caption column
    N_concept folders                                 kohya's: N repeats; `.txt` beside an image, or else the concept
    a.png with a.txt, a.caption or a.json             a caption file beside each image, at any depth (webdataset, too)
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from foundation.errors import DataError
from foundation.images import SUFFIXES
from foundation.tables import read_rows

METADATA: Final = ("metadata.jsonl", "metadata.csv", "metadata.parquet")
BESIDE: Final = (".txt", ".caption")
_CONCEPT: Final = re.compile(r"([1-9]\d{0,2})_(.+)")
"""kohya's folders: a year such as 2024_summer is none."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One image of a folder by its name there, what is said of it, and how often it comes in an epoch."""

    name: str
    caption: str
    repeats: int = 1


@dataclass(frozen=True, slots=True)
class _Asked:
    """The folder and how messages speak of it; see `foundation.folder.read_folder`."""

    folder: Path
    column: str
    where: str
    knobs: str
    allow_missing: bool = False

    @property
    def shape(self) -> str:
        return f'{{"file_name": "a.png", "{self.column}": "a caption"}}'


def read_captions(
    folder: Path, column: str, where: str, knobs: str = "", *, allow_missing: bool = False
) -> list[Entry]:
    """Return an entry for each captioned image, in the order of the table or by name; never none.

    With `allow_missing`, images without a caption file beside them have an empty caption.

    Raises:
        DataError: where nothing fits, a row cannot be read, or an image lacks its caption.
    """
    asked = _Asked(folder, column, where, knobs, allow_missing)
    for name in METADATA:
        if (folder / name).is_file():
            return _of_table(asked, folder / name)
    if concepts := concept_folders(folder):
        return [entry for concept in concepts for entry in _of_concept(asked, concept)]
    images = list(images_below(folder))
    if any(allow_missing or _caption_beside(image, column) is not None for image in images):
        return list(_of_files(asked, images))
    found = f"it holds {len(images)} images but no {METADATA[0]} and no .txt files" if images else "it holds no images"
    more = "; `python -m train.prepare` writes captions" if images else ""
    raise DataError(f"{where} {folder}: {found}; write one line {asked.shape} for each image{more}")


def images_below(folder: Path) -> Iterator[Path]:
    """Every image file in a folder and those below it, by name; what is hidden is passed over."""
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith((".", "__MACOSX")) for part in path.relative_to(folder).parts)
        if path.suffix.lower() in SUFFIXES and path.is_file() and not hidden:
            yield path


def concept_folders(folder: Path) -> list[Path]:
    """kohya's `N_concept` folders with images in a folder."""
    below = sorted(path for path in folder.iterdir() if path.is_dir() and _CONCEPT.fullmatch(path.name))
    return [path for path in below if any(images_below(path))]


def _of_concept(asked: _Asked, folder: Path) -> Iterator[Entry]:
    match = _CONCEPT.fullmatch(folder.name)
    assert match is not None
    for image in images_below(folder):
        caption = _caption_beside(image, asked.column)
        said = match[2].replace("_", " ").strip() if caption is None else caption
        yield Entry(str(image.relative_to(asked.folder)), said, int(match[1]))


def _of_files(asked: _Asked, images: Iterable[Path]) -> Iterator[Entry]:
    captions = {image: _caption_beside(image, asked.column) for image in images}
    missing = [str(image.relative_to(asked.folder)) for image, caption in captions.items() if caption is None]
    if missing and not asked.allow_missing:
        names = _some(missing)
        raise DataError(
            f"{asked.where} {asked.folder}: {len(missing)} images have no caption file beside them: {names}; "
            f"write {Path(missing[0]).with_suffix('.txt')}, or move them elsewhere"
        )
    for image, caption in captions.items():
        yield Entry(str(image.relative_to(asked.folder)), caption or "")


def _caption_beside(image: Path, column: str) -> str | None:
    """What the file beside an image says, on one line; None without one."""
    for suffix in BESIDE:
        if (file := image.with_suffix(suffix)).is_file():
            return " ".join(_text_of(file).split())
    if (file := image.with_suffix(".json")).is_file():
        return _caption_in_json(file, column)
    return None


def _caption_in_json(file: Path, column: str) -> str:
    """Of webdataset's `.json`: the caption column's value, or that of "caption" where there is no such column."""
    try:
        value = json.loads(_text_of(file))
    except json.JSONDecodeError as error:
        raise DataError(f'{file} is not JSON: {error}; write {{"{column}": "a caption"}}') from error
    entry = value if isinstance(value, dict) else {}
    caption = entry.get(column, entry.get("caption"))
    if not isinstance(caption, str):
        keys = ", ".join(sorted(entry)) or "none"
        raise DataError(f'{file} has no caption "{column}" (its keys: {keys}); name it by data.caption_column')
    return " ".join(caption.split())


def _of_table(asked: _Asked, file: Path) -> list[Entry]:
    entries: dict[str, Entry] = {}
    for where, row in _ROWS[file.suffix](asked, file):
        entry = _entry(asked, row, where)
        if entries.get(entry.name, entry) != entry:
            raise DataError(f"{where} gives {entry.name} another caption than before; keep one line for each image")
        entries[entry.name] = entry
    if missing := [name for name in entries if not _is_there(asked.folder / name)]:
        raise DataError(
            f"{file} has captions for files that are not there: {_some(missing)}; add the files or remove the lines"
        )
    if not entries:
        raise DataError(f"{file} is empty; write one line {asked.shape} for each image")
    return list(entries.values())


def _rows_of_jsonl(asked: _Asked, file: Path) -> Iterator[tuple[str, object]]:
    # splitlines() would also cut at U+2028 in a caption
    for number, line in enumerate(_text_of(file).split("\n"), start=1):
        if line.strip():
            try:
                yield f"{file}:{number}", json.loads(line)
            except (json.JSONDecodeError, RecursionError) as error:
                raise DataError(f"{file}:{number} is not JSON: {error}; write {asked.shape}") from error


def _rows_of_csv(asked: _Asked, file: Path) -> Iterator[tuple[str, object]]:
    reader = csv.DictReader(_text_of(file).splitlines(keepends=True), strict=True)
    try:
        for row in reader:
            yield f"{file}:{reader.line_num}", {key: value for key, value in row.items() if value is not None}
    except csv.Error as error:
        raise DataError(f"{file}:{reader.line_num + 1} is not CSV: {error}; write file_name,{asked.column}") from error


def _rows_of_parquet(asked: _Asked, file: Path) -> Iterator[tuple[str, object]]:
    for number, row in enumerate(read_rows(file), start=1):
        yield f"{file} row {number}", row


_ROWS: Final = {".jsonl": _rows_of_jsonl, ".csv": _rows_of_csv, ".parquet": _rows_of_parquet}


def _entry(asked: _Asked, row: object, where: str) -> Entry:
    column = asked.column
    if not isinstance(row, Mapping) or not isinstance(row.get("file_name"), str):
        raise DataError(f'{where} has no "file_name"; write {asked.shape}')
    if not isinstance(row.get(column), str):
        keys = ", ".join(sorted(str(key) for key in row if key != "file_name")) or "none"
        way = f"name it by {asked.knobs}.caption_column" if asked.knobs else f"write {asked.shape}"
        raise DataError(f'{where} has no caption "{column}" (other keys: {keys}); {way}')
    name = str(row["file_name"])
    if any("\ud800" <= letter <= "\udfff" for letter in name + str(row[column])):
        raise DataError(f"{where} holds half a character (a lone surrogate), which is no text; write it anew")
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise DataError(f"{where} names {name}, which is outside its folder; keep images inside")
    return Entry(name, str(row[column]).strip())


def _text_of(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{file} is not UTF-8 ({error}); save it as UTF-8") from error


def _is_there(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that no file can have
        return False


def _some(names: list[Any]) -> str:
    return ", ".join(names[:5]) + (" …" if len(names) > 5 else "")


def captioned(caption: str, trigger: str) -> str:
    """The caption, with the trigger at its end where it lacks it."""
    if not trigger or trigger.lower() in caption.lower():
        return caption
    return f"{caption}, {trigger}" if caption else trigger
