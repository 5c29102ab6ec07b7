"""One folder of studies made by hand for all tests of the page: done, stopped, failed, of one trial, begun."""

from __future__ import annotations

from pathlib import Path

import pytest

from sweeper.study.finished import STUDIES
from tests.sweeper.page.hand_made import Wanted, make_study


@pytest.fixture(scope="session")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder; tests that write into it take `own_studies`."""
    folder = tmp_path_factory.mktemp("a folder of 日本 & <b>studies")
    make_study(folder, Wanted())
    make_study(folder, Wanted(name="stopped", trials=4, running=2, has_best=False))
    make_study(folder, Wanted(name="failed", trials=3, failed=True))
    make_study(folder, Wanted(name="single", trials=1, steps=(20,)))
    make_study(folder, Wanted(name="begun", trials=0, running=1, has_best=False))
    return folder


@pytest.fixture(scope="session")
def database(studies: Path) -> Path:
    """Optuna's, of these studies."""
    return studies / STUDIES
