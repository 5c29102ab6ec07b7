"""`python -m tests.sweeper.launchers.far_node ADDRESS RESOURCE`: a Ray node of one core on the loopback address.

`ray start` refuses that address; this is what `ray.cluster_utils` does, in a process of its own.
"""

from __future__ import annotations

import signal
import sys

import ray
from ray._private.node import Node
from ray._private.parameter import RayParams


def main(address: str, resource: str) -> None:
    """Run it until the process ends."""
    ray._private.ray_constants.ENABLE_RAY_CLUSTER = False
    parameters = RayParams(
        redis_address=address,
        gcs_address=address,
        num_cpus=1,
        num_gpus=0,
        resources={resource: 1.0},
        object_store_memory=100_000_000,
        include_log_monitor=False,
        node_manager_port=0,
        min_worker_port=0,
        max_worker_port=0,
    )
    parameters.dashboard_agent_listen_port = None
    Node(parameters, head=False, shutdown_at_exit=True, spawn_reaper=False)
    while True:
        signal.pause()


if __name__ == "__main__":
    main(*sys.argv[1:])
