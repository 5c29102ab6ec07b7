"""How a study ends when it is told to: what the first signal does, and what a second one does."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from sweeper.study.stopping import Stop, stoppable


class Told:
    """A study's end, played: a clock, what was said, how often it was hurried."""

    def __init__(self) -> None:
        self.now, self.said, self.hurries = 100.0, list[str](), 0
        self.stop = Stop(self.said.append, lambda: self.now)
        self.stop.hurry = self.hurry

    def hurry(self) -> None:
        self.hurries += 1


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def heard() -> Iterator[None]:
    """As on a terminal, whatever these tests were started by."""
    before = {number: signal.signal(number, signal.SIG_DFL) for number in (signal.SIGINT, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (signal.SIGINT, "stopped by hand (Ctrl-C)"),
        (signal.SIGTERM, "ended by SIGTERM"),
        (signal.SIGHUP, "its terminal was closed, or what read its output"),
    ],
)
def test_the_first_signal_interrupts_and_says_what_it_was(number: signal.Signals, reason: str, heard: None) -> None:
    before = signal.getsignal(number)
    with stoppable(print) as stop, pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), number)
    assert stop.reason == reason and not stop.hurried
    assert signal.getsignal(number) is before


def test_a_second_signal_hurries_once_and_the_same_one_heard_twice_does_not(told: Told) -> None:
    with pytest.raises(KeyboardInterrupt):
        told.stop(signal.SIGINT, None)
    told.now += 0.5  # the same, passed on by what it was started by
    told.stop(signal.SIGINT, None)
    assert (told.hurries, told.said) == (0, [])
    told.now += 1
    told.stop(signal.SIGHUP, None)  # nobody is there to be in a hurry
    assert told.hurries == 0
    for _ in range(2):
        told.stop(signal.SIGINT, None)
    assert (told.hurries, told.said) == (1, ["ending at once; trials go on from their last evaluation"])


def test_an_end_that_has_begun_by_itself_is_not_interrupted_but_can_be_hurried(told: Told) -> None:
    told.stop.begin()
    told.stop(signal.SIGTERM, None)
    assert (told.hurries, told.stop.reason) == (1, "")


def test_a_process_that_was_started_by_nohup_outlives_its_terminal(heard: None) -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with stoppable(print) as stop:
        os.kill(os.getpid(), signal.SIGHUP)
    assert stop.reason == ""


def test_in_a_thread_that_hears_no_signals_nothing_is_stopped_and_nothing_fails() -> None:
    """Python lets the main thread alone say what signals do; `run_study` may be called in another one."""
    before, reasons = signal.getsignal(signal.SIGINT), []

    def run() -> None:
        with stoppable(lambda _: None) as stop:
            reasons.append(stop.reason)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert reasons == [""] and signal.getsignal(signal.SIGINT) is before
