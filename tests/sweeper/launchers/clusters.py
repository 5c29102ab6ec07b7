"""Real Ray nodes on this machine. Ray is imported here, so that tests without it need none."""

from __future__ import annotations

import os
from typing import Any

import ray
from ray.cluster_utils import Cluster

from sweeper.launchers.ray import cluster as joining
from sweeper.launchers.ray.launcher import RayLauncher
from sweeper.launchers.spec import LauncherSpec
from tests.sweeper.launchers.scripted import WORK

QUICK: dict[str, Any] = {
    "health_check_initial_delay_ms": 0,
    "health_check_period_ms": 500,
    "health_check_timeout_ms": 1000,
    "health_check_failure_threshold": 3,
}
"""Ray notices within seconds that a node is gone."""


class ScriptedRay(RayLauncher):
    work = WORK


def start_cluster() -> Cluster:
    """A head of three cores on the loopback address, which this process has joined."""
    os.environ.update({"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_USAGE_STATS_ENABLED": "0"})
    ray._private.ray_constants.ENABLE_RAY_CLUSTER = False
    arguments = {"num_cpus": 3, "include_dashboard": False, "_system_config": QUICK}
    cluster = Cluster(initialize_head=True, head_node_args=arguments)
    joining.join(LauncherSpec(name="ray", address=cluster.address))
    joining._joined = False  # the session leaves it, not the first study
    return cluster
