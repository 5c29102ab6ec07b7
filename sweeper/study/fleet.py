"""The workers of a study, one for each device: which are up, how many trials each takes, which are given up."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from foundation.errors import DeviceError, StudyError
from sweeper.launchers.port import Launcher
from sweeper.records.config import Config
from sweeper.records.messages import (
    Activity,
    Admit,
    Admitted,
    BaseLoaded,
    CapacityMeasured,
    DeviceFailed,
    Died,
    Draw,
    Drew,
    Evaluated,
    Event,
    MeasureCapacity,
    Noted,
    OfTrial,
    OpenSlots,
    Placed,
    Probe,
    Ready,
    Refused,
    Rescore,
    Rescored,
    Stepped,
    Validated,
    Waiting,
    WorkerCommand,
    Working,
)
from sweeper.records.trials import Trial
from sweeper.records.turns import begin_turn, end_turn
from sweeper.study.stages import StageClock
from sweeper.study.watchdog import Watchdog
from train.reports import Capacity, describe_costs

MAX_DEATHS_AT_START: Final = 2
"""A worker that dies before it is ready so often in a row will not come up."""


@dataclass(slots=True)
class WorkerState:
    """A worker as the supervisor sees it."""

    number: int
    name: str
    """Of its device; with a number where several workers share it."""
    kind: str | None = None
    """Of its device, once that is known."""
    ready: Ready | None = None
    trials: list[int] = field(default_factory=list)
    has_question: bool = False
    """Whether it owes the answer to a question about a checkpoint."""
    deaths_at_start: int = 0
    given_up: bool = False
    waits: bool = False
    """Whether the launcher has no place for it yet; nothing is kept for such a one."""


class Fleet:
    """Starts workers and replaces those that die or hang; what they say of trials is for others to act upon."""

    def __init__(
        self,
        config: Config,
        launcher: Launcher,
        say: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._config = config
        self._launcher = launcher
        self._say = say
        self._watchdog = Watchdog(config.launcher, clock)
        self.stages = StageClock(clock)
        names = _names(launcher.devices)
        self.workers = [WorkerState(number, name) for number, name in enumerate(names)]
        self._trains = True
        self._slots: dict[str, int] = {}
        """By kind of device."""
        self._measuring: dict[str, int] = {}
        """By kind, the worker that finds it out for all."""
        self._curves: dict[str, tuple[Capacity, ...]] = {}
        """By kind, what was measured and not said yet."""
        self._said: set[str] = set()
        """Of what is said once, whichever worker says it."""

    def places(self) -> dict[int, str]:
        """Where each running trial is, by its number."""
        return {trial: f"{worker.name}/{place}" for worker in self.workers for place, trial in enumerate(worker.trials)}

    @property
    def live(self) -> list[WorkerState]:
        """Workers that are up, or come up."""
        return [worker for worker in self.workers if not worker.given_up and not worker.waits]

    @property
    def live_numbers(self) -> list[int]:
        """Their numbers."""
        return [worker.number for worker in self.live]

    @property
    def num_free(self) -> int:
        """Slots without a trial."""
        return sum(self.room(worker) - len(worker.trials) for worker in self.live)

    @property
    def ready(self) -> list[WorkerState]:
        """Workers that are up."""
        return [worker for worker in self.workers if worker.ready is not None]

    def room(self, worker: WorkerState) -> int:
        """How many trials a worker can have at once; of one that is not up, how many it will have at most."""
        if worker.ready is not None:
            return worker.ready.num_slots
        study = self._config.study
        if study.slots != "auto":
            return study.slots
        return self._slots.get(worker.kind or "", study.most_on(len(self.live)))

    def give(self, worker: WorkerState, trial: Trial) -> None:
        """A trial has one of this worker's slots."""
        worker.trials.append(trial.number)
        begin_turn(trial.folder, worker.number)

    def release(self, trial: Trial) -> None:
        """A trial has its slot no more, if it had one."""
        for worker in (each for each in self.workers if trial.number in each.trials):
            worker.trials.remove(trial.number)
            end_turn(trial.folder)

    def start(self, most: int | None = None, *, trains: bool = True) -> None:
        """Start all workers that do not run, or of the first `most`; without `trains` they judge checkpoints alone.

        Raises:
            DeviceError: all are given up.
        """
        self._trains = trains
        wanted = sorted((each for each in self.workers if not each.given_up), key=lambda each: each.waits)
        for worker in wanted[:most]:
            if worker.ready is None:
                self._start(worker)

    def send(self, worker: WorkerState, command: WorkerCommand) -> None:
        """Hand a command to a worker that is up."""
        match command:
            case Admit():
                self._watchdog.expect(worker.number, "training")
            case Rescore() | Draw():
                worker.has_question = True
                self.stages.ask(worker.number)
                self._watchdog.expect(worker.number, "judging")
            case Probe():
                worker.has_question = True
                self._watchdog.expect(worker.number, "training")
            case MeasureCapacity() | OpenSlots():
                self._watchdog.expect(worker.number, "loading")
        self._launcher.send(worker.number, command)

    def events(self, timeout_s: float = 1.0) -> Iterator[tuple[WorkerState, Event]]:
        """What workers said since the last call; what concerns the workers themselves is done when it is yielded.

        What is said of a trial that a worker does not have is not.

        A worker that is yielded with `Died` or `DeviceFailed` has lost what it had: its `trials`, and its question.

        Raises:
            StudyError: the study cannot go on, on any device.
            DeviceError: no device is left.
        """
        events = self._launcher.wait(timeout_s)
        self._watchdog.tick()
        for number, event in events:
            worker = self.workers[number]
            if worker.given_up or (isinstance(event, OfTrial) and event.trial not in worker.trials):
                continue  # such words are an older attempt's
            self._take(worker, event)
            yield worker, event
            if worker.ready is not None and not worker.trials and not worker.has_question:
                self._watchdog.rest(number)
        for number, reason in self._watchdog.hung().items():
            self._launcher.kill(number, reason)

    def give_up(self, worker: WorkerState, why: str) -> None:
        """Do without a worker from here on; whoever calls it sees to its trials.

        Raises:
            DeviceError: it was the last one.
        """
        worker.given_up, worker.ready = True, None
        self._watchdog.rest(worker.number)
        if all(each.given_up for each in self.workers):
            names = ", ".join(each.name for each in self.workers)
            raise DeviceError(f"no device is left of {names}: {why}; put that right, and the same command goes on")
        self._say(f"{worker.name} is given up: {why}; {_count(len(self.live), 'device')} left")

    def _start(self, worker: WorkerState) -> None:
        self._launcher.start(worker.number)
        self.stages.start(worker.number)
        self._watchdog.start(worker.number)

    def _take(self, worker: WorkerState, event: Event) -> None:
        self._watchdog.hear(worker.number, _activity(event))
        match event:
            case Admitted():
                self._watchdog.expect(worker.number, "training")
            case Waiting():
                worker.waits = True
                self._watchdog.rest(worker.number)
            case Placed(name=name):
                worker.waits, worker.name = False, name
                self._watchdog.start(worker.number)
            case BaseLoaded():
                worker.kind = event.kind
                self._open(worker)
            case CapacityMeasured():
                self._on_measured(worker, event)
            case Ready():
                self._on_ready(worker, event)
            case Rescored() | Drew():
                self.stages.answer(worker.number)
            case Refused():
                raise StudyError(event.reason)
            case Noted(words=words, of_study=True):
                if words not in self._said:
                    self._said.add(words)
                    self._say(words)
            case Noted(words=words):
                self._say(f"{worker.name}: {words}")
            case DeviceFailed():
                self._forget(worker)
                self.give_up(worker, event.reason)
            case Died():
                self._on_death(worker, event)
        self._say_curves()

    def _open(self, worker: WorkerState) -> None:
        """Tell a worker how many slots to make, as soon as that is known for its kind of device."""
        assert worker.kind is not None
        if not self._trains:
            self.send(worker, OpenSlots(1))
        elif worker.kind in self._slots:
            self.send(worker, OpenSlots(self._slots[worker.kind]))
        elif worker.kind not in self._measuring:
            self._measuring[worker.kind] = worker.number
            self.send(worker, MeasureCapacity(self._config.study.most_on(len(self.live))))
        else:
            self._watchdog.rest(worker.number)

    def _on_measured(self, worker: WorkerState, event: CapacityMeasured) -> None:
        kind = worker.kind
        assert kind is not None
        self._measuring.pop(kind, None)
        self._slots[kind], self._curves[kind] = event.num_slots, event.capacity
        self._open_all(kind)

    def _open_all(self, kind: str) -> None:
        """Go on with those that have loaded and wait."""
        for worker in self.live:
            if worker.kind == kind and worker.ready is None:
                self._open(worker)

    def _on_ready(self, worker: WorkerState, event: Ready) -> None:
        worker.ready, worker.deaths_at_start = event, 0
        self.stages.load(worker.number, event.seconds)
        self._say(
            f"{worker.name}: {_count(event.num_slots, 'slot')}, {event.num_train} pictures to learn from, "
            f"{event.num_validation} held out ({event.seconds:.0f} s to load)"
        )

    def _say_curves(self) -> None:
        """Say what was measured once it is known which devices it holds for."""
        kinds = [worker.kind for worker in self.live]
        if None in kinds:
            return
        for kind, curve in self._curves.items():
            devices, taken = _count(kinds.count(kind), "device"), self._slots[kind]
            self._say(
                f"{kind}, {devices}: slots and what they train together: {describe_costs(curve)}; {taken} taken on each"
            )
        self._curves = {}

    def _on_death(self, worker: WorkerState, event: Died) -> None:
        """Start it anew, unless it does not come up."""
        if event.by_itself:
            worker.deaths_at_start = worker.deaths_at_start + 1 if worker.ready is None else 0
        self._say(f"worker {worker.number} ({worker.name}) died: {event.reason}")
        self._forget(worker)
        if worker.deaths_at_start >= MAX_DEATHS_AT_START:
            self.give_up(worker, f"its worker cannot start: {event.reason}; what it wrote stands above")
        else:
            self._start(worker)

    def _forget(self, worker: WorkerState) -> None:
        """Nothing of its process is left; another of its kind finds out what it was to find out."""
        kind, worker.ready, worker.kind, worker.has_question = worker.kind, None, None, False
        self.stages.end(worker.number)
        if kind is not None and self._measuring.get(kind) == worker.number:
            del self._measuring[kind]
            self._open_all(kind)


def _activity(event: Event) -> Activity | None:
    """What a worker is at after it said this, as far as it tells."""
    match event:
        case Working(activity=activity):
            return activity
        case Stepped() | Evaluated() | Validated():
            return "training"
    return None


def _names(devices: Sequence[str]) -> list[str]:
    return [
        device if devices.count(device) == 1 else f"{device} ({list(devices[: number + 1]).count(device)})"
        for number, device in enumerate(devices)
    ]


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
