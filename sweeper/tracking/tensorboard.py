"""TensorBoard beside MLflow: event files in `tensorboard/STUDY/`, a folder for each trial, by torch's own writer."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from foundation.data.images import read_rgb
from foundation.errors import ConfigError
from sweeper.records.trainings import Training
from sweeper.tracking.boards import BoardTracker
from sweeper.tracking.spec import TrackingSpec

FOLDER: Final = "tensorboard"
"""In the folder of studies."""


def open_tensorboard(_: TrackingSpec, study_folder: Path) -> BoardTracker:
    """Open it; see `open_tracker`.

    Raises:
        ConfigError: the package is not installed.
    """
    try:
        import torch.utils.tensorboard  # noqa: F401
    except ImportError as error:
        words = "tracking.also=[tensorboard] needs the package tensorboard: pip install 'sweeper[tensorboard]'"
        raise ConfigError([words]) from error
    return BoardTracker(lambda name, _: TensorBoard(study_folder / FOLDER / name))


class TensorBoard:
    """A folder of runs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def open_run(self, key: str, name: str, params: Mapping[str, object], config: str) -> TensorBoardRun:
        """See `Board`; the folder's name is the trial's, since a name with its rate would not sort."""
        folder = Training.of(int(key)).folder if key.isdecimal() else key
        return TensorBoardRun(self.folder / folder, name, params, config)


class TensorBoardRun:
    """A folder of event files; a process that goes on with it adds one."""

    def __init__(self, folder: Path, name: str, params: Mapping[str, object], config: str) -> None:
        from torch.utils.tensorboard import SummaryWriter

        is_new = not folder.exists()
        self._params, self._values = dict(params), dict[str, float]()
        self._writer: Any = SummaryWriter(str(folder), flush_secs=30)
        if is_new:
            self._writer.add_text("config", "\n".join(f"    {line}" for line in config.splitlines()))
            self._writer.add_text("name", name)

    def add_points(self, step: int, values: Mapping[str, float]) -> None:
        """See `BoardRun`, as of all below."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def add_image(self, key: str, step: int, picture: Path) -> None:
        """A picture."""
        self._writer.add_image(key, np.asarray(read_rgb(picture)), step, dataformats="HWC")

    def set_values(self, values: Mapping[str, float]) -> None:
        """They are written when the run is closed: TensorBoard keeps every value that it is given."""
        self._values |= values

    def flush(self) -> None:
        """Files."""
        self._writer.flush()

    def close(self, status: str, reason: str) -> None:
        """The table of hyperparameters (HPARAMS) takes parameters and values; the end is a text."""
        from torch.utils.tensorboard.summary import hparams

        if self._values:
            plain = {name: _plain(value) for name, value in self._params.items()}
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                for each in hparams(plain, dict(self._values)):  # type: ignore[no-untyped-call]
                    self._writer.file_writer.add_summary(each)
            for name, value in self._values.items():
                self._writer.add_scalar(name, value, int(self._values.get("chosen/step", 0)))
        self._writer.add_text("end", f"{status}: {reason}" if reason else status)
        self._writer.close()


def _plain(value: object) -> bool | int | float | str:
    return value if isinstance(value, bool | int | float) else str(value)
