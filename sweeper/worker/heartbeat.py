"""A worker's signs of life, so that one at long work differs from one that hangs."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from sweeper.records.messages import Activity, Event, Working

EVERY_S: Final = 1.0
"""How often a worker at most says that it is still at what it does."""


class Heartbeat:
    """Says what the worker is at. Call it often: within any work that takes longer than a few seconds."""

    def __init__(self, send: Callable[[Event], None]) -> None:
        self._send = send
        self._activity: Activity = "loading"
        self._said_at = time.monotonic()

    def begin(self, activity: Activity) -> None:
        """Say that something else begins."""
        self._activity, self._said_at = activity, time.monotonic()
        self._send(Working(activity))

    def __call__(self) -> None:
        """Say that it goes on, if that was not said of late."""
        if time.monotonic() - self._said_at >= EVERY_S:
            self.begin(self._activity)
