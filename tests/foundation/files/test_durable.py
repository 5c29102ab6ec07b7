"""Files and folders are whole or absent, whatever fails in between."""

from __future__ import annotations

import json
import math
import os
import shutil
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from foundation.files import durable
from sweeper.holdings import leftovers


class _Crash(BaseException):
    """Ends the process at a given place, as far as a test can."""


def crash(*_: Any, **__: Any) -> None:
    raise _Crash


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


WRITERS: dict[str, Callable[[Path], None]] = {
    "bytes": lambda path: durable.write_bytes(path, b"new\n"),
    "text": lambda path: durable.write_text(path, "new\n"),
    "json": lambda path: durable.write_json(path, "new"),
}


@pytest.mark.parametrize("writer", WRITERS)
def test_what_is_written_is_there_and_nothing_else(writer: str, tmp_path: Path) -> None:
    file = tmp_path / "a/b/file"
    for _ in range(2):
        WRITERS[writer](file)
        assert "new" in file.read_text() and names(tmp_path) == ["a", "a/b", "a/b/file"]
    assert stat.S_IMODE(file.stat().st_mode) == 0o644


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("place", ["fsync", "chmod", "replace"])
def test_a_write_that_fails_leaves_the_old_file_or_none(
    writer: str, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "file"
    for before in ([], ["file"]):
        with monkeypatch.context() as patch:
            patch.setattr(os, place, crash)
            with pytest.raises(_Crash):
                WRITERS[writer](file)
        assert names(tmp_path) == before
        file.write_text("old")
    WRITERS[writer](file)
    assert "new" in file.read_text()


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is synced and renamed from here on, in its order."""
    done: list[str] = []
    fsync, replace = os.fsync, os.replace

    def noted_fsync(handle: int) -> None:
        done.append("folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file")
        fsync(handle)

    def noted_replace(old: Any, new: Any) -> None:
        done.append("replace")
        replace(old, new)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "replace", noted_replace)
    return done


def test_a_file_is_synced_before_it_takes_its_name_and_the_folder_after(tmp_path: Path, done: list[str]) -> None:
    durable.write_text(tmp_path / "x", "")
    assert done == ["file", "replace", "folder"]


def test_all_that_a_new_folder_holds_is_synced_before_it_takes_its_name(tmp_path: Path, done: list[str]) -> None:
    with durable.new_folder(tmp_path / "x") as fresh:
        (fresh / "deep").mkdir()
        for name in ("a", "deep/b", "deep/c"):
            (fresh / name).touch()
        (fresh / "to-nowhere").symlink_to("gone")
    assert sorted(done[:5]) == ["file", "file", "file", "folder", "folder"]
    assert done[5:] == ["replace", "folder"]


def test_json_is_readable_and_ends_with_a_newline(tmp_path: Path) -> None:
    value = {"größe": [1, 2.5, None], "b": True}
    durable.write_json(tmp_path / "x.json", value)
    text = (tmp_path / "x.json").read_text(encoding="utf-8")
    assert json.loads(text) == value and "größe" in text and text.endswith("}\n")


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_numbers_that_are_no_json_are_refused_and_nothing_is_written(value: float, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        durable.write_json(tmp_path / "x.json", {"deep": [value]})
    assert names(tmp_path) == []


def test_lines_are_appended_one_by_one(tmp_path: Path) -> None:
    file = tmp_path / "new/log.jsonl"
    for line in ("one", "zwölf\n", ""):
        durable.append_line(file, line)
    assert file.read_bytes() == "one\nzwölf\n\n".encode()


def test_an_appended_line_is_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    durable.append_line(tmp_path / "log", "kept")
    monkeypatch.setattr(os, "fsync", crash)
    with pytest.raises(_Crash):
        durable.append_line(tmp_path / "log", "last")
    assert (tmp_path / "log").read_text().startswith("kept\n")


def test_a_new_folder_takes_its_name_only_when_it_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "a/target"
    with durable.new_folder(target) as fresh:
        (fresh / "below").mkdir()
        (fresh / "below/file").write_text("x")
        assert not target.exists() and fresh.parent == target.parent
    assert names(tmp_path) == ["a", "a/target", "a/target/below", "a/target/below/file"]
    assert stat.S_IMODE(target.stat().st_mode) == 0o755


def test_a_new_folder_replaces_the_old_one_whole(tmp_path: Path) -> None:
    for name in ("old", "new"):
        with durable.new_folder(tmp_path / "target") as fresh:
            (fresh / name).write_text(name)
    assert names(tmp_path) == ["target", "target/new"]


def test_a_block_that_fails_leaves_the_old_folder_or_none(tmp_path: Path) -> None:
    target = tmp_path / "target"
    for before in ([], ["target", "target/old"]):
        with pytest.raises(_Crash), durable.new_folder(target) as fresh:
            (fresh / "half").write_text("half")
            crash()
        assert names(tmp_path) == before
        with durable.new_folder(target) as fresh:
            (fresh / "old").write_text("old")


@pytest.mark.parametrize("place", ["fsync", "replace"])
def test_a_new_folder_that_cannot_be_kept_vanishes(place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, place, crash)
    with pytest.raises(_Crash), durable.new_folder(tmp_path / "target") as fresh:
        (fresh / "file").write_text("x")
    assert names(tmp_path) == []


def test_a_folder_whose_replacement_fails_is_put_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "target"
    with durable.new_folder(target) as fresh:
        (fresh / "old").write_text("old")
    replace = os.replace

    def fails_once_the_way_is_free(old: Any, new: Any) -> None:
        if new == target and not target.exists() and (Path(old) / "new").exists():
            crash()
        replace(old, new)

    monkeypatch.setattr(os, "replace", fails_once_the_way_is_free)
    with pytest.raises(_Crash), durable.new_folder(target) as fresh:
        (fresh / "new").write_text("new")
    assert names(tmp_path) == ["target", "target/old"]


@pytest.mark.parametrize("replace", [True, False])
def test_two_that_make_one_folder_at_once_do_not_trip_over_each_other(replace: bool, tmp_path: Path) -> None:
    with durable.new_folder(tmp_path / "target", replace=replace) as mine:
        (mine / "mine").touch()
        with durable.new_folder(tmp_path / "target") as other:
            (other / "other").touch()
    assert names(tmp_path) == ["target", "target/mine" if replace else "target/other"]


def test_a_folder_that_another_takes_away_while_it_is_replaced_is_replaced_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "target"
    (target / "old").mkdir(parents=True)
    replace = os.replace

    def gone_before(old: Any, new: Any) -> None:
        if old == target:
            shutil.rmtree(target)
        replace(old, new)

    monkeypatch.setattr(os, "replace", gone_before)
    with durable.new_folder(target) as fresh:
        (fresh / "new").touch()
    assert names(tmp_path) == ["target", "target/new"]


def test_temporary_files_lie_below_a_folder_where_a_killed_process_leaves_them_to_be_found(tmp_path: Path) -> None:
    before = tempfile.gettempdir()
    with durable.temporaries_below(tmp_path), tempfile.NamedTemporaryFile() as file:
        assert leftovers(tmp_path, now=math.inf) == [Path(file.name).parent]
    assert names(tmp_path) == []
    assert tempfile.gettempdir() == before


def test_what_killed_writers_leave_is_found_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "below/.mine").touch()
    with monkeypatch.context() as patch:  # killed: nothing is cleaned up
        patch.setattr(os, "replace", crash)
        patch.setattr(shutil, "rmtree", lambda *_, **__: None)
        patch.setattr(Path, "unlink", lambda *_, **__: None)
        with pytest.raises(_Crash):
            durable.write_text(tmp_path / "below/file", "half")
        with pytest.raises(_Crash), durable.new_folder(tmp_path / "folder") as fresh:
            (fresh / "half").touch()
    assert len(names(tmp_path)) == 5
    left = leftovers(tmp_path, now=math.inf)
    assert leftovers(tmp_path) == []  # they are young
    assert {path for path in tmp_path.rglob("*") if not any(path.is_relative_to(each) for each in left)} == {
        tmp_path / "below",
        tmp_path / "below/.mine",
    }
