"""Which pictures a folder holds and what is said of each, in any of the ways that the field writes it down.

Told apart by looking, the first that fits:

    metadata.jsonl, .csv, .tsv, .parquet    a row for each image: file_name and a caption column
    N_concept folders                       kohya's: N repeats; `.txt` beside an image, or else the concept
    a.png with a.txt, a.caption or a.json   a caption file beside each image, at any depth (webdataset, too)

Nothing is passed over silently: a file that is neither a picture of the set nor says what one shows is left out, and
counted under the reason why.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from foundation.config.keyed import as_override
from foundation.data.caption_files import CaptionFiles
from foundation.data.left_out import LeftOut, by_reason, first_names
from foundation.data.mask_names import is_label, is_mask, masks_of
from foundation.data.metadata import METADATA, CaptionColumn, read_table
from foundation.data.survey import Survey, survey
from foundation.errors import DataError

MOST_REPEATS: Final = 9999
_YEARS: Final = range(1900, 2100)
_CONCEPT: Final = re.compile(r"(\d+)_(.*)")
_TO_TRAIN: Final = frozenset({"train", "training"})
_TO_HOLD_OUT: Final = frozenset({"val", "valid", "validation", "dev", "test", "testing", "eval"})
MASKS: Final = "masks of other pictures (data.mask=beside uses them)"
"""Why masks beside pictures are left out, where nobody uses them."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One image of a folder by its name there, what is said of it, and how often it comes in an epoch."""

    name: str
    caption: str
    repeats: int = 1
    mask: str | None = None
    """The image beside it that is its mask."""


@dataclass(frozen=True, slots=True)
class Captions:
    """What a folder says."""

    entries: tuple[Entry, ...]
    """In the order of the table, or by name; never none, and each with 1 repeat or more."""
    left_out: tuple[LeftOut, ...]
    notes: tuple[str, ...]
    """What a person should know of how it was read, one line each."""


def read_captions(
    folder: Path,
    column: str,
    where: str,
    knobs: str = "",
    *,
    allow_missing: bool = False,
    apart: Mapping[Path, str] | None = None,
) -> Captions:
    """Read what a `folder` says of its pictures.

    Captions stand in the `column` of a table; `knobs` are the settings that choose it, and `where` the folder's role,
    both for messages. With `allow_missing`, images without a caption file beside them have an empty caption. Folders in
    `apart`, resolved, are left out for the reason given.

    Raises:
        DataError: where nothing fits, a row cannot be read, an image lacks its caption, or the folder is the one above
            those that can be read.
    """
    reader = _Reader(folder, CaptionColumn(column, knobs), f"{where} {folder}", survey(folder, apart), allow_missing)
    return reader.read()


def concept_of(name: str) -> tuple[int, str] | None:
    """Repeats and concept of one of kohya's folders; None for another name: a year, as 2024_summer, is no repeats."""
    match = _CONCEPT.fullmatch(name)
    if match is None or int(match[1]) > MOST_REPEATS or int(match[1]) in _YEARS:
        return None
    return int(match[1]), match[2].replace("_", " ").strip()


@dataclass(slots=True)
class _Found:
    """What one way of reading found."""

    entries: list[Entry]
    used: set[str]
    """Texts that were read."""
    left: list[tuple[str, str]]
    """Reason and name of images that are left out."""
    notes: list[str]
    table: str = ""
    """The table that lists the pictures; "" where there is none."""


class _Reader:
    """One folder being read."""

    def __init__(self, folder: Path, column: CaptionColumn, where: str, files: Survey, allow_missing: bool) -> None:
        self._folder, self._column, self._where, self._files = folder, column, where, files
        self._allow_missing = allow_missing
        self._beside = CaptionFiles(folder, files.texts, column)
        self._masks = {
            mask: image
            for mask, image in masks_of(files.images).items()
            if is_label(mask) or self._beside.file_of(mask) is None
        }
        self._images = [image for image in files.images if image not in self._masks]

    def read(self) -> Captions:
        found = self._find()
        masks = {image: mask for mask, image in sorted(self._masks.items(), reverse=True) if is_mask(mask)}
        names = {entry.name for entry in found.entries}
        entries = [Entry(each.name, each.caption, each.repeats, masks.get(each.name)) for each in found.entries]
        left = [
            *((each.reason, name) for each in self._files.left_out for name in each.names),
            *((MASKS, mask) for mask in self._masks),
            *found.left,
            *((self._why_unread(text, found), text) for text in self._files.texts if text not in found.used),
        ]
        return Captions(tuple(entries), by_reason(left, names), (*found.notes, *self._notes(found)))

    def _find(self) -> _Found:
        tables = [PurePosixPath(name) for name in self._files.texts if PurePosixPath(name).name.lower() in METADATA]
        top = [table for name in METADATA for table in tables if str(table).lower() == name]
        if top:
            return self._of_table(top[0])
        homes = list(dict.fromkeys(str(table.parent) for table in tables))
        if len(homes) == 1 and all(_is_below(image, homes[0]) for image in self._images):
            table = min((each for each in tables), key=lambda each: METADATA.index(each.name.lower()))
            return self._of_table(table)  # as archives often are: one folder, and in it the table
        if len(homes) > 1:
            raise DataError(self._one_of(homes, "metadata files lie"))
        concepts = dict.fromkeys(_first(image) for image in self._images if "/" in image and concept_of(_first(image)))
        if concepts:
            return self._of_concepts(list(concepts))
        self._refuse_parents()
        return self._of_files()

    def _of_table(self, table: PurePosixPath) -> _Found:
        rows = read_table(self._folder / table, self._folder, self._files.images, self._column)
        left = [(f"without a line in {table}", image) for image in self._images if image not in rows.captions]
        notes = []
        if rows.repeated:
            notes.append(f"{_num(rows.repeated, 'picture')} named again in {table}: {first_names(rows.repeated)}")
        if any(concept_of(_first(name)) for name in rows.captions if "/" in name):
            notes.append(f"numbers of N_concept folders are no repeats here, since {table} lists the pictures")
        self._masks = {mask: image for mask, image in self._masks.items() if mask not in rows.captions}
        entries = [Entry(name, caption) for name, caption in rows.captions.items()]
        return _Found(entries, {str(table)}, left, notes, str(table))

    def _of_concepts(self, concepts: Sequence[str]) -> _Found:
        found = _Found([], set(), [], [])
        named = []
        for image in self._images:
            repeats, concept = concept_of(_first(image)) or (0, "")
            if _first(image) not in concepts or "/" not in image:
                found.left.append(("beside the N_concept folders (move them into one, as 1_name)", image))
                continue
            file, caption = self._beside.read(image)
            found.used |= {file} if file else set()
            if repeats == 0:
                found.left.append(("in folders with 0 repeats", image))
                continue
            if caption is None:
                named.append(image)
            found.entries.append(Entry(image, concept if caption is None else caption, repeats))
        if not found.entries:
            raise DataError(f"{self._where}: all its N_concept folders have 0 repeats; rename one, as 1_name")
        if named:
            found.notes.append(
                f"{_num(named, 'picture')} without a caption file, so the folder's name is the caption: "
                f"{first_names(named)}"
            )
        return found

    def _of_files(self) -> _Found:
        read = {image: self._beside.read(image) for image in self._images}
        if not read or not (self._allow_missing or any(file for file, _ in read.values())):
            raise DataError(self._nothing_said())
        missing = [image for image, (file, _) in read.items() if file is None]
        if missing and not self._allow_missing:
            raise DataError(
                f"{self._where}: {len(missing)} images have no caption file beside them: {first_names(missing, 5)}; "
                f"write {PurePosixPath(missing[0]).with_suffix('.txt')}, or move them elsewhere"
            )
        notes = [
            f"{name} is no number of repeats here, but the name of a plain folder; rename it, as 1_name, to say them"
            for name in dict.fromkeys(_first(image) for image in read if "/" in image)
            if _CONCEPT.fullmatch(name)
        ]
        if concept := concept_of(self._folder.resolve().name):
            notes.append(
                f"the {concept[0]} of {self._folder.resolve().name} is no number of repeats here, since it is the "
                "folder itself; name the folder that it lies in to repeat its pictures"
            )
        used = {file for file, _ in read.values() if file}
        return _Found([Entry(image, caption or "") for image, (_, caption) in read.items()], used, [], notes)

    def _nothing_said(self) -> str:
        images, files = len(self._images), self._files
        found = f"it holds {images} images but no {METADATA[0]} and no .txt files" if images else "it holds no images"
        more = "; `sweeper prepare` writes captions" if images else ""
        if images and files.texts:
            found += f" (of another name: {first_names(files.texts)})"
        if images and concept_of(self._folder.resolve().name):
            more += f"; or name the folder that {self._folder.resolve().name} lies in, for its name to be the caption"
        left = "" if images or not files.left_out else f" ({'; '.join(map(str, files.left_out))})"
        return f"{self._where}: {found}{left}; write one line {self._column.shape} for each image{more}"

    def _refuse_parents(self) -> None:
        """Of a folder of folders each of which can be read, none is read as if it were the others' part."""
        parents = {
            str(PurePosixPath(*parts[:place]))
            for parts in (PurePosixPath(image).parts for image in self._images)
            for place in range(1, len(parts) - 1)
            if concept_of(parts[place])
        }
        if parents:
            raise DataError(self._one_of(sorted(parents), "N_concept folders lie"))
        firsts = {_first(image): _first(image).lower() for image in self._images if "/" in image}
        sides = [name for name, lower in firsts.items() if lower in _TO_TRAIN | _TO_HOLD_OUT]
        alone = len(sides) == len({_first(image) for image in self._images})
        if alone and {firsts[name] in _TO_TRAIN for name in sides} == {True, False}:
            raise DataError(self._one_of(sides, "pictures lie"))

    def _one_of(self, homes: Sequence[str], lie: str) -> str:
        """That a folder below should be named."""
        train = sorted(homes, key=lambda home: (_rank(home), home))[0]
        key = self._where.partition(" ")[0]
        parts = [as_override(key, self._folder / train)]
        for home in homes:
            last = PurePosixPath(home).name.lower()
            if last in _TO_HOLD_OUT and home != train and self._column.knobs:
                parts.append(as_override(f"{self._column.knobs}.validation_path", self._folder / home))
                break
        return f"{self._where}: its {lie} in {first_names(sorted(homes), 5)}; name one of them: {' '.join(parts)}"

    def _why_unread(self, text: str, found: _Found) -> str:
        if found.table:
            return f"not read, since {found.table} has the captions"
        if PurePosixPath(text).name.lower() in METADATA:
            return "captions for a part of the folder"
        stem = _stem(text)
        if any(_stem(entry.name) == stem for entry in found.entries):
            return "captions beside another caption file"
        left = any(_stem(image) == stem for image in (*self._images, *self._masks))
        return "captions of pictures that are left out" if left else "captions of no picture"

    def _notes(self, found: _Found) -> list[str]:
        notes = []
        empty = [entry.name for entry in found.entries if not entry.caption]
        if empty:
            every = "all captions are empty" if len(empty) == len(found.entries) else "empty captions"
            notes.append(f"{every}: {len(empty)} of {len(found.entries)} pictures ({first_names(empty)})")
        shared: dict[str, list[str]] = {}
        for entry in found.entries:
            file = self._beside.file_of(entry.name)
            if file in found.used:
                shared.setdefault(str(file), []).append(entry.name)
        notes += [f"{' and '.join(names)} share {file}" for file, names in shared.items() if len(names) > 1]
        if several := list(dict.fromkeys(self._beside.of_lines)):
            notes.append(f"{_num(several, 'caption file')} of several lines, read as one: {first_names(several)}")
        return notes


def _first(name: str) -> str:
    return name.partition("/")[0]


def _stem(name: str) -> str:
    """What a picture and its caption file have in common."""
    return str(PurePosixPath(name).with_suffix("")).lower()


def _is_below(name: str, folder: str) -> bool:
    return PurePosixPath(name).is_relative_to(folder)


def _rank(home: str) -> int:
    """Which of several folders is most likely to be the one to train on."""
    last = PurePosixPath(home).name.lower()
    if last in _TO_TRAIN or last in ("img", "image", "images"):
        return 0
    return 2 if last in _TO_HOLD_OUT or last.startswith("reg") else 1


def _num(names: Collection[str], noun: str) -> str:
    return f"{len(names)} {noun}{'' if len(names) == 1 else 's'}"
