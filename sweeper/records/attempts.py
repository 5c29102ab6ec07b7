"""Who may write to a trial's folder: the latest attempt at it, by a number that grows with each.

A worker that was taken for dead and is not (a machine that was cut off, or asleep) has an older number than the one
that went on with its trial: it finds that out before it writes, and leaves the trial alone.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from foundation.files.durable import write_text

ATTEMPT: Final = "attempt"
"""The file in a trial's folder."""


class SupersededError(Exception):
    """Another worker has the trial."""


def latest_attempt(folder: Path) -> int:
    """The number of the latest attempt at a trial; 0 where there was none, or its number cannot be read."""
    try:
        return int((folder / ATTEMPT).read_text())
    except (OSError, ValueError):
        return 0


def begin_attempt(folder: Path) -> int:
    """The number of a new attempt at a trial, which ends the right of all others to write there."""
    number = latest_attempt(folder) + 1
    note_attempt(folder, number)
    return number


def note_attempt(folder: Path, number: int) -> None:
    """Let the attempt with this number be the latest."""
    write_text(folder / ATTEMPT, f"{number}\n")


def must_be_latest(folder: Path, attempt: int) -> None:
    """Refuse an older attempt. 0 is one without a number, as of a command that trains alone.

    Raises:
        SupersededError: there is a newer one.
    """
    if attempt and latest_attempt(folder) > attempt:
        raise SupersededError(f"{folder} is another worker's by now")
