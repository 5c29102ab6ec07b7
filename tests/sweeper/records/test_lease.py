"""Who may write to a study: one supervisor, and no worker of an earlier one any more."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from foundation.errors import StudyError
from sweeper.records.lease import supervising, working


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
