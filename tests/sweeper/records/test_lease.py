"""Who may write to a study: one supervisor, and no worker of an earlier one any more."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from foundation.errors import StudyError
from sweeper.records.lease import is_held, supervising, supervisor_of, working

HOLDER = """
import subprocess, sys
from pathlib import Path
from sweeper.records import lease

with getattr(lease, sys.argv[1])(Path(sys.argv[2]), *[print] * (sys.argv[1] == "supervising")):
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=sys.stdin)
    print("holds it", flush=True)
    child.wait()
"""
"""Holds a study with a child that outlives it, until its input ends."""


def silent(words: str) -> None:
    raise AssertionError(words)


def test_a_second_supervisor_is_refused_and_told_who_is_first(tmp_path: Path) -> None:
    with (
        supervising(tmp_path / "pencil", silent),
        pytest.raises(StudyError, match=f"study pencil is being run by process {os.getpid()};"),
        supervising(tmp_path / "pencil", silent),
    ):
        pass
    with supervising(tmp_path / "pencil", silent):
        pass


def test_own_workers_come_and_go(tmp_path: Path) -> None:
    for _ in range(2):
        with supervising(tmp_path, silent), working(tmp_path), working(tmp_path):
            pass


def test_workers_that_outlived_their_supervisor_are_waited_for(tmp_path: Path) -> None:
    said: list[str] = []
    told, may_end = threading.Event(), threading.Event()

    def orphan() -> None:
        with working(tmp_path):
            told.set()
            may_end.wait(30)

    def hear(words: str) -> None:
        said.append(words)
        may_end.set()

    worker = threading.Thread(target=orphan)
    worker.start()
    assert told.wait(30)
    with supervising(tmp_path, hear):
        assert may_end.is_set()
    worker.join()
    assert said == [f"a worker of an earlier run (process {os.getpid()}) still saves its trials; waiting for it"]


def test_a_worker_that_does_not_end_is_named(tmp_path: Path) -> None:
    with (
        working(tmp_path),
        pytest.raises(StudyError, match=rf"worker of an earlier run \(process {os.getpid()}\) that does not end"),
        supervising(tmp_path, lambda _: None, wait_s=0.0),
    ):
        pass


@pytest.mark.parametrize("role", ["supervising", "working"])
def test_a_killed_process_holds_nothing_though_its_child_lives_on(role: str, tmp_path: Path) -> None:
    folder = tmp_path / "pencil"
    folder.mkdir()
    command = [sys.executable, "-c", HOLDER, role, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == "holds it\n"
        assert is_held(folder)
        holder.kill()
        assert holder.wait(30) < 0
        assert not is_held(folder)
        with supervising(folder, silent):
            pass


def test_who_looks_whether_a_study_is_held_leaves_its_holder_named(tmp_path: Path) -> None:
    with supervising(tmp_path, silent):
        assert is_held(tmp_path)
        assert supervisor_of(tmp_path) == os.getpid()
    assert not is_held(tmp_path)
