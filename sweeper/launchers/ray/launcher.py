"""The supervisor's side of workers that are actors on a Ray cluster."""

from __future__ import annotations

import math
import queue
import secrets
import time
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Final

import ray

from foundation.errors import ConfigError
from foundation.files.durable import write_text
from sweeper.launchers.process import WORK
from sweeper.launchers.ray.actor import RayWorker
from sweeper.launchers.ray.assets import assets_of, with_whole_paths
from sweeper.launchers.ray.cluster import (
    check_nodes,
    count_workers,
    environment_of_actors,
    join,
    leave,
    need_of,
    threads_of,
)
from sweeper.launchers.ray.link import Link
from sweeper.launchers.ray.listener import Heard, Listener
from sweeper.launchers.ray.travel import read_part, to_go_on, with_whole_paths_of, write_parts
from sweeper.launchers.ray.versions import own_versions
from sweeper.launchers.ray.words import Arrived, Mark, Part, Setup, Word
from sweeper.launchers.spec import LauncherSpec, for_others
from sweeper.records.config import Config
from sweeper.records.messages import (
    Admit,
    DeviceFailed,
    Died,
    Draw,
    Event,
    Placed,
    Rescore,
    Shutdown,
    Waiting,
    WorkerCommand,
)
from train.spec import ObjectiveSpec

RAY: Final = (
    *("address", "workers", "max_workers", "gpus_per_worker", "cpus_per_worker", "resources", "share"),
    *("node_folder", "lease_s"),
)
"""Fields that are for this launcher, beside those for all."""
_MOMENT_S: Final = 4.0
"""How long a worker may take to end that has nothing to save."""
_END_S: Final = 1.0
"""How long is waited for an actor that is ended by force."""
_THREADS: Final = 8
"""Of an actor: one listens, others take what is said and end it."""


class RayLauncher:
    """`Launcher` over actors. A worker whose actor is gone saves its slots and ends."""

    work: ClassVar[str] = WORK
    """See `run_process`."""

    def __init__(self, config: Config, objectives: Sequence[ObjectiveSpec]) -> None:
        spec = config.launcher
        self._need = need_of(spec)
        self._names = [f"worker {number}" for number in range(count_workers(spec, self._need))]
        threads = threads_of(spec, self._need)
        self._config = replace(with_whole_paths(config), launcher=replace(spec, threads=threads))
        self._objectives = tuple(objectives)
        self._root = Path(self._config.study.folder)
        study = self._root / config.study.name
        study.mkdir(parents=True, exist_ok=True)
        self._probe = Mark(study / f".probe-{secrets.token_hex(4)}", secrets.token_hex(16))
        write_text(self._probe.file, self._probe.token)
        self._assets = assets_of(self._config)
        self._listener = Listener(study, self._assets, spec.lease_s)
        self._environment = environment_of_actors(threads)
        self._links: dict[int, Link] = {}
        self._lives = 0
        self._pending: list[tuple[int, Event]] = []
        self._taken: dict[int, str] = {}
        """Names of devices, by worker."""
        self._latest = math.inf
        """When `shut_down` waits for nobody any more."""

    @staticmethod
    def check(spec: LauncherSpec) -> Sequence[str]:
        """See `Launcher`."""
        if problems := for_others(spec, "ray", RAY):
            raise ConfigError(problems)
        join(spec)
        try:
            need = need_of(spec)
            count_workers(spec, need)
            check_nodes(spec, need)
        except BaseException:
            leave()
            raise
        return ()

    @property
    def devices(self) -> Sequence[str]:
        """A name for each worker, until it has a device."""
        return self._names

    def start(self, worker: int) -> None:
        """See `Launcher`."""
        if worker in self._links:
            return
        self._lives += 1
        setup = Setup(
            config=self._config,
            objectives=self._objectives,
            number=self._lives,
            versions=own_versions(),
            probe=self._probe,
            assets=self._assets,
            work=self.work,
        )
        options = {"num_gpus": self._need.gpus, "num_cpus": self._need.cpus, "resources": dict(self._need.others)}
        actor = (
            ray.remote(RayWorker)
            .options(
                **options,
                max_concurrency=_THREADS,
                max_restarts=0,
                max_task_retries=-1,
                scheduling_strategy="SPREAD",
                runtime_env={"env_vars": dict(self._environment)},
            )
            .remote(setup)
        )
        self._links[worker] = link = Link(worker, actor)
        self._listener.add(link)
        self._pending.append((worker, Waiting()))

    def send(self, worker: int, command: WorkerCommand) -> None:
        """See `Launcher`."""
        if link := self._links.get(worker):
            command = with_whole_paths_of(command)
            link.say(command, () if link.shares else self._with_it(command))

    def wait(self, timeout_s: float) -> list[tuple[int, Event]]:
        """See `Launcher`.

        Raises:
            OSError: what came cannot be written to the study's folder.
        """
        events, self._pending = self._pending, []
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                heard = self._listener.heard.get(timeout=0 if events else max(0, deadline - time.monotonic()))
            except queue.Empty:
                return events
            events += self._events(heard)

    def kill(self, worker: int, reason: str) -> None:
        """See `Launcher`."""
        if link := self._links.pop(worker, None):
            self._listener.drop(link)
            link.end(_END_S)
            self._pending.append((worker, Died(reason=reason)))

    def hurry(self) -> None:
        """See `Launcher`."""
        self._latest = min(self._latest, time.monotonic() + _MOMENT_S)

    def shut_down(self, timeout_s: float, saving: Collection[int] = ()) -> None:
        """See `Launcher`."""
        for number in list(self._links):
            self.send(number, Shutdown())
        began = time.monotonic()
        while self._links:
            with suppress(OSError):  # nothing more is to be done about a full disk here
                self.wait(0.05)
            for number, link in list(self._links.items()):
                patience = timeout_s if number in saving else min(timeout_s, _MOMENT_S)
                if link.node is None or time.monotonic() >= min(began + patience, self._latest):
                    self.kill(number, "")
        self._listener.close()
        self._probe.file.unlink(missing_ok=True)
        leave()

    def _with_it(self, command: WorkerCommand) -> tuple[Part, ...]:
        """The files that a worker needs for it which does not see them."""
        match command:
            case Admit(folder=folder):
                return to_go_on(self._root, folder)
            case Rescore(checkpoint=checkpoint) | Draw(checkpoint=checkpoint):
                return (read_part(self._root, checkpoint),)
        return ()

    def _events(self, heard: Heard) -> list[tuple[int, Event]]:
        """What a word comes to. Of who has been replaced nothing is heard any more."""
        link, word = heard
        number = link.worker
        if self._links.get(number) is not link:
            return []
        if isinstance(word, OSError):
            raise word
        if isinstance(word, Died):
            return self._end(link, word)
        assert isinstance(word, Word)
        write_parts(self._root, word.parts)
        match word.said:
            case Arrived(name=name):
                return [(number, Placed(self._name(number, name)))]
            case Died() | DeviceFailed() as end:
                return self._end(link, end)
            case said:
                return [(number, said)]  # type: ignore[list-item]  # what an actor asks for was served before

    def _end(self, link: Link, end: Died | DeviceFailed) -> list[tuple[int, Event]]:
        del self._links[link.worker]
        self._listener.drop(link)
        ray.kill(link.actor)
        return [(link.worker, end)]

    def _name(self, worker: int, device: str) -> str:
        """The device's name, with a number where several workers share it."""
        others = [name for number, name in self._taken.items() if number != worker]
        name = next(each for n in range(1, 10**6) if (each := f"{device} ({n})" if n > 1 else device) not in others)
        self._taken[worker] = name
        return name
