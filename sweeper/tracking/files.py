"""Files that a tracker looks at itself."""

from __future__ import annotations

import hashlib
import sqlite3
from pathlib import Path


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
    """SHA-256 of all safetensors in a folder."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.safetensors")):
        digest.update(path.read_bytes())
    return digest.hexdigest()
