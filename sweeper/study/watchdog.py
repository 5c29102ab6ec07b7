"""Notices a worker that hangs: it says nothing for longer than what it does can take."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import psutil

from sweeper.launchers.spec import LauncherSpec
from sweeper.records.messages import Activity

SHORTEST_S: Final = 60.0
"""No worker is taken for hung sooner, however fast it was."""
_MAX_GAP_S: Final = 5.0
"""What counts at most of the time between two looks. Where the supervisor was held up itself (a locked database,
Ctrl-Z, a laptop asleep), nobody heard what the workers said."""


def crowding() -> float:
    """How many processes want each core of this machine, 1 at least: all of them are so much slower."""
    return max(1.0, float(psutil.getloadavg()[0]) / (os.cpu_count() or 1))


@dataclass(slots=True)
class _Watched:
    """A worker."""

    activity: Activity | None = None
    """None: it waits for the supervisor, which may take as long as it wants."""
    silent_s: float = 0.0
    newcomer: bool = True
    """What it does now was not measured yet: the first steps of a trial may compile."""
    longest_s: dict[Activity, float] = field(default_factory=dict)
    """Its longest silences so far, by what it did."""


class Watchdog:
    """Silence of workers, who go by number. Called from one thread, `tick` after each wait for words of theirs."""

    def __init__(
        self,
        spec: LauncherSpec,
        clock: Callable[[], float] = time.monotonic,
        crowding: Callable[[], float] = crowding,
    ) -> None:
        self._spec = spec
        self._crowding = crowding
        self._clock = clock
        self._now = clock()
        self._watched: dict[int, _Watched] = {}

    def start(self, worker: int) -> None:
        """A worker's process begins: nothing of it was measured yet."""
        self._watched[worker] = _Watched(activity="loading")

    def expect(self, worker: int, activity: Activity) -> None:
        """The worker has work of which it is not known how long it takes."""
        watched = self._watched.setdefault(worker, _Watched())
        watched.activity, watched.silent_s, watched.newcomer = activity, 0.0, True

    def rest(self, worker: int) -> None:
        """The worker has nothing to do."""
        self._watched.setdefault(worker, _Watched()).activity = None

    def hear(self, worker: int, activity: Activity | None = None) -> None:
        """The worker said something; with an `activity`, that it is at it, which tells how long its silences are."""
        watched = self._watched.setdefault(worker, _Watched())
        if activity is not None:
            if watched.activity is not None and not watched.newcomer:
                longest = watched.longest_s.get(watched.activity, 0.0)
                watched.longest_s[watched.activity] = max(longest, watched.silent_s)
            watched.newcomer = watched.activity != activity and activity not in watched.longest_s
            watched.activity = activity
        watched.silent_s = 0.0

    def tick(self) -> None:
        """Let the time since the last look count as silence, until someone is heard."""
        before, self._now = self._now, self._clock()
        for watched in self._watched.values():
            if watched.activity is not None:
                watched.silent_s += min(self._now - before, _MAX_GAP_S)

    def hung(self) -> dict[int, str]:
        """Workers that have been silent for too long, each with the reason in words; each is named once."""
        found = {}
        for worker, watched in self._watched.items():
            limit = self._limit_s(watched)
            if watched.activity is not None and limit is not None and watched.silent_s > limit:
                found[worker] = f"it hung: no sign of life for {watched.silent_s:.0f} s while {watched.activity}"
                watched.activity = None
        return found

    def _limit_s(self, watched: _Watched) -> float | None:
        if watched.activity is None:
            return None
        if watched.activity == "loading":
            return self._spec.load_timeout_s
        if watched.newcomer or watched.activity not in watched.longest_s:
            return self._spec.first_timeout_s
        factor = self._spec.hang_factor
        if factor is None:
            return None
        return max(SHORTEST_S, factor * watched.longest_s[watched.activity]) * self._crowding()
