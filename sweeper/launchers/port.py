"""The port of a launcher: it starts workers somewhere and carries messages."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from sweeper.launchers.spec import LauncherSpec
from sweeper.records.config import Config
from sweeper.records.messages import Event, WorkerCommand
from train.spec import ObjectiveSpec


class Launcher(Protocol):
    """Workers by number, 0 to `num_workers - 1`. Used by the supervisor's one thread."""

    def __init__(self, config: Config, objectives: Sequence[ObjectiveSpec]) -> None:
        """Start nothing yet. Workers get `config`; `objectives` are those that trials may have."""

    @staticmethod
    def check(spec: LauncherSpec) -> Sequence[str]:
        """Return a line for each device that is not there, before anything is written.

        Raises:
            ConfigError: no device is there, or the settings are wrong.
        """

    @property
    def devices(self) -> Sequence[str]:
        """Device of each worker."""

    def start(self, worker: int) -> None:
        """Start a worker, unless it runs; one that died starts anew. When it is up it says `Ready`, or `Refused` or

        `DeviceFailed` if it cannot be."""

    def send(self, worker: int, command: WorkerCommand) -> None:
        """Hand a command to a worker; to one that died it is lost."""

    def wait(self, timeout_s: float) -> list[tuple[int, Event]]:
        """Events since the last call, in order for each worker; waits up to `timeout_s` for the first.

        A worker that ended by itself is reported once as `Died`, after its last words.
        """

    def kill(self, worker: int, reason: str) -> None:
        """End a worker by force; the next `wait` reports it as `Died` for this reason."""

    def shut_down(self, timeout_s: float, saving: Collection[int] = ()) -> None:
        """Let every worker end; end by force what has not: those that are `saving` after `timeout_s`, others soon.

        `hurry` may be called meanwhile.
        """

    def hurry(self) -> None:
        """From a signal handler: let a `shut_down` that is going on, or comes, wait for nobody."""
