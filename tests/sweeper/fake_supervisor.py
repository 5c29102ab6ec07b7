"""What stands around a worker, played: a pack that counts, a judge that has made up its mind, the supervisor's end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from eval.evaluation import Evaluation, Validation
from foundation.errors import AdapterError
from sweeper.records.costs import Cost
from sweeper.records.messages import Admit, Saved, Verdict, WorkerCommand
from sweeper.worker.judging import Due
from tests.sweeper.fake_worker import evaluation
from train.reports import StepReport
from train.spec import TrialSpec

MEASURED = Cost(seconds=1.0, gigabytes=2.0)
"""What every pass and every look takes."""


def report(step: int, slot: int = 0) -> StepReport:
    return StepReport(slot=slot, step=step, loss=0.5, lr=1e-4, grad_norm=0.125)


class Pack:
    """Its steps train nothing, and are read ten at a time; a state is a text with the steps done."""

    at_once = 2

    def __init__(self, *_: Any) -> None:
        self.steps: dict[int, int] = {}
        self.last: dict[int, int] = {}
        self.unread: list[StepReport] = []

    def admit(self, spec: TrialSpec, resume_from: Path | None = None, data: object = None) -> int:
        if resume_from is not None and not (resume_from / "state").read_text().isdigit():
            raise AdapterError("state is damaged")
        slot = len(self.steps)
        self.steps[slot] = int((resume_from / "state").read_text()) if resume_from else 0
        self.last[slot] = spec.train.steps
        return slot

    def steps_done(self, slot: int) -> int:
        return self.steps[slot]

    def is_finished(self, slot: int) -> bool:
        return self.steps[slot] >= self.last[slot]

    def has_failed(self, _: int) -> bool:
        return False

    def step(self) -> list[StepReport]:
        for slot in self.steps:
            if not self.is_finished(slot):
                self.steps[slot] += 1
                self.unread.append(self.report(slot))
        full = len(self.unread) >= 10 * len(self.steps)
        return self.read() if full or any(map(self.is_finished, self.steps)) else []

    def report(self, slot: int) -> StepReport:
        return report(self.steps[slot], slot)

    def read(self) -> list[StepReport]:
        unread, self.unread = self.unread, []
        return unread

    def release(self, slot: int) -> None:
        del self.steps[slot]

    def save_adapter(self, slot: int, folder: Path) -> None: ...

    def save_state(self, slot: int, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "state").write_text(str(self.steps[slot]))


class Judge:
    """Judges all alike."""

    def __init__(self, *_: Any) -> None: ...

    def base_pictures(self, _: object) -> Path:
        return Path("base")

    def judge(self, due: Sequence[Due]) -> list[Evaluation]:
        return [evaluation(each.step) for each in due]

    def validate(self, slots: Sequence[int]) -> Tensor:
        return torch.ones(len(slots), 2, 1)

    def validation(self, step: int, losses: Tensor) -> Validation:
        return Validation(step=step, ratio=0.5, losses=tuple(losses.mean(1).tolist()))


class Meter:
    """Finds the same of every block."""

    def __init__(self, *_: Any) -> None: ...

    @contextmanager
    def measure(self) -> Iterator[list[Cost]]:
        costs: list[Cost] = []
        yield costs
        costs.append(MEASURED)


class Supervisor:
    """The other end: hands out these commands, hears everything."""

    def __init__(self, *commands: WorkerCommand) -> None:
        self.commands = list(commands)
        self.heard: list[Any] = []
        self.saved: list[Saved] = []

    def send(self, event: Any) -> None:
        (self.saved if isinstance(event, Saved) else self.heard).append(event)

    def poll(self) -> bool:
        return bool(self.commands) and not isinstance(self.commands[0], Verdict)  # nobody gives one unasked

    def recv(self) -> WorkerCommand:
        if not self.commands:
            raise EOFError
        return self.commands.pop(0)


class Lively(Supervisor):
    """Lets every trial go on, until one has come so far; then it is told that, and gone, or gone before it hears."""

    def __init__(self, *commands: WorkerCommand, until: int, hears: bool) -> None:
        super().__init__(*commands)
        self.until, self.hears, self.gone = until, hears, False

    def send(self, event: Any) -> None:
        steps = getattr(event, "reports", ())
        if steps and steps[-1].step >= self.until:
            self.gone = True
            if not self.hears:
                raise BrokenPipeError
        super().send(event)
        if hasattr(event, "evaluation"):
            self.commands.append(Verdict(trial=event.trial, go_on=True))

    def poll(self) -> bool:
        return self.gone or (bool(self.commands) and isinstance(self.commands[0], Admit))

    def recv(self) -> WorkerCommand:
        if self.gone and not any(isinstance(each, Verdict) for each in self.commands):
            raise EOFError
        return super().recv()
