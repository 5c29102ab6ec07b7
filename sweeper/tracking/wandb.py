"""Weights & Biases beside MLflow: a run for each trial, in a group of the study's name. Its own variables hold here.

WANDB_MODE, WANDB_API_KEY, WANDB_ENTITY, WANDB_PROJECT, WANDB_BASE_URL … are read by wandb itself. Without a key nobody
is asked for one: runs are written offline, into `wandb/STUDY/`, for `wandb sync`.
"""

from __future__ import annotations

import netrc
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, cast

from foundation.errors import ConfigError
from sweeper.tracking.boards import BoardTracker
from sweeper.tracking.spec import TrackingSpec

FOLDER: Final = "wandb"
"""In the folder of studies."""
_TIMEOUT_S: Final = 60
_STEP: Final = "training_step"
"""The axis of curves. W&B's own step only rises, and a trial's validation may come after its next steps."""


def open_wandb(spec: TrackingSpec, study_folder: Path) -> BoardTracker:
    """Open it; see `open_tracker`.

    Raises:
        ConfigError: the package is not installed.
    """
    try:
        import wandb  # noqa: F401
    except ImportError as error:
        raise ConfigError(["tracking.also=[wandb] needs the package wandb: pip install 'sweeper[wandb]'"]) from error
    return BoardTracker(lambda name, identity: Wandb(study_folder / FOLDER / name, name, identity, spec.experiment))


class Wandb:
    """A project, and the study's group in it."""

    def __init__(self, folder: Path, group: str, identity: str, project: str) -> None:
        self.folder = folder
        self._group, self._identity, self._project = group, identity, project

    def open_run(self, key: str, name: str, params: Mapping[str, object], config: str) -> WandbRun:
        """See `Board`."""
        import wandb

        self.folder.mkdir(parents=True, exist_ok=True)
        run = wandb.init(
            project=os.environ.get("WANDB_PROJECT") or self._project,
            group=self._group,
            name=name,
            id=f"{self._identity}-{key}",
            config={"params": dict(params), "yaml": config},
            job_type="study" if key == "study" else "trial",
            dir=str(self.folder),
            mode=cast(Any, os.environ.get("WANDB_MODE")) or ("online" if _has_key() else "offline"),
            resume="allow",
            reinit="create_new",
            settings=wandb.Settings(
                silent=True,
                console="off",
                disable_code=True,
                disable_git=True,
                disable_job_creation=True,
                save_code=False,
                init_timeout=_TIMEOUT_S,
                x_disable_stats=True,
                x_disable_meta=True,
            ),
        )
        run.define_metric(_STEP, hidden=True)
        run.define_metric("*", step_metric=_STEP)
        return WandbRun(run)


class WandbRun:
    """One run of W&B's."""

    def __init__(self, run: Any) -> None:
        self._run = run

    def add_points(self, step: int, values: Mapping[str, float]) -> None:
        """See `BoardRun`, as of all below."""
        self._run.log({**values, _STEP: step})

    def add_image(self, key: str, step: int, picture: Path) -> None:
        """A picture; it is copied at once."""
        import wandb

        self._run.log({key: wandb.Image(str(picture)), _STEP: step})

    def set_values(self, values: Mapping[str, float]) -> None:
        """In the run's summary, by which its tables sort."""
        self._run.summary.update(dict(values))

    def flush(self) -> None:
        """W&B's own process has it."""

    def close(self, status: str, reason: str) -> None:
        """A pruned trial did nothing wrong."""
        self._run.summary.update({"status": status, "reason": reason})
        self._run.finish(exit_code=int(status == "failed"))


def _has_key() -> bool:
    """Whether there is a key for the service; W&B would ask for one."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    host = os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai").partition("://")[2].partition("/")[0]
    try:
        return netrc.netrc().authenticators(host) is not None
    except (OSError, netrc.NetrcParseError):
        return False
