"""A value that takes long to compute, computed in a thread of its own while others go on with the one before."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Generic, TypeVar

from foundation.errors import UserError

T = TypeVar("T")
_ONE_AT_A_TIME: Final = threading.Lock()
"""Who computes silences warnings, which is for the whole process; and several at once would only take turns."""


class Beside(Generic[T]):
    """The value of a stamp; asked from one thread at a time."""

    def __init__(self) -> None:
        self._stamp: object = None
        self._value: T | None = None
        self._thread: threading.Thread | None = None

    def newest(self, stamp: object, compute: Callable[[], T]) -> T | None:
        """Return the value that is known, None before there is any; begin to compute that of `stamp` if it is another.

        Where `compute` raises a UserError the value before stays, and it is not tried again for this stamp.
        """
        if stamp != self._stamp and (self._thread is None or not self._thread.is_alive()):
            self._stamp = stamp
            self._thread = threading.Thread(target=self._compute, args=(compute,), daemon=True)
            self._thread.start()
        return self._value

    def _compute(self, compute: Callable[[], T]) -> None:
        with _ONE_AT_A_TIME, suppress(UserError):
            self._value = compute()
