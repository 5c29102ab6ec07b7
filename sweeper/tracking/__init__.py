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
    {"mlflow": EntryPoint("mlflow", "sweeper.tracking.mlflow:open_mlflow", _GROUP)},  # seconds to import
)
"""By the name that the config gives them."""

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
    each.

    Raises:
        StudyError: the store cannot be opened.
    """
    from sweeper.tracking.background import BackgroundTracker

    return BackgroundTracker(TRACKERS[spec.name](spec, study_folder), spec.title)
