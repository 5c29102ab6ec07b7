"""Every file of a folder by what it is: a picture, a text, or something that is left out, and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Final

from foundation.data.images import SUFFIXES
from foundation.data.left_out import LEFT_OUT_FILE, LeftOut, by_reason, load_left_out

TEXTS: Final = frozenset({".txt", ".caption", ".json", ".jsonl", ".csv", ".tsv", ".parquet"})
"""Kinds of files that may say what pictures show."""
SYSTEM: Final = "hidden or a system's own (thumbnails, notes, waste bins)"
UNREAD_KIND: Final = "of a kind that is not read here (save them as PNG)"
OTHER: Final = "neither pictures nor captions"
_READ_ALREADY: Final = "links to what is read already"
_NOWHERE: Final = "links that lead nowhere"

_SYSTEM_NAMES: Final = frozenset(
    {"thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "#recycle", "@recycle", "$recycle.bin", "lost+found"}
    | {"system volume information", "@eadir", "@tmp", "@recently-snapshot", "#snapshot", "__pycache__"}
    | {"@sharebin", "@sharesnap", "@synoresource", "recycler", "recycled", "network trash folder", "temporary items"}
)
"""What Windows, macOS, Synology and QNAP put among pictures, in lower case; what begins with a dot is as well."""
_SYSTEM_PREFIXES: Final = (".", "__macosx", "synophoto_thumb", "~$")
_UNREAD: Final = frozenset(
    {".heic", ".heif", ".jxl", ".jpx", ".tga", ".qoi", ".ico", ".psd", ".psb", ".svg", ".xcf", ".kra", ".exr", ".hdr"}
    | {".raw", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2", ".raf", ".pdf", ".eps", ".ai"}
    | {".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg"}
)
"""Pictures and films that are not read, so that nobody misses them unknowingly."""


@dataclass(frozen=True, slots=True)
class Survey:
    """The files of a folder and of those below it, by their names there (`below/a.png`), in order."""

    images: tuple[str, ...]
    texts: tuple[str, ...]
    """Files that may hold captions."""
    left_out: tuple[LeftOut, ...]


def survey(folder: Path, apart: Mapping[Path, str] | None = None) -> Survey:
    """Look at every file once; links are followed, and what they lead to is read once as well.

    Folders in `apart`, which must be resolved, are left out for the reason given.
    """
    walk = _Walk(apart or {})
    walk.enter(folder, PurePosixPath())
    walk.follow_links(folder.resolve())
    unused = [(each.reason, name) for each in load_left_out(folder) for name in each.names]
    return Survey(
        images=_in_order(walk.images),
        texts=_in_order(walk.texts),
        left_out=by_reason([*sorted(walk.left_out, key=lambda each: _parts(each[1])), *unused]),
    )


def kind_of_file(name: str) -> str | None:
    """Why a file of this name is left out whatever else is there; None for a picture or a text."""
    path = PurePosixPath(name)
    if any(is_system(part) for part in path.parts):
        return SYSTEM
    suffix = path.suffix.lower()
    if suffix in SUFFIXES or suffix in TEXTS:
        return None
    return UNREAD_KIND if suffix in _UNREAD else OTHER


def is_system(name: str) -> bool:
    """Whether a file or folder is hidden, or one that systems make by themselves."""
    lower = name.lower()
    return lower.startswith(_SYSTEM_PREFIXES) or lower in _SYSTEM_NAMES


def is_image(name: str) -> bool:
    """Whether a file's name says that it is a picture that is read here."""
    return PurePosixPath(name).suffix.lower() in SUFFIXES


@dataclass(slots=True)
class _Walk:
    """One way through a folder: first all that is there itself, then what links lead to."""

    apart: Mapping[Path, str]
    images: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    left_out: list[tuple[str, str]] = field(default_factory=list)
    links: list[tuple[Path, PurePosixPath]] = field(default_factory=list)
    seen: set[Path] = field(default_factory=set)
    """Folders and files that were looked at, resolved."""

    def enter(self, folder: Path, name: PurePosixPath) -> None:
        """Take in the files of a folder, called `name`, and of those below it; put links by."""
        self.seen.add(folder.resolve())
        for path in sorted(folder.iterdir()):
            if path.is_symlink():
                self.links.append((path, name / path.name))
            elif name / path.name != PurePosixPath(LEFT_OUT_FILE):
                self._visit(path, name / path.name)

    def follow_links(self, root: Path) -> None:
        """Take in what is behind links, unless it was seen; a link to a folder around the root is a loop."""
        while self.links:
            path, name = self.links.pop(0)
            try:
                real = path.resolve(strict=True)
            except (OSError, RuntimeError):  # RuntimeError is what Python 3.11 says of a link to itself
                self.left_out.append((_NOWHERE, str(name)))
                continue
            if real in root.parents:
                self.left_out.append((_READ_ALREADY, str(name)))
            else:
                self._visit(path, name)

    def _visit(self, path: Path, name: PurePosixPath) -> None:
        real = path.resolve()
        if real in self.seen:
            self.left_out.append((_READ_ALREADY, str(name)))
        elif not path.is_dir():
            self._take(path, name)
        elif is_system(path.name):
            self._leave(path, name, SYSTEM)
        elif reason := self.apart.get(real):
            self._leave(path, name, reason)
        else:
            self.enter(path, name)

    def _take(self, path: Path, name: PurePosixPath) -> None:
        self.seen.add(path.resolve())
        reason = kind_of_file(path.name)
        if reason is not None or not path.is_file():
            self.left_out.append((reason or OTHER, str(name)))
        else:
            (self.images if is_image(path.name) else self.texts).append(str(name))

    def _leave(self, folder: Path, name: PurePosixPath, reason: str) -> None:
        self.seen.add(folder.resolve())
        self.left_out += [(reason, str(name / inner)) for inner in _files_below(folder)]


def _files_below(folder: Path) -> Iterator[PurePosixPath]:
    for path in sorted(folder.rglob("*")):
        if not path.is_dir():
            yield PurePosixPath(path.relative_to(folder).as_posix())


def _in_order(names: list[str]) -> tuple[str, ...]:
    return tuple(sorted(names, key=_parts))


def _parts(name: str) -> tuple[str, ...]:
    """What names are sorted by, so that a folder's files stay together."""
    return PurePosixPath(name).parts
