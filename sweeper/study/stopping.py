"""Signals that end a study: the first lets every trial save its state, a second one does not wait for that."""

from __future__ import annotations

import os
import signal
import sys
import time
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final

from foundation.json_output import finish
from foundation.processes import TERMINAL_CLOSED, in_main_thread

REASONS: Final = {
    signal.SIGINT: "stopped by hand (Ctrl-C)",
    signal.SIGTERM: "ended by SIGTERM",
    TERMINAL_CLOSED: "its terminal was closed, or what read its output",
}
"""What ends a study, in words."""
_SAME_S: Final = 1.0
"""Signals that are so near one another are one: a terminal and what runs in it may both pass it on."""


@dataclass(slots=True)
class Stop:
    """A handler of signals. The first raises KeyboardInterrupt, unless the end has begun by itself."""

    say: Callable[[str], None]
    clock: Callable[[], float] = time.monotonic
    hurry: Callable[[], None] = lambda: None
    """What a second one calls."""
    reason: str = ""
    """Of the first, in words."""
    hurried: bool = False
    _begun_at: float | None = None

    def begin(self) -> None:
        """The end has begun: nothing is to be interrupted any more."""
        if self._begun_at is None:
            self._begun_at = self.clock() - _SAME_S

    def leave(self, code: int) -> None:
        """All is closed: where somebody is in a hurry, end at once, without the seconds that Python tidies up for."""
        if self.hurried:
            finish(code)
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def __call__(self, number: int, _: types.FrameType | None) -> None:
        """Python's handler of a signal."""
        if self._begun_at is None:
            self._begun_at, self.reason = self.clock(), REASONS[signal.Signals(number)]
            raise KeyboardInterrupt
        watched = number != TERMINAL_CLOSED  # else nobody is there to be in a hurry
        again = watched and self.clock() - self._begun_at >= _SAME_S
        if again and not self.hurried:
            self.hurried = True
            self.hurry()
            with suppress(RuntimeError):  # in the midst of another line
                self.say("ending at once; trials go on from their last evaluation")


@contextmanager
def stoppable(say: Callable[[str], None]) -> Iterator[Stop]:
    """Within the block SIGTERM, and SIGHUP of a terminal that is closed, end a study as cleanly as Ctrl-C does.

    Not SIGHUP where the process was started to survive it, as by nohup. Python hears signals in the main thread alone:
    in another one nothing ends a study.
    """
    stop = Stop(say)
    if not in_main_thread():
        yield stop
        return
    numbers = [each for each in REASONS if each != TERMINAL_CLOSED or signal.getsignal(each) != signal.SIG_IGN]
    before = {number: signal.signal(number, stop) for number in numbers}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
