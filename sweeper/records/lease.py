"""Who may write to a study's folder: one supervisor at a time, and its own workers.

The system frees these locks however a process ends, so no crash leaves one behind. A worker's is shared and taken by
hand: filelock's shared locks lie in an SQLite database or in markers that a crash leaves.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import IO, Final

from filelock import lock_descriptor, unlock_descriptor

from foundation.errors import StudyError

_SUPERVISOR, _WORKERS = ".lease", ".workers"
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
    with (folder / _SUPERVISOR).open("a+") as file, (folder / _WORKERS).open("a+") as workers:
        if not _lock(file):
            raise StudyError(
                f"study {folder.name} is being run by process {_holder(file)}; "
                "wait for it, or set study.name to another name"
            )
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        _await_end(workers, folder, say, wait_s)
        yield


def is_held(folder: Path) -> bool:
    """Whether a supervisor, or a worker that still saves its trials, has the study just now. Nothing is written."""
    for name in (_SUPERVISOR, _WORKERS):
        with suppress(FileNotFoundError), (folder / name).open("r") as file:
            if not _lock(file):
                return True
    return False


def supervisor_of(folder: Path) -> int | None:
    """The process that has the study just now; None where none has, or only a worker that still saves its trials."""
    with suppress(FileNotFoundError), (folder / _SUPERVISOR).open("r") as file:
        if not _lock(file):
            holder = _holder(file)
            return int(holder) if holder.isdecimal() else None
    return None


@contextmanager
def working(folder: Path) -> Iterator[None]:
    """Be known as a worker that may still write to the study's folder."""
    with (folder / _WORKERS).open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        file.write(f"{os.getpid()} ")
        file.flush()
        yield


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


def _await_end(workers: IO[str], folder: Path, say: Callable[[str], None], wait_s: float) -> None:
    deadline, said = time.monotonic() + wait_s, False
    while not _lock(workers):
        if not said:
            say(f"a worker of an earlier run (process {_holder(workers)}) still saves its trials; waiting for it")
            said = True
        if time.monotonic() >= deadline:
            raise StudyError(
                f"study {folder.name} has a worker of an earlier run (process {_holder(workers)}) that does not end; "
                "end it, and the same command goes on"
            )
        time.sleep(_LOOK_EVERY_S)
    workers.truncate(0)
    unlock_descriptor(workers.fileno())


def _lock(file: IO[str]) -> bool:
    return lock_descriptor(file.fileno(), blocking=False)


def _holder(file: IO[str]) -> str:
    file.seek(0)
    return ", ".join(file.read().split()) or "unknown"
