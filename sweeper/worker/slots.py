"""How many trials a worker's device takes at once: as the config says, or as was measured on a device of its kind."""

from __future__ import annotations

from multiprocessing.connection import Connection

import torch

from foundation.devices import kind_of
from sweeper.records.config import Config
from sweeper.records.messages import BaseLoaded, CapacityMeasured, MeasureCapacity, OpenSlots, Shutdown
from sweeper.worker.loading import Loaded
from train.capacity import best_count, measure_capacity


def find_slots(config: Config, device: str, loaded: Loaded, connection: Connection) -> int:
    """Return the number of slots; where the config leaves it open, what the supervisor says. 0: there is no work.

    Raises:
        EOFError: the supervisor is gone.
    """
    if config.study.slots != "auto":
        return min(config.study.slots, config.study.num_trials)
    connection.send(BaseLoaded(kind_of(torch.device(device))))
    while True:
        match connection.recv():
            case MeasureCapacity(most=most):
                curve = tuple(measure_capacity(loaded.base, loaded.data, config.trial, most))
                connection.send(CapacityMeasured(capacity=curve, num_slots=best_count(curve)))
            case OpenSlots(num_slots=num_slots):
                return int(num_slots)
            case Shutdown():
                return 0
            case other:
                raise AssertionError(f"{other} before there are slots")
