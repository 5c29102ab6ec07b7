"""A study's parts, played: workers that answer from a script, a tracker that notes what it is told, made-up trials."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import cache
from pathlib import Path

from eval.evaluation import Evaluation, Validation
from sweeper.records.costs import Cost, Costs, Spent
from sweeper.records.history import append_costs, append_evaluation
from sweeper.records.messages import (
    Admit,
    Admitted,
    Died,
    Evaluated,
    Event,
    Failed,
    Finished,
    Ready,
    Stepped,
    Verdict,
    WorkerCommand,
)
from sweeper.records.trials import Trial
from sweeper.search.space import plan
from sweeper.tracking.port import TrialRecord
from train.reports import StepReport
from train.spec import TrialSpec

OVERRIDES = [
    "+experiment=pencil",
    "study.num_trials=3",
    "train.steps=80",
    "eval.every=40",
    "eval.prompts=[a red cup]",
    "study.pruner.name=none",
    "study.extend=1",
]
"""A small study of the drawn set."""
COSTS = Costs(training=Cost(seconds=0.3, gigabytes=2.0), judging=Cost(seconds=0.1, gigabytes=3.0))


def evaluation(step: int, score: float = 50.0, index: float = 0.0, *, overfit: bool = False) -> Evaluation:
    return Evaluation(
        step=step,
        score=score,
        score_se=1.0,
        overfit_index=index,
        overfit=overfit,
        words="copies in 4 of 16 pictures" if overfit else "no sign of overfit",
        severities={},
        metrics={"val_ratio": 0.5},
        validation_losses=(0.1, 0.2),
    )


@cache
def spec() -> TrialSpec:
    """Of the trials of that study, as far as they are not searched."""
    return plan(OVERRIDES).config.trial


def trial(number: int, *evaluations: Evaluation) -> Trial:
    made = Trial(number=number, params={}, spec=spec(), folder=Path("x"), clean=0.5)
    made.evaluations, made.status = list(evaluations), "finished"
    return made


class PlayedWorker:
    """A launcher with one worker, which answers every command from a script: trial → its evaluations, or a failure."""

    devices = ("cpu",)

    def __init__(self, script: Mapping[int, Sequence[Evaluation] | str], num_slots: int = 2, deaths: int = 0) -> None:
        self.script = script
        self.num_slots = num_slots
        self.deaths = deaths
        self.started = 0
        self.most_at_once = 0
        self.queue: list[tuple[int, Event]] = []
        self.left: dict[int, list[Evaluation]] = {}
        self.admitted: list[int] = []
        self.folders: dict[int, Path] = {}

    def start(self, worker: int) -> None:
        self.started += 1
        self.left = {}
        self.queue.append(
            (
                0,
                Ready(
                    num_slots=self.num_slots, device="cpu", num_train=6, num_validation=3, base_images=(), seconds=0.1
                ),
            )
        )

    def send(self, worker: int, command: WorkerCommand) -> None:
        match command:
            case Admit(trial=trial):
                self.admitted.append(trial)
                self.folders[trial] = command.folder
                if self.deaths > 0:
                    self.deaths -= 1
                    self.queue = [(0, Died(reason="the worker was ended by SIGKILL"))]
                    return
                self.queue.append((0, Admitted(trial=trial, step=0, history=())))
                played = self.script[trial]
                if isinstance(played, str):
                    self.queue.append((0, Failed(trial=trial, reason=played)))
                    return
                self.left[trial] = list(played)
                self.most_at_once = max(self.most_at_once, len(self.left))
                self._evaluate(trial)
            case Verdict(trial=trial, go_on=go_on):
                if go_on and self.left[trial]:
                    self._evaluate(trial)
                else:
                    del self.left[trial]
                    self.queue.append((0, Finished(trial=trial)))

    def _evaluate(self, trial: int) -> None:
        made = self.left[trial].pop(0)
        append_costs(self.folders[trial], Spent(step=made.step, costs=COSTS))
        report = StepReport(slot=0, step=made.step, loss=0.3, lr=1e-3, grad_norm=1.0)
        self.queue.append((0, Stepped(trial=trial, reports=(report,))))
        self.queue.append((0, Evaluated(trial=trial, evaluation=made, checkpoint=Path("x"), images=())))

    def wait(self, timeout_s: float) -> list[tuple[int, Event]]:
        events, self.queue = self.queue[:1], self.queue[1:]
        return events

    def shut_down(self, timeout_s: float) -> None:
        self.left = {}


class LastingWorker(PlayedWorker):
    """One that keeps evaluations, and goes on with a trial where it left it, as workers do."""

    def __init__(self, script: dict[int, tuple[Evaluation, ...]], stops_at: tuple[int, int] | None = None) -> None:
        super().__init__(script, num_slots=1)
        self.stops_at = stops_at
        """A trial, and its evaluations so far, that the study is interrupted after."""
        self.done: dict[int, list[Evaluation]] = defaultdict(list)

    def send(self, worker: int, command: WorkerCommand) -> None:
        if not isinstance(command, Admit) or not self.done[command.trial]:
            super().send(worker, command)
            return
        number, done = command.trial, self.done[command.trial]
        self.admitted.append(number)
        self.queue.append((0, Admitted(trial=number, step=done[-1].step, history=tuple(done[:-1]))))
        self.left[number] = list(self.script[number][len(done) - 1 :])  # type: ignore[arg-type]
        done.pop()  # its verdict may be unknown, so that it is told again
        self._evaluate(number)

    def _evaluate(self, trial: int) -> None:
        made, done = self.left[trial][0], self.done[trial]
        done.append(made)
        if len(done) > self.kept(trial):
            append_evaluation(self.folders[trial], made)
        super()._evaluate(trial)

    def kept(self, trial: int) -> int:
        file = self.folders[trial] / "evaluations.jsonl"
        return len(file.read_text().splitlines()) if file.exists() else 0

    def wait(self, timeout_s: float) -> list[tuple[int, Event]]:
        if self.stops_at and len(self.done[self.stops_at[0]]) == self.stops_at[1]:
            raise KeyboardInterrupt
        return super().wait(timeout_s)


class Notes:
    """A tracker that keeps what it was told."""

    num_lost = 0
    registered: bool | None = None
    """Whether the winner was to be registered."""

    def __init__(self) -> None:
        self.ended: dict[int, tuple[str, str]] = {}
        self.chosen: dict[int, dict[str, float]] = {}
        self.started: list[int] = []
        self.caught_up: dict[int, list[int]] = {}
        """Steps that a trial's start brought along."""
        self.reconciled: set[int] | None = None
        self.records: dict[int, TrialRecord] = {}
        self.shown: list[tuple[int, int]] = []
        self.costs: dict[tuple[int, int], Costs | None] = {}
        """Of a trial's evaluation at a step."""

    def start_study(self, name: str, identity: str, params: Mapping[str, object], config: str) -> None: ...

    def show_base(self, images: Sequence[tuple[str, Path]]) -> None: ...

    def start_trial(
        self, number: int, params: Mapping[str, object], config: str, steps: Iterable[StepReport] = ()
    ) -> None:
        self.started.append(number)
        self.caught_up[number] = [report.step for report in steps]

    def log_steps(self, number: int, reports: Sequence[StepReport]) -> None: ...

    def log_evaluation(
        self,
        number: int,
        evaluation: Evaluation,
        images: Sequence[tuple[str, Path]],
        costs: Costs | None = None,
        chosen: Mapping[str, float] | None = None,
    ) -> None:
        self.shown.append((number, evaluation.step))
        self.costs[number, evaluation.step] = costs

    def log_validation(self, number: int, validation: Validation) -> None: ...

    def end_trial(self, trial: TrialRecord) -> None:
        self.ended[trial.number] = (trial.status, trial.reason)
        self.chosen[trial.number] = dict(trial.chosen)
        self.records[trial.number] = trial

    def log_study(self, values: Mapping[str, float]) -> None: ...

    def register_champion(
        self,
        best_folder: Path,
        number: int,
        metrics: Mapping[str, float],
        fresh: Mapping[int, Mapping[str, float]],
        description: str,
        *,
        register: bool = True,
    ) -> str | None:
        self.registered = register
        return "1" if register else None

    def end_study(self, status: str, reason: str = "") -> None: ...

    def reconcile(self, running: AbstractSet[int]) -> None:
        self.reconciled = set(running)

    def close(self, timeout_s: float = 60.0, hurried: Callable[[], bool] = lambda: False) -> None: ...
