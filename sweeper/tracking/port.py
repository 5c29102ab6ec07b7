"""What the study asks of whatever shows its runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, TypeAlias

from eval.evaluation import Evaluation, Validation
from sweeper.costs import Costs
from train.reports import StepReport

TrialEnd = Literal["finished", "pruned", "failed"]
"""finished: it has a checkpoint that counts, whether it did all its steps or was stopped as overfit.
pruned: the study gave it up. failed: it could not go on (loss not finite, out of memory, a crash)."""
StudyEnd = Literal["finished", "interrupted", "failed"]
"""finished: all trials ended. interrupted: Ctrl-C, it can be resumed. failed: an error ended it."""

Shown: TypeAlias = tuple[Evaluation, Sequence[tuple[str, Path]], Costs]
"""An evaluation with its images, and what it and the training before it took."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ended:
    """All of a trial that has ended; the fields are what the calls of `Tracker` take."""

    number: int
    params: Mapping[str, object]
    config: str
    steps: Iterable[StepReport]
    evaluations: Sequence[Shown]
    validations: Sequence[Validation]
    status: TrialEnd
    reason: str
    kept: Mapping[str, Path]
    chosen: Mapping[str, float]


class Tracker(Protocol):
    """Shows one study: a parent run, a child run per trial. One supervisor calls it.

    Calls are made in the order of events: study, trial, steps and evaluations, end. A trial that this process never
    started may still be ended, if an earlier process started it.

    What `open_tracker` returns may be called from any thread and never raises after it was opened: showing a study is
    not worth losing it. What could not be shown is counted in `lost` and said once.
    """

    @property
    def lost(self) -> int:
        """Records that could not be shown: a step, an evaluation, or any other call counts as one."""

    def start_study(self, name: str, params: Mapping[str, object], config: str) -> None:
        """Open the study's run, or reopen it when there is one of this name: it is RUNNING again.

        `params` are dotted names to values, `config` is the resolved config as YAML. What was shown of a parameter
        stays; a value that differs from it now is shown beside it.
        """

    def start_trial(
        self, number: int, params: Mapping[str, object], config: str, steps: Iterable[StepReport] = ()
    ) -> None:
        """Open a trial's run under the study's, or reopen it when the trial goes on in a new attempt.

        Steps and evaluations that an earlier attempt has shown already are not shown twice. `steps` are those that it
        may not have come to show; they are taken once, and later.
        """

    def show_base(self, images: Sequence[tuple[str, Path]]) -> None:
        """Show what the base alone draws, as step 0 of every trial: of those open now, and of those that start later.

        The names are those of `log_evaluation`, so that a trial's pictures can be followed from the base on.
        """

    def log_steps(self, number: int, reports: Sequence[StepReport]) -> None:
        """Show training loss, learning rate and gradient norm by step; values that are not finite are left out."""

    def log_evaluation(
        self, number: int, evaluation: Evaluation, images: Sequence[tuple[str, Path]], costs: Costs | None = None
    ) -> None:
        """Show score, overfit index and all finite metrics at the evaluation's step, and the verdict in words.

        `images` are sample pictures by name, a name for the same prompt and seed at every step; the files are read
        later and must stay. `costs` are the trial's since its last evaluation.
        """

    def log_validation(self, number: int, validation: Validation) -> None:
        """Show a validation loss between two evaluations, under the names that evaluations show theirs under."""

    def end_trial(
        self, number: int, status: TrialEnd, reason: str, kept: Mapping[str, Path], chosen: Mapping[str, float]
    ) -> None:
        """End a trial's run and say why; `kept` are checkpoint folders by name (best, last), shown as artifacts.

        The folders are read later and must stay. `chosen` are the step, score and objectives of the checkpoint that
        counts for the trial, shown as metrics of their own; what is not finite is left out.

        A pruned trial did nothing wrong and a failed one did, so they must not look the same: an adapter names the two
        ends differently (MLflow: finished is FINISHED, pruned is KILLED, failed is FAILED).
        """

    def recover(self, trial: Ended) -> None:
        """Show what is missing of a trial that an earlier process ended and had no time to show; else nothing."""

    def crown(
        self, best_folder: Path, number: int, metrics: Mapping[str, float], description: str, *, register: bool = True
    ) -> str | None:
        """Show `best_folder` as the study's result, and `register` it as champion; return the registered version.

        Waits until it is done. The same weights crowned again stay the same version. None when it could not be shown,
        or was not to be registered.
        """

    def end_study(self, status: StudyEnd, reason: str = "") -> None:
        """End the study's run, and before it every trial's that is still open: nothing stays RUNNING."""

    def reconcile(self, running: AbstractSet[int]) -> None:
        """After a crash, end the runs of all trials that are not in `running` and still look as if they ran.

        To be called once the study is started, and after `recover` of those whose end is known.
        """

    def close(self, timeout_s: float = 60.0, hurried: Callable[[], bool] = lambda: False) -> None:
        """Show what is still held back, but no longer than `timeout_s`, or a few seconds once it is `hurried`.

        No calls after it.
        """
