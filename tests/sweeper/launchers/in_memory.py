"""A launcher whose workers are threads of this process: the port's contract, without processes or pipes."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Collection, Sequence
from pkgutil import resolve_name
from typing import Any

from sweeper.launchers.spec import LauncherSpec
from sweeper.records.config import Config
from sweeper.records.messages import DeviceFailed, Died, Event, Refused, Shutdown, WorkerCommand
from tests.sweeper.launchers.scripted import DeadError
from train.spec import ObjectiveSpec

GONE = object()
"""Stands for the end of what a worker says, or of what is said to it."""


class Ends:
    """A worker's end of the line. It breaks when the supervisor lets go."""

    def __init__(self, number: int, said: queue.SimpleQueue[tuple[Ends, Any]]) -> None:
        self.number = number
        self.said = said
        self.heard: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.broken = threading.Event()

    def send(self, event: Event) -> None:
        if self.broken.is_set():
            raise BrokenPipeError
        self.said.put((self, event))

    def recv(self) -> WorkerCommand:
        if (command := self.heard.get()) is GONE:
            raise EOFError
        return command  # type: ignore[no-any-return]

    def die(self, reason: str) -> None:
        raise DeadError(reason)

    def hang(self) -> None:
        self.broken.wait()
        raise DeadError("nobody")

    def let_go(self) -> None:
        self.broken.set()
        self.heard.put(GONE)


class InMemoryLauncher:
    """`Launcher` over threads."""

    work = "tests.sweeper.launchers.scripted:run"

    def __init__(self, config: Config, objectives: Sequence[ObjectiveSpec]) -> None:
        self._config, self._objectives = config, objectives
        self._said: queue.SimpleQueue[tuple[Ends, Any]] = queue.SimpleQueue()
        self._ends: dict[int, Ends] = {}
        self._threads: list[threading.Thread] = []
        self._pending: list[tuple[int, Event]] = []
        self._hurried = threading.Event()
        self.devices = ("thread 0", "thread 1")

    @staticmethod
    def check(spec: LauncherSpec) -> Sequence[str]:
        return ()

    def start(self, worker: int) -> None:
        if worker not in self._ends:
            self._ends[worker] = ends = Ends(worker, self._said)
            self._threads.append(threading.Thread(target=self._live, args=(ends,), daemon=True))
            self._threads[-1].start()

    def _live(self, ends: Ends) -> None:
        reason = "the worker ended with exit code 0"
        try:
            resolve_name(self.work)(self._config, self.devices[ends.number], ends, self._objectives)
        except DeadError as death:
            reason = str(death)
        except RuntimeError as error:
            reason = f"the worker ended with exit code 1: {error}"
        self._said.put((ends, Died(reason=reason)))

    def send(self, worker: int, command: WorkerCommand) -> None:
        if ends := self._ends.get(worker):
            ends.heard.put(command)

    def wait(self, timeout_s: float) -> list[tuple[int, Event]]:
        events, self._pending = self._pending, []
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                ends, event = self._said.get(timeout=0 if events else max(0, deadline - time.monotonic()))
            except queue.Empty:
                return events
            if self._ends.get(ends.number) is ends:
                events.append((ends.number, event))
                if isinstance(event, Died | Refused | DeviceFailed):
                    del self._ends[ends.number]

    def kill(self, worker: int, reason: str) -> None:
        if ends := self._ends.pop(worker, None):
            ends.let_go()
            self._pending.append((worker, Died(reason=reason)))

    def hurry(self) -> None:
        self._hurried.set()

    def shut_down(self, timeout_s: float, saving: Collection[int] = ()) -> None:
        for ends in self._ends.values():
            ends.heard.put(Shutdown())
        for thread in self._threads:
            thread.join(0.0 if self._hurried.is_set() else min(timeout_s, 2.0))
        for ends in self._ends.values():
            ends.let_go()
        self._ends = {}
