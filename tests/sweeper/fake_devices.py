"""Workers on several devices, played: they may die or not start, and what a trial has learned outlives its worker."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from eval.evaluation import Evaluation
from sweeper.records.costs import Spent
from sweeper.records.history import append_costs
from sweeper.records.messages import (
    Admit,
    Admitted,
    DeviceFailed,
    Died,
    Evaluated,
    Event,
    Finished,
    Ready,
    Verdict,
    WorkerCommand,
)
from tests.sweeper.fake_worker import COSTS

KILLED = "the worker was ended by SIGKILL"


@dataclass
class Now:
    """What a worker is at, for whoever decides whether it dies of it."""

    worker: int
    trials: Collection[int]
    """All that are on it."""
    trial: int
    """Which of them is to be judged next."""
    step: int
    deaths: int
    """Of all workers so far."""


def never(_: Now) -> bool:
    return False


class PlayedMachines:
    """A launcher. `dies` says whether a worker dies before it comes to a trial's next evaluation; then nobody hears of
    it any more. `hangs` is the same, but the worker lives on. `failing` are workers whose device cannot be used.
    Every `wait` tells one thing that happened."""

    def __init__(
        self,
        script: Mapping[int, Sequence[Evaluation]],
        devices: Sequence[str] = ("cuda:0", "cuda:1"),
        num_slots: int = 2,
        dies: Callable[[Now], bool] = never,
        failing: Collection[int] = (),
        hangs: Callable[[Now], bool] = never,
    ) -> None:
        self.script, self.devices, self.num_slots, self.dies = script, devices, num_slots, dies
        self.failing = set(failing)
        self.hangs = hangs
        self.now = 0.0
        """Seconds; a `wait` in which nothing happens takes one."""
        self.saved: dict[int, list[Evaluation]] = {trial: [] for trial in script}
        self.on: dict[int, set[int]] = {worker: set() for worker in range(len(devices))}
        self.folders: dict[int, Path] = {}
        self.admitted: list[tuple[int, int]] = []
        """(trial, worker)"""
        self.company: list[set[int]] = []
        """The trials of each worker that died."""
        self.most_running = 0
        self._next: deque[tuple[int, Callable[[], list[Event]]]] = deque()

    def start(self, worker: int) -> None:
        ready = Ready(num_slots=self.num_slots, device="", num_train=6, num_validation=3, base_images=(), seconds=0.1)
        failed = DeviceFailed(reason="CUDA out of memory")
        self._tell(worker, failed if worker in self.failing else ready)

    def send(self, worker: int, command: WorkerCommand) -> None:
        match command:
            case Admit(trial=trial, folder=folder):
                self.admitted.append((trial, worker))
                self.folders[trial] = folder
                self.on[worker].add(trial)
                self.most_running = max(self.most_running, sum(map(len, self.on.values())))
                seen = tuple(self.saved[trial])
                self._tell(worker, Admitted(trial=trial, step=seen[-1].step if seen else 0, history=seen[:-1]))
                if seen:  # the verdict on it may not have been heard
                    self._tell(worker, _evaluated(trial, seen[-1]))
                else:
                    self._next.append((worker, lambda: self._evaluate(worker, trial)))
            case Verdict(trial=trial, go_on=True) if len(self.saved[trial]) < len(self.script[trial]):
                self._next.append((worker, lambda: self._evaluate(worker, trial)))
            case Verdict(trial=trial):
                self.on[worker].remove(trial)
                self._tell(worker, Finished(trial=trial))

    def wait(self, timeout_s: float) -> list[tuple[int, Event]]:
        if not self._next:
            self.now += 1
            return []
        worker, happens = self._next.popleft()
        return [(worker, event) for event in happens()]

    def kill(self, worker: int, reason: str) -> None:
        self._next = deque(each for each in self._next if each[0] != worker)
        self.company.append(self.on[worker])
        self.on[worker] = set()
        self._tell(worker, Died(reason=reason))

    def shut_down(self, timeout_s: float, saving: Collection[int] = ()) -> None: ...

    def hurry(self) -> None: ...

    def _tell(self, worker: int, event: Event) -> None:
        self._next.append((worker, lambda: [event]))

    def _evaluate(self, worker: int, trial: int) -> list[Event]:
        made = self.script[trial][len(self.saved[trial])]
        if self.dies(Now(worker, self.on[worker], trial, made.step, len(self.company))):
            self.kill(worker, KILLED)
            return []
        if self.hangs(Now(worker, self.on[worker], trial, made.step, len(self.company))):
            self._next = deque(each for each in self._next if each[0] != worker)
            return []
        self.saved[trial].append(made)
        append_costs(self.folders[trial], Spent(step=made.step, costs=COSTS))
        return [_evaluated(trial, made)]


def _evaluated(trial: int, made: Evaluation) -> Evaluated:
    return Evaluated(trial=trial, evaluation=made, checkpoint=Path("x"), images=())
