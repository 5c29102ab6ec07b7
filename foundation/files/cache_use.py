"""Which entries of a cache are used, noted in a file as they are: what no study's note names is free to delete.

Every path into the cache goes through `mark_used`, or is noted by who knows the study (`note_use`). Notes are a
study's; a process that works for none notes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from foundation.files.durable import append_lines

NOTE: Final = "cache_used.txt"
"""In a study's folder: a line for each entry that it used, by its name in the cache."""
_before: list[str] = []
"""What was used before it was known for which study: data is read first, so that mistakes in it leave nothing."""
_file: Path | None = None


@contextmanager
def noting_uses(study: Path, *, and_before: bool = False) -> Iterator[None]:
    """Within the block note in this study's folder what this process uses of the cache, and perhaps used before.

    Nothing is written before something is used.
    """
    global _file
    _file = study / NOTE
    if and_before and (names := [name for name in _before if name not in (uses_of(study) or ())]):
        append_lines(_file, names)
    _before.clear()
    try:
        yield
    finally:
        _file = None


def mark_used(entry: Path) -> Path:
    """The path of an entry of the cache, which is noted as used."""
    if _file is None:
        if entry.name not in _before:
            _before.append(entry.name)
    else:
        note_use(_file.parent, entry.name)
    return entry


def note_use(study: Path, name: str) -> None:
    """Note an entry, by its name in the cache, as used by this study, whichever this process works for."""
    if name not in (uses_of(study) or ()):
        with suppress(OSError):  # a note that cannot be written ends no training
            append_lines(study / NOTE, [name])


def uses_of(study: Path) -> set[str] | None:
    """The names that a study has noted; None of one that notes nothing, such as those of earlier versions."""
    try:
        return set((study / NOTE).read_text("utf-8", "replace").split("\n")) - {""}
    except OSError:
        return None
