"""What the study asks of whatever shows its runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, TypeAlias

from eval.evaluation import Evaluation, Validation
from sweeper.records.costs import Costs
from train.reports import StepReport

TrialEnd = Literal["finished", "pruned", "failed"]
"""finished: it has a checkpoint that counts, whether it did all its steps or was stopped as overfit.
pruned: the study gave it up. failed: it could not go on (loss not finite, out of memory, a crash)."""
StudyEnd = Literal["finished", "interrupted", "failed"]
"""finished: all trials ended. interrupted: Ctrl-C, it can be resumed. failed: an error ended it."""

Images: TypeAlias = Sequence[tuple[str, Path]]
"""Sample pictures by name, one for the same prompt at every step; the files are read later and must stay."""
Shown: TypeAlias = tuple[Evaluation, Images, Costs]
"""An evaluation with its images, and what it and the training before it took."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialRecord:
    """All that is to be seen of a trial that has ended."""

    number: int
    params: Mapping[str, object]
    """Dotted names to values."""
    config: str
    """The resolved config as YAML."""
    steps: Iterable[StepReport]
    """Read anew each time that it is iterated, and later."""
    evaluations: Sequence[Shown]
    validations: Sequence[Validation]
    status: TrialEnd
    reason: str
    kept: Mapping[str, Path]
    """Checkpoint folders by name (best, last), shown as artifacts; read later, so they must stay."""
    chosen: Mapping[str, float]
    """Numbers of the checkpoint that counts for the trial, by name; what is not finite is left out."""
    digest: str
    """Differs when any of this does; a trial that was shown whole under the same digest is not looked at again."""


class Tracker(Protocol):
    """Shows one study: a parent run, a child run per trial. One supervisor calls it.

    Calls are made in the order of events: study, trial, steps and evaluations, end. Nothing is shown twice, whichever
    process showed it first, and whatever is missing is shown by the next call that knows of it: `end_trial` knows all
    of a trial, so a study that is started again heals what an earlier process left out.

    What `open_tracker` returns may be called from any thread and never raises after it was opened: showing a study is
    not worth losing it. `lost` says how much could not be shown.
    """

    @property
    def num_lost(self) -> int:
        """Records that are missing now: a step, an evaluation, or any other call counts as one.

        Those of a trial that `end_trial` has shown since do not count any more.
        """

    def start_study(self, name: str, identity: str, params: Mapping[str, object], config: str) -> None:
        """Open the study's run, or reopen it when there is one of this identity: it is RUNNING again.

        `identity` is the study's own for good; two studies may have one name. `params` are dotted names to values,
        `config` is the resolved config as YAML. What was shown of a parameter stays; a value that differs from it now
        is shown beside it.
        """

    def start_trial(
        self, number: int, params: Mapping[str, object], config: str, steps: Iterable[StepReport] = ()
    ) -> None:
        """Open a trial's run under the study's, or reopen it when the trial goes on in a new attempt.

        `steps` are those that an earlier attempt may not have come to show; they are taken once, and later.
        """

    def show_base(self, images: Images) -> None:
        """Show what the base alone draws, as step 0 of every trial: of those open now, and of those named later."""

    def log_steps(self, number: int, reports: Sequence[StepReport]) -> None:
        """Show training loss, learning rate and gradient norm by step; values that are not finite are left out."""

    def log_evaluation(
        self,
        number: int,
        evaluation: Evaluation,
        images: Images,
        costs: Costs | None = None,
        chosen: Mapping[str, float] | None = None,
    ) -> None:
        """Show score, overfit index and all finite metrics at the evaluation's step, and the verdict in words.

        `costs` are the trial's since its last evaluation, `chosen` as in `TrialRecord` as of now.
        """

    def log_validation(self, number: int, validation: Validation) -> None:
        """Show a validation loss between two evaluations, under the names that evaluations show theirs under."""

    def end_trial(self, trial: TrialRecord) -> None:
        """Show what is missing of a trial, whoever trained it, and end its run; nothing when it was shown whole before.

        A pruned trial did nothing wrong and a failed one did, so they must not look the same: an adapter names the two
        ends differently (MLflow: finished is FINISHED, pruned is KILLED, failed is FAILED).
        """

    def log_study(self, values: Mapping[str, float]) -> None:
        """Show numbers of the study as a whole by name, as `cost/idle_seconds`, in place of what was shown before.

        A tracker of an older package may be without it, and shows none.
        """

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
        """Show `best_folder` as the study's result, and `register` it as champion; return the registered version.

        `number` is the winner's, `metrics` are its numbers as its card has them, `fresh` what each finalist came to
        with fresh seeds: its score and, where it was trained several times, the mean and spreads of its settings. The
        card is the study's and the version's description. Waits until it is done. The same weights
        crowned again stay the same version. None when it could not be shown, or was not to be registered.
        """

    def end_study(self, status: StudyEnd, reason: str = "") -> None:
        """End the study's run, and before it every trial's that is still open: nothing stays RUNNING."""

    def reconcile(self, running: AbstractSet[int]) -> None:
        """After a crash, end the runs of all trials that are not in `running` and still look as if they ran.

        To be called once the study is started, and after `end_trial` of those whose end is known.
        """

    def close(self, timeout_s: float = 60.0, hurried: Callable[[], bool] = lambda: False) -> None:
        """Show what is still held back, but no longer than `timeout_s`, or a few seconds once it is `hurried`.

        No calls after it.
        """
