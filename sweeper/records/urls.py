"""Addresses of databases and folders. No other module makes one: a path may hold `?`, `#`, `%41` or `{}`."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

_SQLITE: Final = "sqlite+pysqlite"
"""With its driver named: of a bare `sqlite:///` MLflow makes the folder that the percent-encoded text would be."""


def sqlite_url(file: Path) -> str:
    """The address of a SQLite file for SQLAlchemy, and so for Optuna and MLflow; special characters are encoded."""
    return URL.create(_SQLITE, database=str(file)).render_as_string(hide_password=False)


def sqlite_file(url: str) -> Path | None:
    """The file of a SQLite address; None of any other address, and of a database in memory."""
    try:
        parts = make_url(url)
    except ArgumentError:  # no address of a database: a server's, or a name that MLflow knows
        return None
    named = parts.get_backend_name() == "sqlite" and parts.database not in (None, "", ":memory:")
    return Path(str(parts.database)) if named else None


def folder_url(folder: Path) -> str:
    """The address of a folder of files, percent-encoded; MLflow decodes it once."""
    return folder.resolve().as_uri()
