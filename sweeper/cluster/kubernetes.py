"""A RayJob for KubeRay, and how to build the image that it runs."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any, Final

import yaml

from foundation.errors import ConfigError
from sweeper import __version__
from sweeper.cluster.values import number_of, word_of

KEYS: Final = ("image", "nodes", "most", "gpus", "cpus", "memory", "claim", "name")
RAY_VERSION: Final = "2.60.0"
_STUDIES: Final = "/studies"
_GRACE_S: Final = 120
CONTAINERFILE: Final = f"""\
# The image of a study's machines: build it where the project's files are.
#   podman build -t registry/me/sweeper -f Containerfile .
FROM docker.io/library/python:3.11-slim-bookworm
RUN apt-get update && apt-get install -y --no-install-recommends libgl1 libglib2.0-0 && rm -rf /var/lib/apt/lists/*
WORKDIR /sweeper
COPY . .
# A CPU build of torch for machines without GPUs: --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cpu
ARG TORCH_INDEX=https://pypi.org/simple
RUN pip install --no-cache-dir --constraint constraints.txt --index-url "$TORCH_INDEX" torch \\
 && pip install --no-cache-dir --constraint constraints.txt '.[ray]' 'ray[default]=={RAY_VERSION}'
RUN useradd --create-home --uid 1000 ray && mkdir {_STUDIES} && chown ray {_STUDIES}
USER ray
WORKDIR {_STUDIES}
"""


def manifest(values: Mapping[str, str], study: Sequence[str]) -> str:
    """The RayJob, for a `study` of these overrides.

    Raises:
        ConfigError: there is no image, or a value is none that Kubernetes takes.
    """
    image = word_of(values, "image")
    if not image:
        raise ConfigError(
            ["image is missing; build one (`sweeper cluster container`) and name it: image=registry/me/sweeper"]
        )
    nodes, gpus, claim = number_of(values, "nodes", 1), number_of(values, "gpus", 1, 0), word_of(values, "claim")
    most = number_of(values, "most", nodes, nodes)
    name = word_of(values, "name", "sweeper")
    size: dict[str, Any] = {"memory": word_of(values, "memory", "32Gi"), "cpu": str(number_of(values, "cpus", 8))}
    if gpus:
        size["nvidia.com/gpu"] = gpus
    if most > nodes and not any(each.startswith("launcher.max_workers=") for each in study):
        study = [*study, f"launcher.max_workers={most * max(1, gpus)}"]
    if not any(each.startswith("study.folder=") for each in study):
        study = [*study, f"study.folder={_STUDIES}"]
    head = {"cpu": "2", "memory": "8Gi"}
    spec = {
        "entrypoint": f"python -m sweeper {' '.join(map(shlex.quote, study))}",
        "shutdownAfterJobFinishes": True,
        "backoffLimit": 3,
        "rayClusterSpec": {
            "rayVersion": RAY_VERSION,
            "enableInTreeAutoscaling": most > nodes,
            "headGroupSpec": {
                "rayStartParams": {"num-cpus": "0", "num-gpus": "0"},
                "template": {"spec": _pod("ray-head", image, head, claim)},
            },
            "workerGroupSpecs": [
                {
                    "groupName": "workers",
                    "replicas": nodes,
                    "minReplicas": nodes,
                    "maxReplicas": most,
                    "rayStartParams": {},
                    "template": {"spec": _pod("ray-worker", image, size, "")},
                }
            ],
        },
    }
    document = {"apiVersion": "ray.io/v1", "kind": "RayJob", "metadata": {"name": name}, "spec": spec}
    return f"# By sweeper {__version__}, for KubeRay 1.3 or newer.\n" + yaml.safe_dump(
        document, sort_keys=False, width=120
    )


def _pod(name: str, image: str, size: Mapping[str, Any], claim: str) -> dict[str, Any]:
    """A pod of one container. One that is told to go has time to save; Ray hears of it first."""
    container: dict[str, Any] = {
        "name": name,
        "image": image,
        "env": [
            {"name": "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S", "value": str(_GRACE_S - 30)},
            {"name": "RAY_worker_niceness", "value": "0"},
        ],
        "resources": {"requests": dict(size), "limits": dict(size)},
    }
    pod: dict[str, Any] = {"terminationGracePeriodSeconds": _GRACE_S, "containers": [container]}
    if claim:
        container["volumeMounts"] = [{"name": "studies", "mountPath": _STUDIES}]
        pod["volumes"] = [{"name": "studies", "persistentVolumeClaim": {"claimName": claim}}]
    return pod
