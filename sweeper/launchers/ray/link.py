"""One life of a worker, as the supervisor's side holds it: its actor, what was heard of it, what was said to it."""

from __future__ import annotations

import itertools
import threading
from typing import Any

import ray

from sweeper.launchers.ray.words import Part, Saying


class Link:
    """The thread that listens and the supervisor's share it: one hears, both may speak."""

    def __init__(self, worker: int, actor: Any) -> None:
        self.worker = worker
        self.actor = actor
        self.node: str | None = None
        """Ray's id of its node, once it runs."""
        self.shares = False
        """Whether its node sees the study's folder."""
        self.seen = 0
        """The last word that came."""
        self.silent_s = 0.0
        """Since anything came; while it waits for a place nothing counts."""
        self.leaves = False
        """Whether it was told that its node goes."""
        self._beats = itertools.count()
        self._sayings = itertools.count(1)
        self._speaking = threading.Lock()
        self.listening = self._listen()

    def listen(self) -> None:
        """Ask for what comes next."""
        self.listening = self._listen()

    def say(self, saying: Saying, parts: tuple[Part, ...] = ()) -> None:
        """Say something; to a dead actor it is lost."""
        with self._speaking:
            self.actor.say.remote(next(self._sayings), saying, parts)

    def end(self, timeout_s: float) -> None:
        """End the actor and its process, as far as they can be reached."""
        if self.node is not None:
            ray.wait([self.actor.end.remote()], timeout=timeout_s)
        ray.kill(self.actor)

    def _listen(self) -> ray.ObjectRef[Any]:
        heard: ray.ObjectRef[Any] = self.actor.listen.remote(next(self._beats), self.seen)
        return heard
