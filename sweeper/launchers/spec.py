"""Where workers run: the `launcher` group of the configuration."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import MISSING, dataclass, field, fields
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import Field

from foundation.config.home import PathText
from foundation.config.installed import NameIn
from sweeper.launchers import LAUNCHERS

if TYPE_CHECKING:
    LauncherName = str
else:
    LauncherName = Annotated[str, NameIn(LAUNCHERS)]
_Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
FOR_ALL: Final = ("name", "threads", "load_timeout_s", "first_timeout_s", "hang_factor", "save_every_s")
"""Fields that mean something to every launcher."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LauncherSpec:
    """Where workers run."""

    name: LauncherName = "local"
    """Who starts the workers; local: as processes on this machine; ray: as actors on a Ray cluster."""
    devices: Literal["auto"] | Annotated[tuple[str, ...], Field(min_length=1)] = "auto"
    """local: devices as torch names them (`cuda:0`), one worker each; auto takes every GPU of CUDA or
    ROCm, else of MPS, else of XPU, else the CPU. One that is not there, or fails, is said, and the others go on with
    its trials."""
    threads: Annotated[int, Field(ge=1)] | Literal["auto"] = "auto"
    """Threads that each worker computes with on the CPU. Sums are rounded as their threads share them, so trials on a
    CPU come to the same bits elsewhere only with as many. auto: what torch takes here; of ray: as many as a worker has
    cores, on every node."""
    address: Annotated[str, Field(min_length=1)] = "local"
    """ray: the cluster; local starts one on this machine for as long as the study runs, auto takes the one that runs
    here, else host:port of one."""
    workers: Annotated[int, Field(ge=1)] | Literal["auto"] = "auto"
    """ray: how many; auto takes what the cluster has, and up to `max_workers`."""
    max_workers: Annotated[int, Field(ge=1)] | None = None
    """ray: with workers=auto so many are asked for on a cluster that grows; those that find no place wait and hold
    nothing up. null: what the cluster has when the study starts."""
    gpus_per_worker: Annotated[float, Field(ge=0, allow_inf_nan=False)] | Literal["auto"] = "auto"
    """ray: GPUs of each worker; a fraction shares one. auto: 1, or 0 where the cluster has none."""
    cpus_per_worker: _Positive | Literal["auto"] = "auto"
    """ray: cores of each worker. auto: 1 beside a GPU; without, all cores of the smallest node."""
    resources: dict[str, _Positive] = field(default_factory=dict)
    """ray: what else each worker needs of a node, by the names that the cluster gives it."""
    share: Annotated[float, Field(gt=0, le=1)] = 1.0
    """ray: the part of the cluster that this study takes at most, but one worker at least."""
    node_folder: PathText | None = None
    """ray: where nodes that do not see `study.folder` keep what was fetched and what they work on. null: a folder of
    the user's in the system's place for temporary files."""
    lease_s: _Positive = 60.0
    """ray: a worker from which nothing is heard for so long has lost its trials, which go on elsewhere; it ends itself
    by then, wherever it is."""
    save_every_s: _Positive | None = 600.0
    """A trial's state is saved so often, beside at each evaluation; null: only there."""
    load_timeout_s: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = 7200.0
    """A worker that is silent for so long while it loads, encodes the pictures or measures has hung: it is ended, and
    its trials go on from their last evaluation; null: it never counts as hung there."""
    first_timeout_s: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = 1800.0
    """The same for the first steps of a trial, which may compile, and for a worker's first judgement."""
    hang_factor: Annotated[float, Field(ge=2, allow_inf_nan=False)] | None = 20.0
    """The same after them: silent for so many times its longest silence so far while it trains (ten steps) or judges
    (one denoising step of a batch), and for a minute at least, longer where the cores are shared by many; null: never.
    """
    settings: dict[str, Any] = field(default_factory=dict)
    """What a launcher of another package wants to know beside; local and ray take none."""


def for_others(spec: LauncherSpec, name: str, own: Collection[str]) -> list[str]:
    """A line for each field that somebody set and that the launcher of this name does not read; `own` are its own."""
    said = []
    for each in fields(spec):
        default = each.default if each.default is not MISSING else {}
        if each.name not in (*FOR_ALL, *own) and getattr(spec, each.name) != default:
            said.append(f"launcher.{each.name} is not for launcher={name}, got {getattr(spec, each.name)}")
    return said
