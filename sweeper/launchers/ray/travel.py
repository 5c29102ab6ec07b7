"""Files of a trial on their way between a node's disk and the supervisor's folder.

A trial's folder travels in parts: each checkpoint and each evaluation's pictures whole, all else file by file. They are
written as the worker wrote them: what others rely on first, the state last. So whoever is interrupted leaves what a
killed worker leaves: the state, and lines that may lead beyond it and are cut when the trial goes on.
"""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

from foundation.files.durable import new_folder, write_bytes
from sweeper.launchers.ray.words import Part
from sweeper.records.attempts import ATTEMPT
from sweeper.records.turns import TURNS

_WHOLE: Final = ("checkpoints", "samples")
"""Folders of folders, each of which is one part."""
_STATE: Final = "state"
_STAYS: Final = (ATTEMPT, "config.yaml", TURNS)
"""The supervisor's own."""
_TRIES: Final = 5
"""A worker may be replacing what is read."""
_PICTURES: Final = "samples/step-"
Message = TypeVar("Message")


class Shipments:
    """Which parts below a folder the other side has, by what they were when they were sent or came."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._known: dict[str, tuple[tuple[str, int, int], ...]] = {}

    def news_of_trial(self, folder: Path) -> tuple[Part, ...]:
        """The parts of a trial's folder that the other side does not have."""
        return self.news(parts_of_trial(folder))

    def news(self, paths: Iterable[Path]) -> tuple[Part, ...]:
        """The same of these files and folders."""
        found = []
        for path in paths:
            name = path.relative_to(self._root).as_posix()
            for attempt in range(_TRIES):
                try:
                    looks = _looks(path)
                    if self._known.get(name) != looks:
                        found.append(read_part(self._root, path))
                        self._known[name] = looks
                    break
                except FileNotFoundError:
                    if attempt == _TRIES - 1 and path.exists():
                        raise
        return tuple(found)

    def know(self, paths: Iterable[Path]) -> None:
        """The other side has these files and folders."""
        for path in paths:
            self._known[path.relative_to(self._root).as_posix()] = _looks(path)

    def write(self, parts: Sequence[Part]) -> None:
        """Write what came; the other side has it."""
        write_parts(self._root, parts)
        for part in parts:
            self._known[part.path] = _looks(self._root / part.path)

    def forget(self, folder: Path) -> None:
        """Delete a folder; nothing of it is known any more."""
        shutil.rmtree(folder, ignore_errors=True)
        below = folder.relative_to(self._root).as_posix()
        self._known = {name: looks for name, looks in self._known.items() if not name.startswith(f"{below}/")}


def parts_of_trial(folder: Path) -> Iterator[Path]:
    """The files and folders that travel of a trial's folder, in the order in which they are to be written."""
    for name in _WHOLE:
        yield from (path for path in _visible(folder / name) if path.is_dir())
    yield from (path for path in _visible(folder) if path.is_file() and path.name not in _STAYS)
    yield from (path for path in _visible(folder / _STATE) if path.is_file())


def to_go_on(root: Path, folder: Path) -> tuple[Part, ...]:
    """What a worker needs to go on with a trial: all of it, but of the pictures only the last evaluation's."""
    paths = list(parts_of_trial(folder))
    pictures = [path for path in paths if path.parent.name == "samples"]
    last = max((path for path in pictures if f"samples/{path.name}".startswith(_PICTURES)), default=None)
    return tuple(read_part(root, path) for path in paths if path not in pictures or path == last)


def read_part(root: Path, path: Path) -> Part:
    """A file or folder below `root` as it is now."""
    if path.is_dir():
        files = tuple((file.relative_to(path).as_posix(), file.read_bytes()) for file in _files(path))
    else:
        files = (("", path.read_bytes()),)
    return Part(path.relative_to(root).as_posix(), files)


def write_parts(root: Path, parts: Sequence[Part]) -> None:
    """Write parts below `root` in their order; each appears whole."""
    for part in parts:
        path = root / part.path
        if part.files and not part.files[0][0]:
            write_bytes(path, part.files[0][1])
            continue
        with new_folder(path) as fresh:
            for name, content in part.files:
                (fresh / name).parent.mkdir(parents=True, exist_ok=True)
                (fresh / name).write_bytes(content)


def with_whole_paths_of(message: Message) -> Message:
    """The same message with absolute paths."""
    return _with_paths(message, Path.absolute)


def relocate(message: Message, here: Path, there: Path) -> Message:
    """The same message with each path below `here` below `there`."""
    return _with_paths(message, lambda path: there / path.relative_to(here) if path.is_relative_to(here) else path)


def _with_paths(message: Message, change: Callable[[Path], Path]) -> Message:
    assert dataclasses.is_dataclass(message) and not isinstance(message, type)
    old = {each.name: getattr(message, each.name) for each in dataclasses.fields(message)}
    new = {name: _elsewhere(value, change) for name, value in old.items()}
    return dataclasses.replace(message, **{name: value for name, value in new.items() if value is not old[name]})


def _elsewhere(value: Any, change: Callable[[Path], Path]) -> Any:
    if isinstance(value, Path):
        return change(value)
    if isinstance(value, tuple) and any(isinstance(each, Path | tuple) for each in value):
        return tuple(_elsewhere(each, change) for each in value)
    return value


def _visible(folder: Path) -> list[Path]:
    """What is in a folder but for what is not whole yet, or a lock; nothing where there is none."""
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except (FileNotFoundError, NotADirectoryError):
        return []


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _looks(path: Path) -> tuple[tuple[str, int, int], ...]:
    """What tells whether a file or folder was written anew."""
    files = _files(path) if path.is_dir() else [path]
    return tuple((file.relative_to(path).as_posix(), (of := file.stat()).st_mtime_ns, of.st_size) for file in files)
