"""A worker's whole life in its process, and its last word when it cannot go on."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path

import torch
from safetensors import SafetensorError

from foundation.errors import UserError, first_line
from foundation.files.cache_use import noting_uses
from sweeper.records.config import Config
from sweeper.records.messages import DeviceFailed, Ready, Refused
from sweeper.records.paths import cache_of
from sweeper.worker.heartbeat import Heartbeat
from sweeper.worker.loading import Loaded, load
from sweeper.worker.slots import find_slots
from sweeper.worker.worker import Worker
from train.spec import ObjectiveSpec


def run_worker(config: Config, device: str, connection: Connection, objectives: Sequence[ObjectiveSpec]) -> None:
    """Run a worker to its end in this process; say in one line why it, or its device, cannot start or go on.

    `objectives` are all that trials may have: if its base cannot be trained by one of them, it does not start.
    """
    began = time.monotonic()
    try:
        _must_answer(device)
        with noting_uses(Path(config.study.folder) / config.study.name):
            loaded = load(config, device, objectives, cache_of(Path(config.study.folder)), Heartbeat(connection.send))
            if num_slots := find_slots(config, device, loaded, connection):
                worker = Worker(config, device, connection, loaded, num_slots)
                connection.send(_ready(loaded, worker, num_slots, device, time.monotonic() - began))
                worker.run()
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return  # the supervisor is gone before anything began
    except UserError as error:
        _say_last(connection, Refused(reason=str(error)))
    except (torch.OutOfMemoryError, torch.AcceleratorError, _NoAnswerError) as error:
        _say_last(connection, DeviceFailed(reason=first_line(error)))
    except (OSError, SafetensorError) as error:  # a full disk, a folder that is gone: no trial's fault
        said = f"the worker on {device} cannot go on: {error}; put that right, and the same command goes on"
        _say_last(connection, Refused(reason=said))


class _NoAnswerError(Exception):
    """Nothing can be put on the device."""


def _must_answer(device: str) -> None:
    """Touch the device: one that is busy, lost or not there says so now."""
    try:
        torch.zeros(1, device=device).item()
    except (RuntimeError, AssertionError) as error:
        raise _NoAnswerError(first_line(error)) from error


def _ready(loaded: Loaded, worker: Worker, num_slots: int, device: str, seconds: float) -> Ready:
    return Ready(
        num_slots=num_slots,
        device=device,
        num_train=len(loaded.dataset.train),
        num_validation=len(loaded.dataset.validation),
        notes=loaded.notes,
        base_images=worker.base_images(),
        seconds=seconds,
    )


def _say_last(connection: Connection, event: Refused | DeviceFailed) -> None:
    with suppress(BrokenPipeError, ConnectionResetError):
        connection.send(event)
