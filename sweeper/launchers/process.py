"""A worker's process on the machine that it trains on, whoever started it."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pkgutil import resolve_name
from typing import Any, Final, Literal, NoReturn

from foundation.processes import TERMINAL_CLOSED
from sweeper.records.config import Config
from train.spec import ObjectiveSpec

_THREADS: Final = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
"""Read by torch, numpy and what they compute with as they are imported."""
WORK: Final = "sweeper.worker.worker_main:run_worker"
"""What a worker's process runs."""


def environment_of(threads: int | Literal["auto"]) -> Mapping[str, str]:
    """What a worker's process must find in its environment to compute with so many threads."""
    return {} if threads == "auto" else dict.fromkeys(_THREADS, str(threads))


def how_it_ended(exit_code: int | None) -> str:
    """Why a process ended, in words."""
    if exit_code is not None and exit_code < 0:
        name = signal.Signals(-exit_code).name
        hint = " (the system may have run out of memory)" if name == "SIGKILL" else ""
        return f"the worker was ended by {name}{hint}"
    return f"the worker ended with exit code {exit_code}"


def run_process(
    config: Config, device: str, connection: Any, objectives: Sequence[ObjectiveSpec], work: str = WORK
) -> None:
    """In the new process: signals to end are the supervisor's to hear, and it tells the worker.

    `work` names the function that is a worker's whole life, `module:function`, which takes the rest.
    """
    for number in (signal.SIGINT, signal.SIGTERM, TERMINAL_CLOSED):
        signal.signal(number, signal.SIG_IGN)
    from foundation.quiet import quiet_libraries

    quiet_libraries()
    _compute_with(config.launcher.threads)
    try:
        resolve_name(work)(config, device, connection, objectives)
    except Exception:
        import traceback

        traceback.print_exc(file=sys.stderr)
        _leave(1)
    _leave(0)


def _compute_with(threads: int | Literal["auto"]) -> None:
    """Let torch take so many threads also where there are fewer cores: the environment alone it takes for a limit."""
    if threads != "auto":
        import torch

        torch.set_num_threads(threads)


def _leave(code: int) -> NoReturn:
    """End this process without tidying up, for which Python takes seconds: all that matters is on the disk."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)
