"""What happens in a study, one event after another, for whoever runs it from Python."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from eval.evaluation import Evaluation, Validation
from foundation.console import say
from foundation.errors import first_line
from sweeper.records.costs import Costs
from sweeper.tracking.port import Images, StudyEnd, TrialEnd, TrialRecord
from train.reports import StepReport


@dataclass(frozen=True, kw_only=True, slots=True)
class StudyStarted:
    """A study begins, or goes on."""

    study: str


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialStarted:
    """A trial gets a slot, for the first time or again."""

    trial: int
    params: Mapping[str, object]
    """Dotted names to values."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialStepped:
    """A trial has made steps, of which these are the last one's numbers."""

    trial: int
    step: int
    loss: float
    learning_rate: float


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialEvaluated:
    """A checkpoint was judged."""

    trial: int
    evaluation: Evaluation
    pictures: Mapping[str, Path]
    """What it drew, by name of the prompt."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialEnded:
    """A trial has ended; of a study that goes on also those that ended before."""

    trial: int
    status: TrialEnd
    reason: str
    params: Mapping[str, object]
    chosen: Mapping[str, float]
    """The numbers of its checkpoint that counts, by name; empty where there is none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BestChosen:
    """The study has its best."""

    folder: Path
    trial: int
    metrics: Mapping[str, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class StudyEnded:
    """The study is over, or was stopped and can go on."""

    status: StudyEnd
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class LineSaid:
    """What the command would print, a line of it."""

    text: str


StudyEvent: TypeAlias = (
    StudyStarted | TrialStarted | TrialStepped | TrialEvaluated | TrialEnded | BestChosen | StudyEnded | LineSaid
)
OnEvent: TypeAlias = Callable[[StudyEvent], object]


class Callbacks:
    """Calls functions with each event, in order, in the study's own thread.

    An error in one of them is said once, and costs no study; KeyboardInterrupt, raised there, stops it as Ctrl-C does.
    What they print goes to the stdout of the moment when this was made, wherever the study's own lines go.
    """

    def __init__(self, functions: Sequence[OnEvent]) -> None:
        self._functions = tuple(functions)
        self._stdout = sys.stdout
        self._failed: set[int] = set()

    def __call__(self, event: StudyEvent) -> None:
        """Pass an event on."""
        for place, function in enumerate(self._functions):
            try:
                with redirect_stdout(self._stdout):
                    function(event)
            except Exception as error:
                if place not in self._failed:
                    self._failed.add(place)
                    name = getattr(function, "__name__", type(function).__name__)
                    words = (
                        f"the callback {name} failed ({type(error).__name__}: {first_line(error)}); the study goes on"
                    )
                    say(words, to=sys.stderr)


class EventTracker:
    """A `Tracker` that makes events of the calls."""

    num_lost = 0

    def __init__(self, emit: Callable[[StudyEvent], None]) -> None:
        self._emit = emit

    def start_study(self, name: str, identity: str, params: Mapping[str, object], config: str) -> None:
        """See `Tracker`, as of all below."""
        self._emit(StudyStarted(study=name))

    def start_trial(
        self, number: int, params: Mapping[str, object], config: str, steps: Iterable[StepReport] = ()
    ) -> None:
        """A trial's start."""
        self._emit(TrialStarted(trial=number, params=dict(params)))

    def show_base(self, images: Images) -> None:
        """The base's pictures are no event."""

    def log_steps(self, number: int, reports: Sequence[StepReport]) -> None:
        """Steps that came together are one event."""
        if reports:
            last = reports[-1]
            self._emit(TrialStepped(trial=number, step=last.step, loss=last.loss, learning_rate=last.lr))

    def log_evaluation(
        self,
        number: int,
        evaluation: Evaluation,
        images: Images,
        costs: Costs | None = None,
        chosen: Mapping[str, float] | None = None,
    ) -> None:
        """A judgement."""
        whole = {name: path.absolute() for name, path in dict(images).items()}  # wherever one is by then
        self._emit(TrialEvaluated(trial=number, evaluation=evaluation, pictures=whole))

    def log_validation(self, number: int, validation: Validation) -> None:
        """Validation losses between evaluations are no events."""

    def end_trial(self, trial: TrialRecord) -> None:
        """A trial's end."""
        ended = TrialEnded(
            trial=trial.number,
            status=trial.status,
            reason=trial.reason,
            params=dict(trial.params),
            chosen=dict(trial.chosen),
        )
        self._emit(ended)

    def log_study(self, values: Mapping[str, float]) -> None:
        """Costs are no event."""

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
        """The best: the checkpoint of trial `number` in `best_folder`, with its `metrics`.

        Who comes close (`fresh`), its `description` and whether to `register` it are for registries.
        """
        self._emit(BestChosen(folder=best_folder.absolute(), trial=number, metrics=dict(metrics)))
        return None

    def end_study(self, status: StudyEnd, reason: str = "") -> None:
        """The study's end."""
        self._emit(StudyEnded(status=status, reason=reason))

    def reconcile(self, running: AbstractSet[int]) -> None:
        """Nothing of an earlier process is left here."""

    def close(self, timeout_s: float = 60.0, hurried: Callable[[], bool] = lambda: False) -> None:
        """Nothing is held back."""
