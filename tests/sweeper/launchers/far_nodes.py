"""Ray nodes on this machine that see another disk where the others have the studies' folder: a mount namespace."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import ray
from ray.cluster_utils import Cluster

_UP_S: Final = 120.0
ROOT: Final = Path(__file__).parents[3]
FAR: Final = {"far": 1.0}
"""What such a node has, and no other."""


def why_not() -> str:
    """Why there can be none here; empty where there can."""
    if shutil.which("unshare") is None:
        return "there is no unshare"
    tried = subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False)
    return "" if tried.returncode == 0 else "mount namespaces need root"


@contextmanager
def far_node(cluster: Cluster, hidden: Path, *, name: str = "far") -> Iterator[subprocess.Popen[bytes]]:
    """Add a node for one worker, with the resource `name`, to which `hidden` is an empty folder of its own.

    Its process is the leader of a group with all that the node runs.
    """
    before = {node["NodeID"] for node in ray.nodes()}
    run = f"exec {sys.executable} -m tests.sweeper.launchers.far_node {cluster.address} {name}"
    node = subprocess.Popen(
        ["unshare", "--mount", "sh", "-c", f"mount -t tmpfs none '{hidden}' && {run}"],
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "20"},
    )
    try:
        deadline = time.monotonic() + _UP_S
        while not any(each["Alive"] and each["NodeID"] not in before for each in ray.nodes()):
            assert node.poll() is None and time.monotonic() < deadline, "the node does not come up"
            time.sleep(0.2)
        yield node
    finally:
        end(node)


def end(node: subprocess.Popen[bytes]) -> None:
    """Let a node vanish with all that it runs, as in a power cut."""
    for process in _of(node.pid):
        with_id(process, signal.SIGKILL)
    node.wait()


def with_id(process: int, number: int) -> None:
    """Send a signal to a process, if it is there."""
    with suppress(ProcessLookupError):
        os.kill(process, number)


def ids_below(root: int) -> str:
    """All command lines of what a process started; Ray's id of a node is in one of them."""
    return "\n".join(map(_name, _of(root)))


def actors_below(root: int) -> list[int]:
    """The processes of our actors there."""
    return [process for process in _of(root) if "ray::RayWorker" in _name(process)]


def workers_below(root: int) -> list[int]:
    """The processes of the workers that these started."""
    return [child for actor in actors_below(root) for child in _of(actor)[1:] if "spawn_main" in _name(child)]


def _name(process: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{process}/cmdline").read_text()
    return ""


def _of(root: int) -> list[int]:
    """A process and all that it started, also those that have groups of their own."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            parents.setdefault(parent, []).append(int(entry.name))
    found = [root]
    for process in found:
        found += parents.get(process, [])
    return found
