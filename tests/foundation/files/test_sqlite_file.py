"""A database is made whole or not at all, by one process, and one that was cut off in the making is made anew."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from foundation.files.durable import PARTIAL
from foundation.files.sqlite_file import create_whole

WHOLE = ("CREATE TABLE alembic_version (v)", "INSERT INTO alembic_version VALUES ('a')", "CREATE TABLE studies (name)")


def run(file: Path, statements: Sequence[str]) -> None:
    with closing(sqlite3.connect(file)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def names(file: Path) -> list[str]:
    with closing(sqlite3.connect(file)) as connection:
        return [name for (name,) in connection.execute("SELECT name FROM studies")]


def create(file: Path) -> None:
    run(file, [*WHOLE, "INSERT INTO studies VALUES ('new')"])


@pytest.mark.parametrize(
    ("there", "anew"),
    [
        ([], True),
        (WHOLE[:1], True),
        ((WHOLE[0], WHOLE[2]), True),
        ((*WHOLE, "CREATE TABLE _alembic_tmp_runs (a)"), True),
        (WHOLE, False),
        ((WHOLE[2], "INSERT INTO studies VALUES ('old')"), False),  # what holds a study is never thrown away
    ],
)
def test_only_what_was_cut_off_in_the_making_is_made_anew(there: Sequence[str], anew: bool, tmp_path: Path) -> None:
    file = tmp_path / "studies.db"
    run(file, there)
    Path(f"{file}-journal").write_bytes(b"of the one that was cut off")
    if not anew:
        Path(f"{file}-journal").unlink()
    create_whole(file, "studies", create)
    assert (names(file) == ["new"]) == anew
    assert {path.name for path in tmp_path.iterdir()} == {"studies.db", ".studies.db.lock"}


def test_what_fails_in_the_making_leaves_nothing_and_another_file_stays(tmp_path: Path) -> None:
    def fail(file: Path) -> None:
        run(file, WHOLE[:1])
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        create_whole(tmp_path / "studies.db", "studies", fail)
    assert [path.name for path in tmp_path.iterdir()] == [".studies.db.lock"]
    (tmp_path / "other.db").write_bytes(b"no database" * 500)
    create_whole(tmp_path / "other.db", "studies", create)
    assert (tmp_path / "other.db").read_bytes() == b"no database" * 500


@pytest.mark.parametrize("there", [True, False])
def test_what_a_killed_maker_left_goes_with_the_next(there: bool, tmp_path: Path) -> None:
    file = tmp_path / "studies.db"
    if there:
        create(file)
    for end in ("", "-journal", "-wal"):
        (tmp_path / f".studies.db.x1{PARTIAL}{end}").touch()
    (tmp_path / f".mlflow.db.x1{PARTIAL}").touch()  # another's, perhaps in the making
    create_whole(file, "studies", create)
    assert {path.name for path in tmp_path.iterdir()} == {"studies.db", ".studies.db.lock", f".mlflow.db.x1{PARTIAL}"}


def test_of_several_that_begin_at_once_one_makes_it(tmp_path: Path) -> None:
    made: list[Path] = []

    def note(file: Path) -> None:
        made.append(file)
        create(file)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: create_whole(tmp_path / "studies.db", "studies", note), range(8)))
    assert len(made) == 1
    assert names(tmp_path / "studies.db") == ["new"]
