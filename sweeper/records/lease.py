"""Who may write to a study's folder: one supervisor at a time, and its own workers.

The system frees these locks however a process ends, so no crash leaves one behind. Each worker has a file of its own to
lock: filelock's shared locks lie in an SQLite database or in markers that a crash leaves.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import IO, Final

from filelock import lock_descriptor

from foundation.errors import StudyError

_SUPERVISOR: Final = ".lease"
_WORKER: Final = ".worker"
"""How the name of each worker's file begins; `.workers` was one for all of them."""
WAIT_S: Final = 600.0
"""How long a supervisor waits for the workers of one that was killed: they may be in the midst of an evaluation."""
_LOOK_EVERY_S: Final = 0.2


@contextmanager
def supervising(folder: Path, say: Callable[[str], None], wait_s: float = WAIT_S) -> Iterator[None]:
    """Hold the study for this process alone.

    When a supervisor is killed its workers live on until they have saved their trials; they are waited for.

    Raises:
        StudyError: when another process holds it, or such a worker does not end.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / _SUPERVISOR).open("a+", encoding="utf-8") as file:
        if not _lock(file):
            raise StudyError(
                f"study {folder.name} is being run by process {_holder(file)}; "
                "wait for it, or set study.name to another name"
            )
        file.truncate(0)
        _sign(file)
        _await_end(folder, say, wait_s)
        yield


def is_held(folder: Path) -> bool:
    """Whether a supervisor, or a worker that still saves its trials, has the study just now. Nothing is written."""
    return any(_holder_of(path) for path in (folder / _SUPERVISOR, *_workers_files(folder)))


def supervisor_of(folder: Path) -> int | None:
    """The process that has the study just now; None where none has, or only a worker that still saves its trials."""
    holder = _holder_of(folder / _SUPERVISOR)
    return int(holder) if holder.isdecimal() else None


def begun_at(folder: Path) -> float:
    """When the last supervisor of a study took it, in seconds since 1970; 0 where none did."""
    with suppress(OSError):
        return (folder / _SUPERVISOR).stat().st_mtime
    return 0.0


@contextmanager
def working(folder: Path) -> Iterator[None]:
    """Be known as a worker that may still write to the study's folder."""
    path, file = _take_own_file(folder)
    try:
        with file:
            yield
    finally:
        with suppress(OSError):  # the next supervisor removes it
            path.unlink(missing_ok=True)


Agree = Callable[[str, Callable[[], None]], AbstractContextManager[None]]
elsewhere: Agree = lambda name, working: nullcontext()  # noqa: E731
"""Lets one machine at a time make what machines share that do not see one folder, by its name; a launcher sets it."""


@contextmanager
def making(path: Path, working: Callable[[], None]) -> Iterator[None]:
    """Let one worker at a time make what all share and find at `path`; the others call `working` while they wait."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f".{path.name}.lock").open("a") as file:
        while not _lock(file):
            working()
            time.sleep(_LOOK_EVERY_S)
        with elsewhere(path.name, working):
            yield


def _await_end(folder: Path, say: Callable[[str], None], wait_s: float) -> None:
    deadline, said = time.monotonic() + wait_s, False
    while holders := [holder for path in _workers_files(folder) if (holder := _holder_of(path, remove=True))]:
        words = f"a worker of an earlier run (process {', '.join(holders)})"
        if not said:
            say(f"{words} still saves its trials; waiting for it")
            said = True
        if time.monotonic() >= deadline:
            raise StudyError(f"study {folder.name} has {words} that does not end; end it, and the same command goes on")
        time.sleep(_LOOK_EVERY_S)


def _take_own_file(folder: Path) -> tuple[Path, IO[str]]:
    """A locked file in the folder. A supervisor that looks just now may have locked, and removed, a new one."""
    while True:
        path = folder / f"{_WORKER}-{secrets.token_hex(4)}"
        file = path.open("x+", encoding="utf-8")
        if _lock(file) and path.exists():
            _sign(file)
            return path, file
        file.close()


def _workers_files(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"{_WORKER}*"))


def _holder_of(path: Path, *, remove: bool = False) -> str:
    """The processes that hold a file, empty where none does: then it is removed, if that is wanted."""
    with suppress(FileNotFoundError), path.open(encoding="utf-8") as file:
        if not _lock(file):
            return _holder(file)
        if remove:
            with suppress(OSError):  # Windows removes no file that is open; the next one finds it
                path.unlink()
    return ""


def _lock(file: IO[str]) -> bool:
    return lock_descriptor(file.fileno(), blocking=False)


def _sign(file: IO[str]) -> None:
    """Write which process this is, behind a space: Windows lets nobody else read the first byte of a locked file."""
    file.write(f" {os.getpid()}")
    file.flush()


def _holder(file: IO[str]) -> str:
    try:
        file.seek(0)
        said = file.read()
    except PermissionError:
        file.seek(1)
        said = file.read()
    return ", ".join(said.split()) or "unknown"
