"""What a study says of memory when it begins: computed in a process of its own, while the workers load the base."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final

from foundation.bases.folder import base_location
from foundation.bases.spec import BaseSpec
from foundation.errors import UserError
from sweeper.records.config import Config
from sweeper.search.space import Plan

_WORTH_IT: Final = 1_000_000_000
"""Bytes of weights on the disk: what is smaller fits anywhere, and is loaded before it is forecast."""
_PATIENCE_S: Final = 60.0
"""How long a study waits for it, whose workers load meanwhile."""


@contextmanager
def forecasting(request: Plan, config: Config) -> Iterator[Callable[[], list[str]]]:
    """Yield what waits for the lines on memory; none for a small base, and for devices that are not this machine's."""
    if config.launcher.name != "local" or _is_small(config.base):
        yield list
        return
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_forecast, args=(request, config, theirs), daemon=True)
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the study's
    try:
        process.start()
    finally:
        signal.signal(signal.SIGINT, before)
    theirs.close()

    def lines() -> list[str]:
        with suppress(EOFError, OSError):  # it was killed, for want of memory perhaps
            return list(ours.recv()) if ours.poll(_PATIENCE_S) else []
        return []

    try:
        yield lines
    finally:
        process.kill()
        process.join()
        ours.close()


def _is_small(spec: BaseSpec) -> bool:
    location = Path(base_location(spec))
    return location.is_dir() and sum(file.stat().st_size for file in location.rglob("*.safetensors")) < _WORTH_IT


def _forecast(request: Plan, config: Config, connection: Connection) -> None:
    """In the new process."""
    from foundation.quiet import quiet_libraries

    quiet_libraries()
    from sweeper.forecast.words import lines_at_start

    try:
        said = lines_at_start(request, config)
    except UserError as error:
        said = [f"memory: not known before the base is loaded: {error}"]
    connection.send(said)
