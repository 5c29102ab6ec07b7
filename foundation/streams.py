"""Output that may go away: a reader has ended, a terminal is closed, a stream never was there; or is not wanted."""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TextIO, cast

from foundation.processes import TERMINAL_CLOSED

_GONE: Final = (errno.EPIPE, errno.EIO, errno.EBADF, errno.EINVAL)
"""Windows says EINVAL of a pipe whose reader has ended."""


def outlive_output() -> None:
    """From here on a stdout or stderr that goes away is as a terminal that is closed: SIGHUP, once, and no error.

    What is written later goes nowhere. Where a stream was closed from the beginning, its number is taken, so that no
    file gets it and is written to by whoever speaks there; that is no reason to end.
    """
    for number, name in ((0, "stdin"), (1, "stdout"), (2, "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free: this one
        if number and not isinstance(getattr(sys, name), _Lasting):
            below = getattr(sys, name) or os.fdopen(number, "w", closefd=False)
            setattr(sys, name, cast(TextIO, _Lasting(below)))


@contextmanager
def mute_stderr() -> Iterator[None]:
    """Within the block nothing is written to stderr: libraries in C say there what they raise, or what helps nobody."""
    try:
        kept = os.dup(2)
    except OSError:  # it is closed
        yield
        return
    with Path(os.devnull).open("wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


class _Lasting:
    """A stream that loses what it cannot write any more, and is the one below in all else."""

    def __init__(self, below: TextIO) -> None:
        self._below = below

    def write(self, text: str) -> int:
        try:
            self._below.write(text)
        except OSError as error:
            self._lose(error)
        return len(text)

    def flush(self) -> None:
        try:
            self._below.flush()
        except OSError as error:
            self._lose(error)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._below, name)

    def _lose(self, error: OSError) -> None:
        """Let the stream lead nowhere from here on, what it holds back included, and tell the process."""
        if error.errno not in _GONE:
            raise error
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self._below.fileno())
        os.close(nowhere)
        signal.raise_signal(TERMINAL_CLOSED)
