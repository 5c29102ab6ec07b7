"""The Ray cluster of a study: joined or started, with what it has for workers."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import socket
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from foundation.errors import ConfigError, UserError, first_line
from foundation.processes import in_environment
from foundation.streams import mute_stderr
from sweeper.launchers.process import environment_of
from sweeper.launchers.ray.node import must_be_writable, node_root
from sweeper.launchers.ray.versions import Versions, differences, own_versions
from sweeper.launchers.spec import LauncherSpec
from sweeper.own_packages import MARK

LOCAL: Final = "local"
_REACH_S: Final = 10.0
_ANSWER_S: Final = 180.0
_STORE_BYTES: Final = 2 * 2**30
"""The object store of a Ray of our own: what travels lies there for a moment."""
FOR_ACTORS: Final = {MARK: "1", "RAY_kill_child_processes_on_worker_exit": "0", "RAY_worker_niceness": "0"}
"""The environment of actors: their process outlives them until it has saved, and waits for no other's (Ray makes its
workers as nice as can be)."""
_ROOT: Final = str(Path(__file__).parents[3])
_FOR_US: Final = {
    **{name: value for name, value in FOR_ACTORS.items() if name != MARK},
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_BACKEND_LOG_LEVEL": "fatal",  # what is less stands in lines of ours
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
_ON_LOOPBACK: Final = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
"""Ray takes the loopback address then, as it does on a Mac: nobody from outside reaches it."""


@dataclass(frozen=True, slots=True)
class Need:
    """What a worker needs of a node."""

    gpus: float
    cpus: float
    others: Mapping[str, float]

    def fit(self, there: Mapping[str, float]) -> int:
        """How many workers fit where there is so much."""
        wanted = {"GPU": self.gpus, "CPU": self.cpus, **self.others}
        return min(int(there.get(name, 0) / much + 1e-6) for name, much in wanted.items() if much)

    def __str__(self) -> str:
        parts = {"GPU": self.gpus, "CPU": self.cpus, **self.others}
        return ", ".join(f"{much:g} {name}" for name, much in parts.items() if much)


_joined = False
"""Whether `join` did so."""
_own: list[Path] = []
"""The folder of the Ray that this process started, if it did."""


def join(spec: LauncherSpec) -> None:
    """Join the cluster that is meant, or start one, unless this process is in one already.

    Raises:
        ConfigError: it is out of reach, or has another Ray or Python.
    """
    global _joined
    if ray.is_initialized():
        return
    for name, value in _FOR_US.items():
        os.environ.setdefault(name, value)
    logging.getLogger("ray").setLevel(logging.CRITICAL)
    ray._private.worker.print_to_stdstream = lambda *_, **__: None  # a death is said by us, in one line
    rest: dict[str, Any] = {"logging_level": "critical", "configure_logging": False, "log_to_driver": False}
    with _handlers_kept(), mute_stderr():  # Ray says there how much it will say
        try:
            if spec.address == LOCAL:
                _start(rest)
            else:
                _must_answer(spec.address)
                ray.init(address=spec.address, **rest)
        except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
            said = f"launcher.address={spec.address}: no Ray cluster can be joined: {first_line(error)}"
            raise ConfigError([f"{said}; `ray status` tells whether one runs there"]) from error
    _joined = True


def threads_of(spec: LauncherSpec, need: Need) -> int:
    """How many threads each worker computes with, whatever its node's environment says."""
    return max(1, int(need.cpus)) if spec.threads == "auto" else spec.threads


def environment_of_actors(threads: int) -> Mapping[str, str]:
    """What actors and their processes find there. On this machine alone they run this very code, installed or not."""
    here = len(_alive()) == 1 and bool(_own)
    return {**FOR_ACTORS, **environment_of(threads), **({"PYTHONPATH": _ROOT} if here else {})}


def leave() -> None:
    """Leave the cluster that was joined; one that was started for it ends, and nothing of it stays."""
    global _joined
    if _joined:
        with _handlers_kept():
            ray.shutdown()
    _joined = False
    while _own:
        shutil.rmtree(_own.pop(), ignore_errors=True)


def need_of(spec: LauncherSpec) -> Need:
    """What each worker needs, where the config leaves it open by what the cluster has."""
    nodes = _alive()
    gpus = spec.gpus_per_worker
    if isinstance(gpus, str):
        gpus = 1.0 if any(node.get("GPU") for node in nodes) else 0.0
    cpus = spec.cpus_per_worker
    if isinstance(cpus, str):
        cpus = 1.0 if gpus else float(min((node["CPU"] for node in nodes if node.get("CPU")), default=1.0))
    return Need(gpus, cpus, spec.resources)


def count_workers(spec: LauncherSpec, need: Need) -> int:
    """How many workers the study has, with those that wait for a place.

    Raises:
        ConfigError: the cluster cannot hold as many as were asked for, or none.
    """
    there = sum(map(need.fit, _alive()))
    wanted = max(there, spec.max_workers or 0) if spec.workers == "auto" else spec.workers
    if (spec.workers != "auto" and wanted > there and not spec.max_workers) or not wanted:
        have = ", ".join(f"{much:g} {name}" for name, much in sorted(_total().items()) if name in ("CPU", "GPU"))
        asked = "one worker" if spec.workers == "auto" else f"launcher.workers={spec.workers}"
        raise ConfigError(
            [
                f"{asked} of {need} each cannot be had: {spec.address} has {have or 'nothing'}, room for {there}; ask "
                "for fewer or smaller ones (launcher.gpus_per_worker, launcher.cpus_per_worker), or set "
                "launcher.max_workers where the cluster grows"
            ]
        )
    most = max(there, spec.max_workers or 0)
    return max(1, min(wanted, int(most * spec.share + 1e-6)))


def check_nodes(spec: LauncherSpec, need: Need) -> None:
    """Ask each node that may have workers for its versions, and whether it can keep files.

    Raises:
        ConfigError: one line for each that cannot be used.
    """
    nodes = {node["NodeID"]: node for node in ray.nodes() if node["Alive"] and need.fit(node["Resources"])}
    asked = {
        node: ray.remote(_report)
        .options(num_cpus=0, max_retries=0, scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False))
        .remote(spec)
        for node in nodes
    }
    problems = []
    for node, answer in asked.items():
        name = nodes[node]["NodeManagerHostname"]
        try:
            versions, trouble = ray.get(answer, timeout=_ANSWER_S)
        except ray.exceptions.RayError as error:
            why = first_line(getattr(error, "cause", None) or error)
            problems.append(f"node {name} cannot run sweeper: {why}; install the same version there")
            continue
        if differing := differences(own_versions(), versions):
            problems.append(f"node {name} has other versions: {differing}; install the same on both")
        elif trouble:
            problems.append(f"node {name}: {trouble}")
    if problems:
        raise ConfigError(list(dict.fromkeys(problems)))


def _report(spec: LauncherSpec) -> tuple[Versions, str]:
    try:
        must_be_writable(node_root(spec))
    except UserError as error:
        return own_versions(), str(error)
    return own_versions(), ""


def _start(rest: Mapping[str, Any]) -> None:
    """A Ray of our own, on the loopback address, without a dashboard, in a folder that goes with it."""
    _own.append(Path(tempfile.mkdtemp(prefix="sweeper-ray-", dir="/tmp")))  # its sockets need a short path
    with in_environment(_ON_LOOPBACK):
        ray._private.ray_constants.ENABLE_RAY_CLUSTER = False  # what the environment says was read at its import
        ray.init(
            address=LOCAL,
            include_dashboard=False,
            object_store_memory=_STORE_BYTES,
            _temp_dir=str(_own[-1]),
            **rest,
        )


@contextmanager
def _handlers_kept() -> Iterator[None]:
    """Ray takes SIGTERM for itself; what the study has set stays."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.getsignal(number) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _must_answer(address: str) -> None:
    """Look for a server there first: Ray would try for a minute, and log."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host, int(port)), timeout=_REACH_S).close()


def _alive() -> Sequence[Mapping[str, float]]:
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def _total() -> Mapping[str, float]:
    total: dict[str, float] = {}
    for node in _alive():
        for name, much in node.items():
            total[name] = total.get(name, 0.0) + much
    return total
