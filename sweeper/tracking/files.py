"""Files that a tracker looks at itself."""

from __future__ import annotations

import hashlib
import sqlite3
from pathlib import Path

from foundation.adapter_files import WEIGHTS_FILE


def must_be_sqlite(path: Path) -> None:
    """Return when `path` is a SQLite database or can become one.

    Said at once; MLflow would try ten times, for minutes.

    Raises:
        sqlite3.Error: it is another file, or cannot be opened.
        OSError: its folder cannot be made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path)
    try:
        connection.execute("PRAGMA schema_version")
    finally:
        connection.close()


def weights_digest(folder: Path) -> str:
    """SHA-256 of the LoRA in a folder, not of the same in other formats: their headers are in no certain order."""
    return hashlib.sha256((folder / WEIGHTS_FILE).read_bytes()).hexdigest()
