"""Where a study is shown. `open_tracker` is the way in; `port.Tracker` is what it returns.

Other packages bring their trackers as entry points of `sweeper.trackers`: each is called with the `TrackingSpec` and
the folder of studies, and returns a `port.Tracker`. It need not be safe for threads, and its errors cost no study.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import TYPE_CHECKING, Final

from foundation.config.installed import Registry

if TYPE_CHECKING:
    from sweeper.tracking.port import Tracker
    from sweeper.tracking.spec import TrackingSpec

_GROUP: Final = "sweeper.trackers"
TRACKERS: Final[Registry[Callable[[TrackingSpec, Path], Tracker]]] = Registry(
    _GROUP,
    Callable,  # type: ignore[arg-type]  # isinstance takes it
    {
        "mlflow": EntryPoint("mlflow", "sweeper.tracking.mlflow:open_mlflow", _GROUP),  # seconds to import
        "tensorboard": EntryPoint("tensorboard", "sweeper.tracking.tensorboard:open_tensorboard", _GROUP),
        "wandb": EntryPoint("wandb", "sweeper.tracking.wandb:open_wandb", _GROUP),
    },
)
"""By the name that the config gives them."""

TITLES: Final = {"mlflow": "MLflow", "tensorboard": "TensorBoard", "wandb": "Weights & Biases"}
"""What messages call them."""

DATABASE: Final = "mlflow.db"
"""MLflow's database in the folder of studies, when no other is named."""
ARTIFACTS: Final = "mlartifacts"
"""Where artifacts go, next to it."""

MLFLOW_SETTINGS: Final = {
    "MLFLOW_DISABLE_TELEMETRY": "true",  # nothing leaves the machine
    "DO_NOT_TRACK": "true",
    "MLFLOW_LOGGING_LEVEL": "WARNING",  # else a line for each of some fifty migrations of a new database
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",  # seven with doubling pauses make a call to a dead server last minutes
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
}
"""Environment of MLflow, here and in the dashboard. It is read when mlflow is imported, so it is set before that."""

for _name, _value in MLFLOW_SETTINGS.items():
    os.environ.setdefault(_name, _value)


def open_tracker(spec: TrackingSpec, study_folder: Path) -> Tracker:
    """Open the store that `spec` names, made ready in full, so that what is wrong with it shows before any training.

    `study_folder` holds the store when `spec.uri` is None. Importing MLflow and creating a new database take seconds
    each. Those of `spec.also` see the same; one that cannot be opened, or fails later, is a line, and costs no study.

    Raises:
        StudyError: the store cannot be opened.
        ConfigError: what one of `spec.also` needs is not installed.
    """
    from sweeper.tracking.background import BackgroundTracker
    from sweeper.tracking.together import TrackersTogether

    others = [(name, opened) for name in spec.also if (opened := _open_beside(name, spec, study_folder))]
    first = BackgroundTracker(TRACKERS[spec.name](spec, study_folder), spec.title)
    if not others:
        return first
    return TrackersTogether(first, [BackgroundTracker(each, TITLES.get(name, name)) for name, each in others])


def _open_beside(name: str, spec: TrackingSpec, study_folder: Path) -> Tracker | None:
    from foundation.console import say
    from foundation.errors import ConfigError
    from sweeper.tracking.reasons import reason_of

    try:
        return TRACKERS[name](spec, study_folder)
    except ConfigError:
        raise
    except Exception as error:  # whatever a service's library raises
        say(f"{TITLES.get(name, name)} cannot be opened ({reason_of(error)}); the study goes on without it")
        return None
