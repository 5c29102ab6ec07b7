"""The queue before the tracker: order, threads, and inner trackers that misbehave."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sweeper.tracking import background
from sweeper.tracking.background import BackgroundTracker
from sweeper.tracking.port import Tracker
from tests.sweeper.tracking.read_back import evaluation_at, history_of, runs_of, step_report


def test_calls_from_many_threads_all_arrive(open_one: Callable[[], Tracker], folder: Path) -> None:
    tracker = open_one()
    tracker.start_study("pencil", {}, "")
    for number in range(4):
        tracker.start_trial(number, {}, "")

    def train(number: int) -> None:
        for step in range(1, 51):
            tracker.log_steps(number, [step_report(step)])

    threads = [threading.Thread(target=train, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    tracker.close()
    runs = runs_of(folder)
    for number in range(4):
        assert len(history_of(folder, runs[f"trial {number:04d}"], "train/loss")) == 50


class _Recorder:
    """A tracker that notes its calls, and waits or raises when told to."""

    lost = 0

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.may_go = threading.Event()
        self.may_go.set()

    def __getattr__(self, name: str) -> Callable[..., None]:
        def call(*arguments: object, **_: object) -> None:
            assert self.may_go.wait(timeout=30)
            self.calls.append((name, *arguments))
            if name == "start_trial":
                raise RuntimeError("no room\nand a second line")

        return call


def test_steps_are_joined_and_order_is_kept() -> None:
    inner = _Recorder()
    inner.may_go.clear()
    tracker = BackgroundTracker(inner)
    tracker.start_study("s", {}, "")
    for step in range(1, 101):
        for number in (0, 1):
            tracker.log_steps(number, [step_report(step)])
    tracker.end_trial(0, "finished", "", {}, {})
    inner.may_go.set()
    tracker.close()
    names = [call[0] for call in inner.calls]
    assert names == ["start_study", "log_steps", "log_steps", "end_trial", "close"]
    assert [report.step for report in inner.calls[1][2]] == list(range(1, 101))


def test_held_steps_are_shown_soon_without_another_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "BATCH_SECONDS", 0.01)
    shown = threading.Event()

    class Inner(_Recorder):
        def log_steps(self, number: int, reports: object) -> None:
            shown.set()

    tracker = BackgroundTracker(Inner())
    tracker.log_steps(0, [step_report(1)])
    assert shown.wait(timeout=30)
    tracker.close()


def test_a_slow_store_costs_no_memory_and_no_time_at_the_end(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(background, "MAX_WAITING", 10)
    inner = _Recorder()
    inner.may_go.clear()
    tracker = BackgroundTracker(inner)
    tracker.start_study("s", {}, "")
    for step in range(1, 31):
        tracker.log_evaluation(0, evaluation_at(step), [])
    tracker.end_trial(0, "finished", "", {}, {})  # never dropped
    dropped = tracker.lost
    assert dropped in (20, 21)  # whether or not the thread has taken its first call
    with caplog.at_level(logging.WARNING, "sweeper.tracking"):
        tracker.close(timeout_s=0.05)
    assert tracker.lost == 32  # every call that was made: the first is stuck, and all others behind it
    assert "records of this study are not in MLflow" in caplog.text
    inner.may_go.set()


def test_an_error_of_any_kind_stays_in_the_thread_and_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    inner = _Recorder()
    tracker = BackgroundTracker(inner)
    with caplog.at_level(logging.WARNING, "sweeper.tracking"):
        tracker.start_trial(0, {}, "")
        assert tracker.crown(Path(), 0, {}, "") is None
        tracker.close()
        tracker.end_study("finished")
    assert tracker.lost == 2
    assert "trial 0's start could not be shown in MLflow (no room); the study goes on" in caplog.text
    assert [call[0] for call in inner.calls] == ["start_trial", "crown", "close"]
