"""A worker that learns nothing: it does what it is told, by numbers, so that its launcher can be seen."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from enum import IntEnum
from pathlib import Path
from typing import Any

import torch

from sweeper.records.config import Config
from sweeper.records.messages import (
    BaseLoaded,
    DeviceFailed,
    MeasureCapacity,
    Noted,
    OpenSlots,
    Refused,
    Rescore,
    Shutdown,
)

WORK = f"{__name__}:run"
LARGE = 5_000_000
"""Characters."""


class Order(IntEnum):
    """What `MeasureCapacity` may ask for."""

    EXIT = 1
    """End with exit code 3, after a last word."""
    BE_KILLED = 2
    REFUSE = 3
    FAIL = 4
    """Say that the device cannot be used."""
    RAISE = 5
    HANG = 6
    SAY_MUCH = 7
    """One large message."""
    TELL_THREADS = 8
    """Say how many it computes with."""


class DeadError(Exception):
    """How a worker ends that is a thread."""


def run(config: Config, device: str, connection: Any, objectives: object) -> None:
    """Say hello, then answer: to `OpenSlots(n)` 0 to n - 1, to an `Order` what it says, to `Rescore` its length."""
    connection.send(BaseLoaded(device))
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while True:
            match connection.recv():
                case OpenSlots(num_slots=count):
                    for number in range(count):
                        connection.send(Noted(str(number)))
                case MeasureCapacity(most=order):
                    if _obey(Order(order), connection):
                        return
                case Rescore(seeds=seeds):
                    connection.send(Noted(f"{len(seeds)} seeds"))
                case Shutdown():
                    break
    saved = Path(config.study.folder) / config.study.name / f"saved-{os.getpid()}"
    saved.write_text("all there is")


def _obey(order: Order, connection: Any) -> bool:
    """Whether that was all."""
    die = getattr(connection, "die", None)
    match order:
        case Order.EXIT:
            connection.send(Noted("last words"))
            die("the worker ended with exit code 3") if die else os._exit(3)
        case Order.BE_KILLED:
            die("the worker was ended by SIGKILL") if die else os.kill(os.getpid(), signal.SIGKILL)
        case Order.REFUSE:
            connection.send(Refused(reason="no such base"))
        case Order.FAIL:
            connection.send(DeviceFailed(reason="out of memory"))
        case Order.RAISE:
            raise RuntimeError("a defect")
        case Order.HANG:
            connection.hang() if die else time.sleep(1000)
        case Order.SAY_MUCH:
            connection.send(Noted("x" * LARGE))
            return False
        case Order.TELL_THREADS:
            connection.send(Noted(f"{torch.get_num_threads()} threads"))
            return False
    return True
