"""An SQLite database that is there with all its tables or not at all, however many processes begin at once."""

from __future__ import annotations

import glob
import os
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Final

from filelock import FileLock

from foundation.files.durable import PARTIAL, rename

_BESIDE: Final = ("-journal", "-wal", "-shm")
"""What SQLite writes beside a database, by the end of its name."""
_HALF_MIGRATED: Final = r"\_alembic\_tmp\_%"
"""Tables that Alembic makes in the midst of a migration."""


def create_whole(file: Path, rows_in: str, create: Callable[[Path], None]) -> None:
    """Create the database `file` by `create`, unless it is there: under a temporary name, then renamed.

    One at a time: who comes second waits, and finds it. A database whose making was cut off is made anew: a schema
    that Alembic has not stamped, or has left in the midst of a migration, without a row in the table `rows_in`.
    Whatever else is there, also what is no database, is left as it is.

    Raises:
        OSError: the folder cannot be written to.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(file.parent / f".{file.name}.lock"):
        for left in file.parent.glob(f".{glob.escape(file.name)}.*{PARTIAL}*"):  # by one that was killed
            left.unlink()
        if file.exists() and not _is_half_made(file, rows_in):
            return
        handle, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.", suffix=PARTIAL)
        os.close(handle)
        fresh = Path(name)
        try:
            create(fresh)
            fresh.chmod(0o644)
            for end in _BESIDE:  # of the half-made one: SQLite would play it back into the new one
                Path(f"{file}{end}").unlink(missing_ok=True)
            rename(fresh, file)
        finally:
            for end in ("", *_BESIDE):
                Path(f"{fresh}{end}").unlink(missing_ok=True)


def refuse_damaged(file: Path) -> None:
    """Look through a database's pages; whether its rows say what they said is not seen.

    Some 3 ms a MB. The system's cache has the pages then for whoever reads them next.

    Raises:
        sqlite3.DatabaseError: it is damaged, or none. sqlite3.OperationalError: it is locked for a minute.
    """
    with closing(sqlite3.connect(file, timeout=60)) as connection:
        said = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
    if said != "ok":
        raise sqlite3.DatabaseError(f"its pages are damaged ({said.splitlines()[-1]})")


def _is_half_made(file: Path, rows_in: str) -> bool:
    if not file.is_file():
        return False
    try:
        with closing(sqlite3.connect(file)) as connection:
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            rows = f'SELECT 1 FROM "{rows_in}" LIMIT 1'  # noqa: S608, a name of our own
            if rows_in in tables and connection.execute(rows).fetchone():
                return False
            stamped = "alembic_version" in tables and connection.execute("SELECT 1 FROM alembic_version").fetchone()
            pattern = (_HALF_MIGRATED,)
            midst = connection.execute(r"SELECT 1 FROM sqlite_master WHERE name LIKE ? ESCAPE '\'", pattern).fetchone()
            return not stamped or midst is not None
    except sqlite3.Error:
        return False
