"""A worker's process on a node. It outlives its actor only to save its trials."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final

from sweeper.launchers.process import run_process
from sweeper.records import lease
from sweeper.records.config import Config
from train.spec import ObjectiveSpec

_LOOK_EVERY_S: Final = 0.5


def run_child(
    config: Config,
    device: str,
    connection: Connection,
    side: Connection,
    objectives: Sequence[ObjectiveSpec],
    work: str,
    errors: Path,
    alone_s: float,
) -> None:
    """Run a worker, as `run_process` does.

    `config`, `device`, `connection`, `objectives` and `work` are as there. `side` is where it agrees with other
    machines on who makes what all share; what it prints goes to the file `errors`. It ends `alone_s` seconds after its
    actor has, whatever it is at: its trials are others' then.
    """
    if hasattr(os, "setsid"):
        os.setsid()  # Ray ends an actor's process group with it
    output = os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(output, 1)
    os.dup2(output, 2)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    threading.Thread(target=_end_alone, args=(os.getppid(), alone_s), daemon=True).start()
    lease.elsewhere = _agree_by(side)
    run_process(config, device, connection, objectives, work)


def _end_alone(parent: int, alone_s: float) -> None:
    while os.getppid() == parent:
        time.sleep(_LOOK_EVERY_S)
    time.sleep(alone_s)
    os._exit(1)


def _agree_by(side: Connection) -> lease.Agree:
    """Ask the actor, which asks the supervisor."""

    @contextmanager
    def agree(name: str, working: Callable[[], None]) -> Iterator[None]:
        side.send(("begin", name))
        while not side.poll(_LOOK_EVERY_S):
            working()
        side.recv()
        try:
            yield
        finally:
            side.send(("done", name))
            side.recv()

    return agree
