"""Files that a tracker looks at itself."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from foundation.files.durable import PARTIAL, rename
from foundation.files.sqlite_file import create_whole, refuse_damaged


def make_sqlite(path: Path, create: Callable[[Path], None]) -> None:
    """Have `create` make MLflow's SQLite database `path`, unless it is there, and see that it is a whole one.

    MLflow itself would leave it half made where its process ends meanwhile, and try ten times, for minutes, to read
    another file.

    Raises:
        sqlite3.Error: it is another file, damaged, or cannot be opened.
        OSError: its folder cannot be made.
    """
    create_whole(path, "runs", create)
    refuse_damaged(path)


def local_folder(uri: str) -> Path | None:
    """The folder of a `file:` address on this machine; None of any other."""
    parts = urlsplit(uri)
    return Path(url2pathname(parts.path)) if parts.scheme == "file" and not parts.netloc else None


@contextmanager
def whole(name: Path) -> Iterator[Path]:
    """Yield where to write a file that gets its name once it is whole; not synced, for it can be made again."""
    name.parent.mkdir(parents=True, exist_ok=True)
    fresh = name.with_name(f".{name.name}{PARTIAL}")
    try:
        yield fresh
        rename(fresh, name)
    finally:
        fresh.unlink(missing_ok=True)  # where both were one file already, replacing does nothing


def link(file: Path, name: Path) -> bool:
    """Give a file a second name, whole or not at all; False where the disk, or two disks, do not allow it.

    Neither is written to afterwards, so they cannot part; each is there until both are deleted.
    """
    try:
        with whole(name) as fresh:
            fresh.unlink(missing_ok=True)
            os.link(file, fresh)
    except OSError:
        return False
    return True
