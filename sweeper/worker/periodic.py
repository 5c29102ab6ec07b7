"""What is done every so many seconds."""

from __future__ import annotations

import time
from collections.abc import Callable


class Periodic:
    """Tells when it is time again; never where `every_s` is None."""

    def __init__(self, every_s: float | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._every_s = every_s
        self._clock = clock
        self._last = clock()

    def is_due(self) -> bool:
        """Whether so long has passed since the beginning, or since it was last due."""
        if self._every_s is None or self._clock() - self._last < self._every_s:
            return False
        self._last = self._clock()
        return True
