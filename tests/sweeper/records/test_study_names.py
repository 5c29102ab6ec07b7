"""Names that no study may have: those of our own files, and those that a file system does not take everywhere."""

from __future__ import annotations

import pytest

from foundation.errors import ConfigError
from sweeper.records.study_names import check_study_name
from sweeper.search.space import plan

TAKEN = ("studies.db", "studies.db-journal", "mlflow.db-wal", "MLflow.db", "cache", "Cache", "dashboard.log", "train")
DEVICES = ("NUL", "con", "aux.txt", "COM1", "lpt9.x")


@pytest.mark.parametrize("name", [*TAKEN, *DEVICES, "pencil."])
def test_a_name_that_is_taken_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=r"^study\.name must not .*got "):
        check_study_name(name)


@pytest.mark.parametrize(
    "name", ["pencil", "console", "cached", "train-1", "studies.db2", "com10x", "a.b-c_d", "auxiliary"]
)
def test_a_name_that_only_resembles_one_is_taken(name: str) -> None:
    check_study_name(name)


def test_letters_and_length_are_refused_with_every_other_mistake() -> None:
    for name in ("a/b", "..", ".", "a b", "pencil ", "a" * 101, "a\nb"):
        with pytest.raises(ConfigError, match="study.name"):
            plan(["+experiment=pencil", f"study.name='{name}'"])
    with pytest.raises(ConfigError, match="study.name must not be that of"):
        plan(["+experiment=pencil", "study.name=studies.db-journal"])
