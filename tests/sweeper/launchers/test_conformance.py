"""What every launcher does alike: order of events, refusals, deaths at each point, ends, slow and large messages."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sweeper.launchers.port import Launcher
from sweeper.records.messages import (
    BaseLoaded,
    DeviceFailed,
    Died,
    Event,
    MeasureCapacity,
    Noted,
    OpenSlots,
    Placed,
    Refused,
    Rescore,
    Waiting,
    WorkerCommand,
)
from tests.sweeper.launchers.scripted import LARGE, Order

PATIENCE_S = 60.0


class Workers:
    """What a supervisor hears of a launcher's workers."""

    def __init__(self, launcher: Launcher) -> None:
        self.launcher = launcher
        self.heard: dict[int, list[Event]] = {0: [], 1: []}
        self.placed: dict[int, list[Event]] = {0: [], 1: []}

    def until(self, enough: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not enough():
            assert time.monotonic() < deadline, self.heard
            self.take(self.launcher.wait(1.0))

    def take(self, events: list[tuple[int, Event]]) -> None:
        for number, event in events:
            place = self.placed if isinstance(event, Waiting | Placed) else self.heard
            place[number].append(event)

    def start(self, *numbers: int) -> None:
        """Start them; each says hello before anything else."""
        for number in numbers:
            self.heard[number], self.placed[number] = [], []
            self.launcher.start(number)
        self.until(lambda: all(self.heard[number] for number in numbers))
        for number in numbers:
            assert isinstance(self.heard[number].pop(0), BaseLoaded)
            assert [type(each) for each in self.placed[number]] in ([], [Waiting, Placed])

    def send(self, number: int, command: WorkerCommand) -> None:
        self.launcher.send(number, command)

    def order(self, number: int, order: Order, kind: type[Event]) -> Event:
        """Have a worker do it; the event of that kind that it ends with, which nothing follows."""
        self.send(number, MeasureCapacity(order))
        self.until(lambda: any(isinstance(each, kind) for each in self.heard[number]))
        self.take(self.launcher.wait(0.1))
        assert isinstance(self.heard[number][-1], kind)
        return self.heard[number][-1]


@pytest.fixture
def workers(launcher: Launcher) -> Workers:
    return Workers(launcher)


def numbers(count: int) -> list[Noted]:
    return [Noted(str(number)) for number in range(count)]


def test_what_each_worker_says_comes_in_order_however_slowly_it_is_heard(workers: Workers) -> None:
    workers.start(0, 1)
    workers.launcher.start(1)  # it runs
    for count in (2000, 3):
        workers.send(0, OpenSlots(count))
        workers.send(1, OpenSlots(count))
    workers.until(lambda: all(len(each) == 2003 for each in workers.heard.values()))
    assert workers.heard[0] == workers.heard[1] == [*numbers(2000), *numbers(3)]


def test_large_messages_come_whole_both_ways(workers: Workers, tmp_path: Path) -> None:
    workers.start(0)
    seeds = tuple(range(500_000))
    workers.send(0, MeasureCapacity(Order.SAY_MUCH))
    workers.send(0, Rescore(trial=0, step=1, checkpoint=tmp_path, seeds=seeds, out=tmp_path / "out", all_seeds=seeds))
    workers.until(lambda: len(workers.heard[0]) == 2)
    assert workers.heard[0] == [Noted("x" * LARGE), Noted("500000 seeds")]


@pytest.mark.parametrize("launcher", ["local", "ray"], indirect=True)
def test_a_worker_computes_with_as_many_threads_as_it_is_told(workers: Workers) -> None:
    workers.start(0)
    workers.send(0, MeasureCapacity(Order.TELL_THREADS))
    workers.until(lambda: bool(workers.heard[0]))
    assert workers.heard[0] == [Noted("3 threads")]


def test_a_worker_that_says_why_it_ends_is_not_said_to_have_died(workers: Workers) -> None:
    workers.start(0, 1)
    assert workers.order(0, Order.REFUSE, Refused) == Refused(reason="no such base")
    assert workers.order(1, Order.FAIL, DeviceFailed) == DeviceFailed(reason="out of memory")
    workers.send(1, OpenSlots(3))  # lost
    workers.take(workers.launcher.wait(0.2))
    assert workers.heard == {0: [Refused(reason="no such base")], 1: [DeviceFailed(reason="out of memory")]}


def test_a_death_is_told_once_after_the_last_words_and_another_life_is_new(workers: Workers) -> None:
    workers.start(0)
    workers.send(0, OpenSlots(5))
    death = workers.order(0, Order.EXIT, Died)
    assert workers.heard[0] == [*numbers(5), Noted("last words"), death]
    assert isinstance(death, Died) and "exit code 3" in death.reason and death.by_itself
    workers.start(0)
    death = workers.order(0, Order.BE_KILLED, Died)
    assert isinstance(death, Died) and "SIGKILL" in death.reason and death.by_itself
    workers.start(0)
    death = workers.order(0, Order.RAISE, Died)
    assert isinstance(death, Died) and "exit code 1" in death.reason
    assert workers.heard[0] == [death]


def test_a_worker_that_hangs_is_killed_for_the_reason_given(workers: Workers) -> None:
    workers.start(0, 1)
    workers.send(0, MeasureCapacity(Order.HANG))
    workers.launcher.kill(0, "it hung")
    workers.send(0, OpenSlots(2))  # lost
    workers.until(lambda: bool(workers.heard[0]))
    assert workers.heard[0] == [Died(reason="it hung")]
    workers.launcher.kill(0, "again")  # it is dead
    workers.start(0)
    workers.send(0, OpenSlots(2))
    workers.send(1, OpenSlots(2))
    workers.until(lambda: all(len(each) >= 2 for each in workers.heard.values()))
    assert workers.heard == {0: numbers(2), 1: numbers(2)}


def test_the_end_waits_for_who_saves_and_for_nobody_who_hangs(workers: Workers, tmp_path: Path) -> None:
    workers.start(0, 1)
    workers.send(0, OpenSlots(2000))  # busy, and nobody listens
    workers.send(1, MeasureCapacity(Order.HANG))
    began = time.monotonic()
    workers.launcher.shut_down(PATIENCE_S, saving=[0])
    assert time.monotonic() - began < PATIENCE_S / 2
    assert len(list((tmp_path / "scripted").glob("saved-*"))) == 1
    workers.launcher.shut_down(PATIENCE_S)


def test_who_is_in_a_hurry_waits_for_nobody(workers: Workers) -> None:
    workers.start(0)
    workers.send(0, MeasureCapacity(Order.HANG))
    workers.launcher.hurry()
    began = time.monotonic()
    workers.launcher.shut_down(PATIENCE_S, saving=[0])
    assert time.monotonic() - began < PATIENCE_S / 2
