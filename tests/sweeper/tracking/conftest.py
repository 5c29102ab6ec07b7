"""A store made once, and trackers opened on copies of it."""

from __future__ import annotations

import contextlib
import io
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sweeper.tracking import open_tracker
from sweeper.tracking.port import Tracker
from tests.hostile_path import HOSTILE
from tests.sweeper.tracking.read_back import SPEC, client_of, experiment_of


@pytest.fixture(scope="session")
def created(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A folder with a new store, and what was printed while it was made. Its some fifty migrations take seconds."""
    folder = tmp_path_factory.mktemp("store")
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
        open_tracker(SPEC, folder).close()
    return folder, said.getvalue()


@pytest.fixture
def folder(created: tuple[Path, str], tmp_path: Path) -> Path:
    """A folder of studies with an empty database, but no experiment that points elsewhere; its name is no easy one."""
    folder = tmp_path / HOSTILE
    folder.mkdir(parents=True)
    shutil.copyfile(created[0] / "mlflow.db", folder / "mlflow.db")
    client = client_of(folder)
    client.rename_experiment(experiment_of(client), "the template's")
    return folder


@pytest.fixture
def open_one(folder: Path) -> Iterator[Callable[[], Tracker]]:
    """Opens trackers on the folder, one after the other, as runs of the command would."""
    opened: list[Tracker] = []

    def open_next() -> Tracker:
        opened.append(open_tracker(SPEC, folder))
        return opened[-1]

    yield open_next
    for tracker in opened:
        tracker.close()
