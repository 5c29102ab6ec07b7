"""The folders of pictures that the page may look into, and what it shows of one.

Whoever has the page's link sees what it previews, so it looks only below the folders that the command named by `data=`,
or else below the one that it was started in: not the home, where letters and keys lie beside pictures. Links are
followed before that is checked, hidden folders are none, and of a folder nothing is shown but its pictures, their
captions, and the names of folders in it. Nothing is written: thumbnails are made in memory.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from foundation.config.home import at_home
from foundation.data.captions import read_captions
from foundation.data.images import SUFFIXES, read_rgb
from foundation.data.kinds import kind_of
from foundation.data.survey import is_system, survey
from foundation.errors import DataError
from foundation.pictures.tiles import encode
from sweeper.page.start.fields import FOLDER
from sweeper.page.thumbnails import QUALITY, SIDE

SHOWN: Final = 12
"""Pictures of a folder."""
MOST_FOLDERS: Final = 200
"""Names of folders in one."""
MOST_ENTRIES: Final = 20_000
"""Files and folders, at any depth, of what is looked through: somebody's whole disk is not."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Captioned:
    """A picture of the preview."""

    file: str
    """Its whole path."""
    caption: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Preview:
    """What is shown of a folder."""

    folder: str
    above: str
    """The folder above it; empty where the page may not look there."""
    folders: Sequence[str] = ()
    """Those in it."""
    count: int = 0
    """Pictures that would be learned from or held out."""
    pictures: Sequence[Captioned] = ()
    notes: Sequence[str] = ()
    """What a person should know of how it was read; files that are left out, and why."""
    problem: str = ""
    """Why it is no set of pictures; empty where it is one."""
    found: str = ""
    """What all captions say, in words; empty where that is not clear."""


class Folders:
    """What may be looked into: `roots` and all below them."""

    def __init__(self, roots: Sequence[Path]) -> None:
        self.roots = tuple(root.resolve() for root in roots)

    def find(self, text: str) -> Path:
        """Return the folder that a person named, by its whole path or as it is called below one of the roots.

        Raises:
            DataError: it is not there, is none, or is elsewhere; which of these is not told, of what is elsewhere.
        """
        path = Path(at_home(text))
        places = [path] if path.is_absolute() else [root / path for root in self.roots]
        for place in places:
            found = self._inside(place)
            if found is not None and found.is_dir():
                return found
        where = ", ".join(map(str, self.roots))
        raise DataError(
            f"{FOLDER} must be a folder in {where} (sweeper dashboard data=FOLDER names others), got {text!r}"
        )

    def preview(self, folder: Path) -> Preview:
        """Return what is to be shown of a folder that `find` returned."""
        above = self._inside(folder.parent)
        below = sorted(each.name for each in _folders_in(folder))
        shown = Preview(folder=str(folder), above=str(above or ""), folders=below[:MOST_FOLDERS])
        if _num_entries(folder) > MOST_ENTRIES:
            return replace(shown, problem=f"{FOLDER} {folder}: it holds more than {MOST_ENTRIES} files; look below it")
        files = survey(folder)
        if any(self._inside(folder / name) is None for name in (*files.images, *files.texts)):
            where = ", ".join(map(str, self.roots))
            return replace(shown, problem=f"{FOLDER} {folder}: links in it lead out of {where}, or to what is hidden")
        try:
            captions = read_captions(folder, "text", FOLDER, "data")
        except (DataError, OSError) as error:
            return replace(shown, problem=str(error).splitlines()[0])
        entries = captions.entries
        texts = [entry.caption for entry in entries]
        pictures = [Captioned(file=str(folder / entry.name), caption=entry.caption) for entry in entries[:SHOWN]]
        found = kind_of(texts)
        words = f"all captions say “{found.trigger}”: {found.kind}" if found else ""
        return replace(
            shown,
            count=len(entries),
            pictures=pictures,
            notes=[*captions.notes, *map(str, captions.left_out)],
            found=words,
        )

    def thumbnail(self, text: str) -> bytes:
        """Return a picture in small, as WebP.

        Raises:
            DataError: it is damaged, no picture, or elsewhere.
        """
        file = self._inside(Path(text)) if Path(text).is_absolute() else None
        if file is None or file.suffix.lower() not in SUFFIXES or not file.is_file():
            raise DataError("there is no such picture here")
        return encode(read_rgb(file), SIDE, QUALITY)

    def _inside(self, path: Path) -> Path | None:
        """The path with its links followed; None where it leads out of the roots, or is hidden in one."""
        try:
            found = path.resolve()
        except (OSError, ValueError, RuntimeError):  # a loop of links, a zero byte
            return None
        for root in self.roots:
            if found.is_relative_to(root):
                return None if any(map(is_system, found.relative_to(root).parts)) else found
        return None


def _num_entries(folder: Path) -> int:
    """How many files and folders there are; of very many, some more than are looked through."""
    count = 0
    for _, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not is_system(name)]
        count += len(folders) + len(files)
        if count > MOST_ENTRIES:
            break
    return count


def _folders_in(folder: Path) -> list[Path]:
    try:
        return [each for each in folder.iterdir() if not is_system(each.name) and each.is_dir()]
    except OSError:
        return []
