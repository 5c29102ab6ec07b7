"""Files that a tracker looks at itself."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable
from pathlib import Path

from foundation.adapter_files import WEIGHTS_FILE
from foundation.sqlite_file import create_whole


def make_sqlite(path: Path, create: Callable[[Path], None]) -> None:
    """Have `create` make MLflow's SQLite database `path`, unless it is there, and see that it is one.

    MLflow itself would leave it half made where its process ends meanwhile, and try ten times, for minutes, to read
    another file.

    Raises:
        sqlite3.Error: it is another file, or cannot be opened.
        OSError: its folder cannot be made.
    """
    create_whole(path, "runs", create)
    connection = sqlite3.connect(path)
    try:
        connection.execute("PRAGMA schema_version")
    finally:
        connection.close()


def weights_digest(folder: Path) -> str:
    """SHA-256 of the LoRA in a folder, not of the same in other formats: their headers are in no certain order."""
    return hashlib.sha256((folder / WEIGHTS_FILE).read_bytes()).hexdigest()
