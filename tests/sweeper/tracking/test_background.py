"""The queue before the tracker: order, threads, and inner trackers that misbehave."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from eval.evaluation import Validation
from sweeper.tracking import background
from sweeper.tracking.background import BackgroundTracker
from sweeper.tracking.port import Tracker
from tests.sweeper.tracking.read_back import evaluation_at, history_of, record, runs_of, step_report


def test_calls_from_many_threads_all_arrive(open_one: Callable[[], Tracker], folder: Path) -> None:
    tracker = open_one()
    tracker.start_study("pencil", "id of pencil", {}, "")
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

    num_lost = 0

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
    tracker.start_study("s", "id of s", {}, "")
    for step in range(1, 101):
        for number in (0, 1):
            tracker.log_steps(number, [step_report(step)])
    tracker.end_trial(record(0, status="finished", reason=""))
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
    tracker.start_study("s", "id of s", {}, "")
    for step in range(1, 31):
        tracker.log_evaluation(0, evaluation_at(step), [])
    tracker.end_trial(record(0, status="finished", reason=""))  # never dropped
    dropped = tracker.num_lost
    assert dropped in (20, 21)  # whether or not the thread has taken its first call
    tracker.close(timeout_s=0.05)
    assert tracker.num_lost == 32  # every call that was made: the first is stuck, and all others behind it
    assert "could not be shown in MLflow (10 calls are waiting already)" in caplog.text
    inner.may_go.set()


class _Store(_Recorder):
    """Fails at the calls of these numbers."""

    def __init__(self, down: range) -> None:
        super().__init__()
        self.down = down

    def __getattr__(self, name: str) -> Callable[..., None]:
        def call(*arguments: object, **_: object) -> None:
            self.calls.append((name, *arguments))
            if len(self.calls) - 1 in self.down:
                raise RuntimeError("database is locked")

        return call


@pytest.mark.parametrize("ends", [True, False])
def test_what_a_store_refused_for_a_while_is_made_good_by_the_trials_end(ends: bool) -> None:
    tracker = BackgroundTracker(_Store(down=range(2, 4)))
    tracker.start_study("s", "id of s", {}, "")
    tracker.start_trial(0, {}, "")
    tracker.log_evaluation(0, evaluation_at(40), [])
    tracker.log_evaluation(0, evaluation_at(80), [])
    if ends:
        tracker.end_trial(record(0))
    tracker.close()
    assert tracker.num_lost == (0 if ends else 2)


def test_a_dead_store_is_left_alone_and_what_failed_is_tried_again_before_the_studys_end() -> None:
    inner = _Store(down=range(2 * background.MAX_FAILURES + 1))
    tracker = BackgroundTracker(inner)
    for number in range(9):
        tracker.end_trial(record(number))
    tracker.log_validation(0, Validation(step=1, ratio=1.0, losses=()))
    assert (
        tracker.register_champion(Path(), 0, {}, {}, "") is None
    )  # tried all the same, and before it some of what had failed
    assert len(inner.calls) == 2 * background.MAX_FAILURES + 1
    tracker.end_study("finished")
    tracker.close()
    assert tracker.num_lost == 0
    assert [call[1].number for call in inner.calls[-12:-3]] == list(range(9))
    assert [call[0] for call in inner.calls[-3:]] == ["register_champion", "end_study", "close"]


def test_a_store_that_stays_away_is_counted_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    tracker = BackgroundTracker(_Store(down=range(1000)))
    with caplog.at_level(logging.WARNING, "sweeper.tracking"):
        tracker.start_study("s", "id of s", {}, "")
        for number in range(5):
            tracker.end_trial(record(number))
        tracker.end_study("finished")
        tracker.close()
    assert tracker.num_lost == 8  # the start, five ends, the study's end, and the tracker's own
    assert len(caplog.records) == 1


def test_an_error_of_any_kind_stays_in_the_thread_and_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    inner = _Recorder()
    tracker = BackgroundTracker(inner)
    with caplog.at_level(logging.WARNING, "sweeper.tracking"):
        tracker.start_trial(0, {}, "")
        assert tracker.register_champion(Path(), 0, {}, {}, "") is None
        tracker.close()
        tracker.end_study("finished")
    assert tracker.num_lost == 2
    assert "trial 0's start could not be shown in MLflow (no room); the study goes on" in caplog.text
    assert [call[0] for call in inner.calls] == ["start_trial", "register_champion", "close"]
