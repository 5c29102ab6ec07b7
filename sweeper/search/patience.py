"""Waits for a study's database that is away: its server restarts, a connection is cut, the network is gone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain, repeat
from typing import Final, TypeVar

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from foundation.errors import StudyError, first_line
from foundation.secrets import redact

_PAUSES_S: Final = (0.0, 0.5, 1.0, 2.0)
"""Before the attempts after the first; a connection that was merely cut is there again at once, and nothing is said."""
_PAUSE_S: Final = 5.0
"""Before all later ones."""
LIMIT_S: Final = 3600.0
"""How long a database may be away before the study ends; its trials are saved then, and the same command goes on."""
_PASSING: Final = ("08", "40", "53", "55P03", "57P", "25P03", "25006")
"""Beginnings of SQLSTATEs that pass: connection lost, deadlock, out of resources, lock not to be had, shut down, idle
for too long, a standby that is not yet primary (PostgreSQL, appendix A)."""

T = TypeVar("T")


@dataclass(slots=True)
class Patience:
    """Makes what a database must do again until it is done. `clock` is in seconds, and `sleep` takes them."""

    say: Callable[[str], None]
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    def until_done(self, attempt: Callable[[bool], T]) -> T:
        """What `attempt` returns once the database is there for it.

        It hears whether an earlier one failed, which the database may have done all the same: where a connection is
        cut after COMMIT was sent, nobody knows.

        Raises:
            StudyError: the database was away for an hour.
        """
        away_since: float | None = None
        for number, pause in enumerate(_pauses()):
            try:
                done = attempt(number > 0)
            except Exception as error:
                reason = why_away(error)
                if reason is None:
                    raise
                away_since = self._wait(pause, reason, away_since)
            else:
                if away_since is not None:
                    self.say(f"the study's database is back after {self.clock() - away_since:.0f} s")
                return done
        raise AssertionError("pauses do not end")

    def _wait(self, pause: float, reason: str, away_since: float | None) -> float | None:
        if not pause:
            return None
        now = self.clock()
        if away_since is None:
            self.say(f"the study's database is away ({reason}); waiting for it, nothing is lost")
            away_since = now
        if now - away_since >= LIMIT_S:
            hours = LIMIT_S / 3600
            raise StudyError(f"the study's database was away for {hours:g} h ({reason}); the same command goes on")
        self.sleep(pause)
        return away_since


def why_away(error: BaseException) -> str | None:
    """Why the database cannot be reached now, though it may be later; None for any other error."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, DBAPIError):
        cause = cause.__cause__ or cause.__context__
    if cause is None:
        return None
    state = getattr(cause.orig, "sqlstate", None)
    unreachable = isinstance(cause, OperationalError | InterfaceError) and state is None
    passes = state is not None and str(state).startswith(_PASSING)
    return reason_of(cause) if unreachable or passes or cause.connection_invalidated else None


def reason_of(error: BaseException) -> str:
    """What the driver says, in one line without secrets."""
    return redact(first_line(getattr(error, "orig", None) or error))


def _pauses() -> Iterator[float]:
    return chain(_PAUSES_S, repeat(_PAUSE_S))
