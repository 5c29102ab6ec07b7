"""Workers as processes on this machine, one for each device; the CPU is one device."""

from __future__ import annotations

import multiprocessing
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any

import torch

from foundation.errors import ConfigError
from sweeper.config import Config, LauncherSpec
from sweeper.messages import Command, Died, Event, Refused, Shutdown
from train.spec import ObjectiveSpec


@dataclass(slots=True)
class _Process:
    process: SpawnProcess
    connection: Connection


class LocalLauncher:
    """`Launcher` over spawned processes and pipes. A worker that loses its pipe saves its slots and ends."""

    def __init__(self, config: Config, objectives: Sequence[ObjectiveSpec]) -> None:
        self._config = config
        self._objectives = tuple(objectives)
        self._devices = devices_of(config.launcher)
        self._workers: dict[int, _Process] = {}
        self._context = multiprocessing.get_context("spawn")  # fork and CUDA do not mix

    @property
    def devices(self) -> Sequence[str]:
        """Device of each worker."""
        return self._devices

    def start(self, worker: int) -> None:
        """See `Launcher`."""
        if worker in self._workers:
            return
        ours, theirs = self._context.Pipe()
        arguments = (self._config, self._devices[worker], theirs, self._objectives)
        process = self._context.Process(target=_run, args=arguments, name=f"worker{worker}")
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process is born so; it imports for seconds
        try:
            process.start()
        finally:
            signal.signal(signal.SIGINT, before)
        theirs.close()
        self._workers[worker] = _Process(process, ours)

    def send(self, worker: int, command: Command) -> None:
        """See `Launcher`."""
        try:
            self._workers[worker].connection.send(command)
        except (BrokenPipeError, ConnectionResetError, KeyError):
            return  # `wait` tells of its death

    def wait(self, timeout_s: float) -> list[tuple[int, Event]]:
        """See `Launcher`."""
        events: list[tuple[int, Event]] = []
        connections = {worker.connection: number for number, worker in self._workers.items()}
        for ready in wait(list(connections), timeout_s):
            assert isinstance(ready, Connection)
            events += self._read(connections[ready], ready)
        return events

    def _read(self, number: int, connection: Connection) -> list[tuple[int, Event]]:
        events: list[tuple[int, Event]] = []
        try:
            while connection.poll():
                events.append((number, connection.recv()))
        except (EOFError, ConnectionResetError):
            process = self._workers.pop(number).process
            process.join()
            connection.close()
            refused = any(isinstance(event, Refused) for _, event in events)
            if not refused:
                events.append((number, Died(reason=_how_it_ended(process.exitcode))))
        return events

    def shut_down(self, timeout_s: float) -> None:
        """See `Launcher`."""
        for number in list(self._workers):
            self.send(number, Shutdown())
        deadline = time.monotonic() + timeout_s
        for worker in self._workers.values():
            while worker.process.is_alive() and time.monotonic() < deadline:
                self._drain(worker.connection)  # a worker blocked on a full pipe could not end
                worker.process.join(0.05)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
            worker.connection.close()
        self._workers.clear()

    @staticmethod
    def _drain(connection: Connection) -> None:
        try:
            while connection.poll():
                connection.recv()
        except (EOFError, ConnectionResetError):
            return


def devices_of(spec: LauncherSpec) -> tuple[str, ...]:
    """The devices that a config means, each checked to be there.

    Raises:
        ConfigError: for a name that torch does not know or a device that is not there.
    """
    if spec.devices == "auto":
        count = torch.cuda.device_count()
        return tuple(f"cuda:{i}" for i in range(count)) if count else ("cpu",)
    problems = []
    for name in spec.devices:
        try:
            torch.empty(0, device=name)
        except (RuntimeError, AssertionError) as error:
            reason = str(error).splitlines()[0]
            problems.append(f"launcher.devices: {name} is not to be had ({reason}); use auto, cpu, cuda:0 …")
    if problems:
        raise ConfigError(problems)
    return tuple(spec.devices)


def _how_it_ended(exit_code: int | None) -> str:
    if exit_code is not None and exit_code < 0:
        name = signal.Signals(-exit_code).name
        hint = " (the system may have run out of memory)" if name == "SIGKILL" else ""
        return f"the worker was ended by {name}{hint}"
    return f"the worker ended with exit code {exit_code}"


def _run(config: Config, device: str, connection: Any, objectives: Sequence[ObjectiveSpec]) -> None:
    """In the new process: signals to end are the supervisor's to hear, and it tells the worker."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    from foundation.quiet import quiet_libraries

    quiet_libraries()
    from sweeper.serving import serve

    try:
        serve(config, device, connection, objectives)
    except Exception:
        import traceback

        traceback.print_exc(file=sys.stderr)
        raise SystemExit(1) from None
