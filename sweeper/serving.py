"""A worker's whole life in its process, and its last word when it cannot go on."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from multiprocessing.connection import Connection

from safetensors import SafetensorError

from foundation.errors import UserError
from sweeper.config import Config
from sweeper.messages import Refused
from sweeper.worker import Worker
from train.spec import ObjectiveSpec


def serve(config: Config, device: str, connection: Connection, objectives: Sequence[ObjectiveSpec]) -> None:
    """Run a worker to its end in this process; say in one line why it cannot start or go on.

    `objectives` are all that trials may have: if its base cannot be trained by one of them, it does not start.
    """
    try:
        Worker(config, device, connection, objectives).run()
    except (BrokenPipeError, ConnectionResetError):
        return  # the supervisor is gone before anything began
    except UserError as error:
        _refuse(connection, str(error))
    except (OSError, SafetensorError) as error:  # a full disk, a folder that is gone: no trial's fault
        _refuse(
            connection, f"the worker on {device} cannot go on: {error}; put that right, and the same command goes on"
        )


def _refuse(connection: Connection, reason: str) -> None:
    with suppress(BrokenPipeError, ConnectionResetError):
        connection.send(Refused(reason=reason))
