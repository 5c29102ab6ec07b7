"""A worker's place on its node: its folder, its process, and the files that come and go."""

from __future__ import annotations

import getpass
import multiprocessing
import os
import secrets
import shutil
import socket
import sys
import tempfile
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import ray

from foundation.errors import UserError
from foundation.files.cache_use import uses_of
from foundation.files.durable import PARTIAL
from sweeper.launchers.process import how_it_ended
from sweeper.launchers.ray.assets import copy_in_pieces, with_assets
from sweeper.launchers.ray.child import run_child
from sweeper.launchers.ray.travel import Shipments, relocate
from sweeper.launchers.ray.words import Begin, Done, Mark, Part, Pull, Setup
from sweeper.launchers.spec import LauncherSpec
from sweeper.records.attempts import note_attempt
from sweeper.records.messages import (
    Admit,
    DeviceFailed,
    Died,
    Drew,
    Evaluated,
    Event,
    Failed,
    Finished,
    Refused,
    Rescored,
    Saved,
    Shutdown,
    WorkerCommand,
)
from sweeper.records.paths import cache_of, trial_of

if TYPE_CHECKING:
    from sweeper.launchers.ray.actor import RayWorker

_CACHE: Final = -1


class Node:
    """Runs the worker's process. `actor` is told of all that is to be heard elsewhere."""

    def __init__(self, setup: Setup, actor: RayWorker) -> None:
        self._setup = setup
        self._actor = actor
        self._leaving = ""
        """Why the worker was told to save and end, if it was."""
        context = ray.get_runtime_context()
        self.id: str = context.get_node_id()
        self.host = socket.gethostname()
        gpus = context.get_accelerator_ids().get("GPU", [])
        self._device = "cuda:0" if gpus else "cpu"
        self.device_name = f"{self.host}/{'cuda:' + ','.join(gpus) if gpus else 'cpu'}"
        self.shares = _sees(setup.probe)
        """Whether it sees the supervisor's folder."""
        self._there = Path(setup.config.study.folder)
        """The studies' folder on the supervisor's machine."""
        self._here = self._there
        self._shipments: Shipments | None = None
        self._process: SpawnProcess | None = None
        self._connection: Connection | None = None
        self._sending = threading.Lock()
        self._early: list[tuple[WorkerCommand, tuple[Part, ...]]] = []

    def run(self) -> None:
        """Find out what the node sees, start the process, carry its words until it ends."""
        try:
            config = self._prepare()
        except (OSError, UserError) as error:
            self._actor.tell(DeviceFailed(reason=f"{self.host} cannot be used: {error}"))
            return
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        side, childs_side = context.Pipe()
        handle, errors = tempfile.mkstemp(prefix="sweeper-worker-")
        os.close(handle)
        arguments = (config, self._device, theirs, childs_side, self._setup.objectives, self._setup.work, Path(errors))
        process = context.Process(target=run_child, args=(*arguments, self._setup.config.launcher.lease_s / 2))
        with _without_main():
            process.start()
        theirs.close()
        childs_side.close()
        with self._sending:
            self._process, self._connection = process, ours
            early, self._early = self._early, []
            for command in early:
                self._send(*command)
        said_why = self._carry(ours, side)
        process.join()
        if not said_why:
            self._actor.tell(self._death(process.exitcode, Path(errors)))
        Path(errors).unlink(missing_ok=True)
        if self._shipments:
            shutil.rmtree(self._here, ignore_errors=True)

    def take(self, command: WorkerCommand, parts: tuple[Part, ...] = ()) -> None:
        """Hand a command to the process, once there is one."""
        with self._sending:
            if self._connection is None:
                self._early.append((command, parts))
            else:
                self._send(command, parts)

    def leave(self, why: str) -> None:
        """Let the process save and end, as nobody is to blame for."""
        if not self._leaving:
            self._leaving = why
            self.take(Shutdown())

    def kill(self) -> None:
        """End the process by force."""
        if self._process is not None:
            self._process.kill()

    def _send(self, command: WorkerCommand, parts: tuple[Part, ...]) -> None:
        assert self._connection is not None
        if self._shipments:
            command = relocate(command, self._there, self._here)
            if isinstance(command, Admit):
                self._shipments.forget(command.folder)
                note_attempt(command.folder, command.attempt)
            self._shipments.write(parts)
        with suppress(OSError):
            self._connection.send(command)

    def _prepare(self) -> Any:
        """The config as it holds here."""
        config = self._setup.config
        if self.shares:
            return config
        root = node_root(config.launcher)
        must_be_writable(root)
        self._here = root / "work" / f"{config.study.name}-{self._setup.number}-{os.getpid()}"
        self._here.mkdir(parents=True)
        (root / "cache").mkdir(exist_ok=True)
        cache_of(self._here).symlink_to(root / "cache")
        self._shipments = Shipments(self._here)
        found = with_assets(config, self._setup.assets, root, lambda *piece: self._actor.ask(Pull(*piece)))
        return replace(found, study=replace(found.study, folder=str(self._here)))

    def _carry(self, connection: Connection, side: Connection) -> bool:
        """Pass on what the process says, until it ends; whether it said why."""
        said_why, open_ends = False, {connection, side}
        while connection in open_ends:
            for ready in wait(list(open_ends)):
                assert isinstance(ready, Connection)
                try:
                    said = ready.recv()
                except (EOFError, ConnectionResetError):
                    open_ends.discard(ready)
                    continue
                if ready is side:
                    threading.Thread(target=self._agree, args=(side, *said), daemon=True).start()
                else:
                    said_why |= isinstance(said, Refused | DeviceFailed)
                    self._pass_on(said)
        return said_why

    def _pass_on(self, event: Event) -> None:
        parts: tuple[Part, ...] = ()
        if self._shipments:
            folder = self._here / self._setup.config.study.name
            match event:
                case Evaluated(trial=trial) | Saved(trial=trial) | Failed(trial=trial) | Finished(trial=trial):
                    parts = self._shipments.news_of_trial(trial_of(folder, trial))
                case Rescored(pictures=pictures) | Drew(pictures=pictures):
                    parts = self._shipments.news([pictures] if pictures.exists() else [])
            event = relocate(event, self._here, self._there)
        self._actor.tell(event, parts)

    def _agree(self, side: Connection, what: str, name: str) -> None:
        """Let the process go on to make something, with all that others made; or send what it has made."""
        if self._shipments and what == "begin":
            self._fetch(self._actor.ask(Begin(name)), self._shipments)
        elif self._shipments:
            self._actor.tell(Done(name), self._shipments.news(self._files_to_send()))
        with suppress(OSError):
            side.send(True)

    def _fetch(self, entries: Iterable[tuple[str, tuple[tuple[str, int], ...]]], shipments: Shipments) -> None:
        """Bring what the supervisor's cache has and this one lacks."""
        cache = cache_of(self._here)
        for name, files in entries:
            if not (cache / name).exists():
                coming = Path(tempfile.mkdtemp(dir=cache, prefix=f".{name}.", suffix=PARTIAL))
                copy_in_pieces(files, coming / name, partial(self._pull, name))
                (coming / name).rename(cache / name)
                coming.rmdir()
            shipments.know([cache / name])

    def _pull(self, entry: str, path: str, offset: int) -> bytes:
        found: bytes = self._actor.ask(Pull(_CACHE, f"{entry}/{path}" if path else entry, offset))
        return found

    def _files_to_send(self) -> list[Path]:
        """Entries of the cache that the study uses."""
        names = uses_of(self._here / self._setup.config.study.name) or set()
        return [path for name in sorted(names) if (path := cache_of(self._here) / name).exists()]

    def _death(self, exit_code: int | None, errors: Path) -> Died:
        if self._leaving:
            return Died(reason=f"{self._leaving}; its trials saved their states", by_itself=False)
        said = [line for line in errors.read_text(errors="replace").splitlines() if line.strip()]
        why = f": {said[-1]}" if said and exit_code and exit_code > 0 else ""
        return Died(reason=f"{how_it_ended(exit_code)}{why}")


@contextmanager
def _without_main() -> Iterator[None]:
    """A process that is spawned would run Ray's script for actors as its main module first, and import Ray for that."""
    main = sys.modules["__main__"]
    file = main.__dict__.pop("__file__", None)
    try:
        yield
    finally:
        if file is not None:
            main.__file__ = file


def _sees(probe: Mark) -> bool:
    """Whether the node sees the supervisor's folder, and may write there."""
    try:
        if probe.file.read_text() != probe.token:
            return False
        mark = probe.file.with_name(f"{probe.file.name}-{secrets.token_hex(4)}")
        mark.touch()
        mark.unlink()
    except OSError:
        return False
    return True


def node_root(spec: LauncherSpec) -> Path:
    """Where a node keeps what it fetched and works on."""
    return Path(spec.node_folder or Path(tempfile.gettempdir()) / f"sweeper-{_user()}")


def _user() -> int | str:
    """The user's number, which one without a name has, too; a name where there are no numbers."""
    return os.getuid() if hasattr(os, "getuid") else getpass.getuser()


def must_be_writable(folder: Path) -> None:
    """Make a folder, and try to write there.

    Raises:
        UserError: what is wrong and what to do.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        mark = folder / f".{secrets.token_hex(4)}"
        mark.touch()
        mark.unlink()
    except OSError as error:
        raise UserError(
            f"{folder} cannot be written there ({error.strerror}); name a folder that can by launcher.node_folder"
        ) from error
