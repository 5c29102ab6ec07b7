"""A worker's actor: it runs on the worker's node, starts its process, and carries what both sides say.

Each of its methods may be called again with the same arguments, as Ray does after a broken connection: words are kept
until the supervisor has said that it has them, and what is said to it is numbered.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import deque
from typing import Any, Final

from sweeper.launchers.ray.node import Node
from sweeper.launchers.ray.versions import differences, own_versions
from sweeper.launchers.ray.words import Answer, Arrived, Leave, Part, Saying, Setup, Word
from sweeper.records.messages import DeviceFailed

BEATS: Final = 6
"""Calls in the time of a lease: so many must fail before anybody is taken for gone."""
_MOST_BYTES: Final = 256 * 2**20
_MOST_WORDS: Final = 1000
"""What is kept for the supervisor; beyond, the worker waits for it as at a full pipe."""
_SAVE_FROM: Final = 0.6
"""The part of a lease after which a worker that hears nothing from its supervisor saves and ends."""


class RayWorker:
    """The actor. Ray calls its methods from several threads."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._changed = threading.Condition()
        self._words: deque[Word] = deque()
        self._num_words = 0
        self._bytes = 0
        self._sayings: dict[int, tuple[Saying, tuple[Part, ...]]] = {}
        """Those that came before their turn."""
        self._num_sayings = 0
        self._taking = threading.Lock()
        self._answers: dict[int, Any] = {}
        self._beat = -1
        self._lease = _Lease(setup.config.launcher.lease_s)
        self._node = Node(setup, self)
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, lambda *_: self._leave_soon())
        threading.Thread(target=self._run, daemon=True).start()
        threading.Thread(target=self._watch_lease, daemon=True).start()

    def listen(self, beat: int, seen: int) -> tuple[Word, ...]:
        """What was said after the word `seen`, in order; empty where that takes long. Up to there all is forgotten.

        `beat` grows with each call of the caller's: who calls again has had the answer before, so the lease goes on
        from there.
        """
        with self._changed:
            if beat > self._beat:
                self._beat = beat
                self._lease.renew()
            while self._words and self._words[0].number <= seen:
                self._bytes -= _size(self._words.popleft())
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._num_words > seen, self._lease.seconds / BEATS)
            self._lease.answer()
            return tuple(self._words)

    def say(self, number: int, saying: Saying, parts: tuple[Part, ...] = ()) -> None:
        """Take what is said to the worker, with files; 1, 2 …, in that order however they come."""
        with self._taking:
            if number > self._num_sayings:
                self._sayings[number] = (saying, parts)
            while (following := self._sayings.pop(self._num_sayings + 1, None)) is not None:
                self._num_sayings += 1
                self._take(*following)

    def end(self) -> None:
        """End at once, with the worker's process."""
        self._node.kill()
        os._exit(0)

    def tell(self, said: Any, parts: tuple[Part, ...] = ()) -> int:
        """Say something to the supervisor; its number. Waits while too much is unheard."""
        with self._changed:
            self._changed.wait_for(lambda: self._bytes < _MOST_BYTES and len(self._words) < _MOST_WORDS)
            self._num_words += 1
            word = Word(self._num_words, said, parts)
            self._words.append(word)
            self._bytes += _size(word)
            self._changed.notify_all()
            return word.number

    def ask(self, said: Any) -> Any:
        """The same, and wait for the answer."""
        number = self.tell(said)
        with self._changed:
            self._changed.wait_for(lambda: number in self._answers)
            return self._answers.pop(number)

    def _take(self, saying: Saying, parts: tuple[Part, ...]) -> None:
        if isinstance(saying, Answer):
            with self._changed:
                self._answers[saying.to] = saying.value
                self._changed.notify_all()
        elif isinstance(saying, Leave):
            self._leave_soon()
        else:
            self._node.take(saying, parts)

    def _run(self) -> None:
        self.tell(Arrived(self._node.device_name, self._node.id, self._node.shares))
        if problem := differences(self._setup.versions, own_versions()):
            self.tell(DeviceFailed(reason=f"{self._node.host} has other versions: {problem}; install the same on both"))
            return
        self._node.run()

    def _leave_soon(self) -> None:
        """From a signal handler, or on being told so."""
        threading.Thread(target=self._node.leave, args=("its machine goes",), daemon=True).start()

    def _watch_lease(self) -> None:
        """Save in time where nobody calls any more, and end for good when others may have the trials."""
        while not self._lease.is_over():
            time.sleep(self._lease.seconds / 50)
            if self._lease.spent() > _SAVE_FROM:
                self._node.leave("it heard nothing of its supervisor")
        self.end()


class _Lease:
    """How long the supervisor holds this worker to be alive, at least. Time in which the machine slept counts."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._answered = self._from = time.clock_gettime(time.CLOCK_BOOTTIME)

    def answer(self) -> None:
        """The supervisor gets an answer, and will hold the worker to be alive for so long from then on."""
        self._answered = time.clock_gettime(time.CLOCK_BOOTTIME)

    def renew(self) -> None:
        """The supervisor has the last answer."""
        self._from = self._answered

    def spent(self) -> float:
        """The part of the lease that is over."""
        return (time.clock_gettime(time.CLOCK_BOOTTIME) - self._from) / self.seconds

    def is_over(self) -> bool:
        """Whether all of it is."""
        return self.spent() >= 1


def _size(word: Word) -> int:
    return sum(len(content) for part in word.parts for _, content in part.files)
