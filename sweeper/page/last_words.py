"""What a study's command said last, where the page started it and nobody was there to see its error."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from sweeper.records.lease import begun_at

LOGS: Final = ("started.log", "resumed.log")
_TAIL: Final = 8192
"""Bytes of a log that are read."""
_ERROR: Final = "error: "


def last_words(study: Path) -> list[str]:
    """Return the mistakes that the last run of a study ended with; none of a run that was not started from the page.

    Each run says in its lease that it began: what was said before that is of an earlier one.
    """
    logs = [(log.stat().st_mtime, log) for name in LOGS if (log := study / name).is_file()]
    if not logs or max(logs)[0] < begun_at(study):
        return []
    with max(logs)[1].open("rb") as file:
        file.seek(0, 2)
        file.seek(max(0, file.tell() - _TAIL))
        lines = file.read().decode("utf-8", "replace").splitlines()
    return [f"its command ended: {line.removeprefix(_ERROR)}" for line in lines[-3:] if line.startswith(_ERROR)]
