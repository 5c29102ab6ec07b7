"""Files that are either whole or absent, whatever crashes: temporary file, fsync, rename."""

from __future__ import annotations

import errno
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

PARTIAL: Final = ".partial"
"""How the names of files and folders end that are not whole yet; they begin with a dot."""
_SYNCED_AT_ONCE: Final = 8
"""Paths in a folder; a busy disk brings them to safety together in little more time than one."""
_HALVES: Final = "backslashreplace"
"""What becomes of lone surrogates, which UTF-8 cannot hold."""
_ON_WINDOWS: Final = os.name == "nt"
_IN_THE_WAY: Final = (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR)
_HELD: Final = (5, 32)
"""What Windows says (`winerror`) where somebody has a file open: ERROR_ACCESS_DENIED, ERROR_SHARING_VIOLATION."""
_PATIENCE_S: Final = 5.0
"""How long a file may be held that is to be replaced: its readers, and what scans for viruses, take moments."""


def write_bytes(path: Path, data: bytes) -> None:
    """Write `data` to `path` atomically; a reader sees the old file or the new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=PARTIAL)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o644)  # mkstemp makes 0600; these files are as readable as any other
        rename(Path(name), path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    _sync(path.parent)


def write_text(path: Path, text: str) -> None:
    """As `write_bytes`, in UTF-8; half a character, of a file's name that is no UTF-8, as JSON and YAML escape it."""
    write_bytes(path, text.encode(errors=_HALVES))


def write_json(path: Path, value: Any) -> None:
    """As `write_text`, as indented JSON with a newline at its end. NaN is refused: it is not JSON."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def append_line(path: Path, line: str) -> None:
    """Append one line in a single write and sync it; a crash can lose only the line being written."""
    append_lines(path, [line])


def append_lines(path: Path, lines: Sequence[str]) -> None:
    """As `append_line`, in a single write for all; a crash can lose these, and cut one of them short."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8", errors=_HALVES, newline="") as file:
        file.write("".join(line.rstrip("\n") + "\n" for line in lines))
        file.flush()
        os.fsync(file.fileno())


def rename(old: Path, new: Path) -> None:
    """Rename a file or a folder over what is there, as POSIX does it: Windows refuses for as long as it is open.

    Raises:
        OSError: it cannot be done, or is open for too long.
    """
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        try:
            os.replace(old, new)
            return
        except PermissionError as error:
            of_windows = getattr(error, "winerror", None) in _HELD
            if not of_windows or (old.is_dir() and new.exists()) or time.monotonic() >= deadline:
                raise
        time.sleep(0.01)


@contextmanager
def new_folder(path: Path, *, replace: bool = True) -> Iterator[Path]:
    """Yield a temporary folder that becomes `path` when the block ends well, and vanishes when it does not.

    An existing `path` is replaced, unless `replace` is false: then it stays, perhaps put there meanwhile by another
    process that made the same. Whoever finds `path` finds it whole.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = _temporary(path)
    try:
        yield folder
        with ThreadPoolExecutor(_SYNCED_AT_ONCE) as pool:
            list(pool.map(_sync, filter(Path.exists, [folder, *folder.rglob("*")])))
        folder.chmod(0o755)
        _put(folder, path, replace)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    _sync(path.parent)


@contextmanager
def temporaries_below(folder: Path) -> Iterator[None]:
    """Have this process's temporary files, those of its libraries as well, in a partial folder below `folder`.

    It vanishes with the block; what a killed process leaves is found by its name, as it is not in the system's place.
    """
    own, before = _temporary(folder / "temporary"), tempfile.tempdir
    tempfile.tempdir = str(own)
    try:
        yield
    finally:
        tempfile.tempdir = before
        shutil.rmtree(own, ignore_errors=True)


def _temporary(path: Path) -> Path:
    return Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.", suffix=PARTIAL))


def _put(folder: Path, path: Path, replace: bool) -> None:
    """Rename a folder to `path`. Others may be doing the same, so only the attempt tells whether something is there."""
    try:
        rename(folder, path)
        return
    except OSError as error:
        if error.errno not in _IN_THE_WAY and not (isinstance(error, PermissionError) and path.exists()):
            raise  # Windows, where no folder takes another's place, says that the permission is missing
    if not replace:
        shutil.rmtree(folder)
        return
    aside = _temporary(path)
    try:
        with suppress(FileNotFoundError):  # another has just moved it aside
            rename(path, aside / path.name)
        _put(folder, path, replace)
    except BaseException:
        if (aside / path.name).exists():
            rename(aside / path.name, path)
        aside.rmdir()
        raise
    shutil.rmtree(aside)


def _sync(path: Path) -> None:
    """Wait until a file, or a folder's list of names, is on the disk.

    Windows opens no folder, and syncs only what is open to be written.
    """
    if _ON_WINDOWS and path.is_dir():
        return
    handle = os.open(path, os.O_RDWR if _ON_WINDOWS else os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
