"""Workers as processes on this machine, one for each device; the CPU is one device."""

from __future__ import annotations

import math
import multiprocessing
import signal
import sys
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from queue import SimpleQueue
from threading import Thread
from types import ModuleType
from typing import ClassVar, Final

import torch

from foundation.devices import found_devices, why_on_cpu
from foundation.errors import ConfigError, first_line
from foundation.processes import in_environment, in_main_thread
from sweeper.launchers.process import WORK, environment_of, how_it_ended, run_process
from sweeper.launchers.spec import LauncherSpec, for_others
from sweeper.records.config import Config
from sweeper.records.messages import DeviceFailed, Died, Event, Refused, Shutdown, WorkerCommand
from train.spec import ObjectiveSpec

_MOMENT_S: Final = 4.0
"""How long a worker may take to end that has nothing to save."""
LOCAL: Final = ("devices",)
"""Fields that are for this launcher, beside those for all."""


@dataclass(slots=True)
class _Process:
    process: SpawnProcess
    connection: Connection
    outbox: SimpleQueue[WorkerCommand | None]
    """What is to be sent; a thread does so, since a worker may be writing to a full pipe itself. None ends it."""
    said_why: bool = False
    """Whether it said why it ends."""


class LocalLauncher:
    """`Launcher` over spawned processes and pipes. A worker that loses its pipe saves its slots and ends."""

    work: ClassVar[str] = WORK
    """See `run_process`."""

    def __init__(self, config: Config, objectives: Sequence[ObjectiveSpec]) -> None:
        self._config = config
        self._objectives = tuple(objectives)
        self._devices, _ = devices_of(config.launcher)
        self._workers: dict[int, _Process] = {}
        self._killed: list[tuple[int, Event]] = []
        self._latest = math.inf
        """When `shut_down` waits for nobody any more."""
        self._context = multiprocessing.get_context("spawn")  # fork and CUDA do not mix

    @staticmethod
    def check(spec: LauncherSpec) -> Sequence[str]:
        """See `Launcher`."""
        if problems := for_others(spec, "local", LOCAL):
            raise ConfigError(problems)
        return devices_of(spec)[1]

    @property
    def devices(self) -> Sequence[str]:
        """Device of each worker."""
        return self._devices

    def start(self, worker: int) -> None:
        """See `Launcher`."""
        if worker in self._workers:
            return
        ours, theirs = self._context.Pipe()
        arguments = (self._config, self._devices[worker], theirs, self._objectives, self.work)
        process = self._context.Process(target=run_process, args=arguments, name=f"worker{worker}")
        threads = environment_of(self._config.launcher.threads)
        with (
            _deaf_to_ctrl_c(),
            _without_main(),
            in_environment(threads),
        ):  # the process is born so; it imports for seconds
            process.start()
        theirs.close()
        outbox: SimpleQueue[WorkerCommand | None] = SimpleQueue()
        Thread(target=_post, args=(outbox, ours), daemon=True).start()
        self._workers[worker] = _Process(process, ours, outbox)

    def send(self, worker: int, command: WorkerCommand) -> None:
        """See `Launcher`."""
        if process := self._workers.get(worker):
            process.outbox.put(command)

    def wait(self, timeout_s: float) -> list[tuple[int, Event]]:
        """See `Launcher`."""
        events, self._killed = self._killed, []
        connections = {worker.connection: number for number, worker in self._workers.items()}
        for ready in wait(list(connections), 0 if events else timeout_s):
            assert isinstance(ready, Connection)
            events += self._read(connections[ready], ready)
        return events

    def _read(self, number: int, connection: Connection) -> list[tuple[int, Event]]:
        events: list[tuple[int, Event]] = []
        try:
            while connection.poll():
                event = connection.recv()
                self._workers[number].said_why |= isinstance(event, Refused | DeviceFailed)
                events.append((number, event))
        except (EOFError, ConnectionResetError):
            gone = self._workers.pop(number)
            gone.process.join()
            gone.outbox.put(None)
            connection.close()
            if not gone.said_why:
                events.append((number, Died(reason=how_it_ended(gone.process.exitcode))))
        return events

    def kill(self, worker: int, reason: str) -> None:
        """See `Launcher`."""
        if worker in self._workers:
            _kill(self._workers.pop(worker))
            self._killed.append((worker, Died(reason=reason)))

    def hurry(self) -> None:
        """See `Launcher`."""
        self._latest = min(self._latest, time.monotonic() + _MOMENT_S)

    def shut_down(self, timeout_s: float, saving: Collection[int] = ()) -> None:
        """See `Launcher`."""
        for number in list(self._workers):
            self.send(number, Shutdown())
        began = time.monotonic()
        while self._workers:
            for number, worker in list(self._workers.items()):
                patience = timeout_s if number in saving else min(timeout_s, _MOMENT_S)
                self._drain(worker.connection)  # a worker blocked on a full pipe could not end
                if not worker.process.is_alive() or time.monotonic() >= min(began + patience, self._latest):
                    _kill(self._workers.pop(number))
            time.sleep(0.02 if self._workers else 0)

    @staticmethod
    def _drain(connection: Connection) -> None:
        try:
            while connection.poll():
                connection.recv()
        except (EOFError, ConnectionResetError):
            return


LAUNCHER: Final = LocalLauncher


def devices_of(spec: LauncherSpec) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The devices that a config means and that are there, and a line for each that is not.

    Nothing is put on them: whether one is busy its worker finds out.

    Raises:
        ConfigError: none is there.
    """
    if spec.devices == "auto":
        reason = why_on_cpu()
        return found_devices(), (f"launcher.devices=auto: {reason}",) if reason else ()
    reasons = {name: _why_missing(name) for name in spec.devices}
    problems = [
        f"launcher.devices: {name} is not to be had ({reason}); use auto, cpu, cuda:0 …"
        for name, reason in reasons.items()
        if reason
    ]
    there = tuple(name for name in spec.devices if not reasons[name])
    if not there:
        raise ConfigError(problems)
    return there, tuple(problems)


def _why_missing(name: str) -> str:
    """Why there is no such device; nothing if there is."""
    try:
        device = torch.device(name)
    except RuntimeError as error:
        return first_line(error)
    if device.type == "cpu":
        return ""
    own = torch.accelerator.current_accelerator()
    if own is None or device.type != own.type:
        return f"this machine, or this build of torch, has {own.type if own else 'no accelerator'}"
    count = torch.accelerator.device_count()
    return f"there are {count} of them, counted from 0" if (device.index or 0) >= count else ""


@contextmanager
def _deaf_to_ctrl_c() -> Iterator[None]:
    if not in_main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _without_main() -> Iterator[None]:
    """Within the block a process that is spawned imports nothing of the program that spawns it.

    It would run the program's file anew, and a script that calls `run_study` would start a study in each worker.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def _post(outbox: SimpleQueue[WorkerCommand | None], connection: Connection) -> None:
    """Send what comes until the end; `wait` tells of the death of who cannot be reached any more."""
    with suppress(OSError):
        while (command := outbox.get()) is not None:
            connection.send(command)


def _kill(worker: _Process) -> None:
    """End a process that may be gone, and wait for it a moment: one that the system holds up does no more harm."""
    worker.process.kill()
    worker.process.join(_MOMENT_S)
    worker.outbox.put(None)
    worker.connection.close()
