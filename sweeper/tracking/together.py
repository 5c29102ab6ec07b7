"""Several trackers as one: the first is the truth, the others see the same calls."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path

from eval.evaluation import Evaluation, Validation
from sweeper.records.costs import Costs
from sweeper.tracking.port import Images, StudyEnd, Tracker, TrialRecord
from train.reports import StepReport


class TrackersTogether:
    """A `Tracker` that hands each call to `first` and then to `others`, none of which raises.

    What is lost, and which version is the champion, is for the first to say: another one that is behind costs nothing.
    """

    def __init__(self, first: Tracker, others: Sequence[Tracker]) -> None:
        self._first, self._others = first, tuple(others)

    @property
    def num_lost(self) -> int:
        return self._first.num_lost

    def start_study(self, name: str, identity: str, params: Mapping[str, object], config: str) -> None:
        for each in self._all:
            each.start_study(name, identity, params, config)

    def start_trial(
        self, number: int, params: Mapping[str, object], config: str, steps: Iterable[StepReport] = ()
    ) -> None:
        for each in self._all:
            each.start_trial(number, params, config, steps)

    def show_base(self, images: Images) -> None:
        for each in self._all:
            each.show_base(images)

    def log_steps(self, number: int, reports: Sequence[StepReport]) -> None:
        for each in self._all:
            each.log_steps(number, reports)

    def log_evaluation(
        self,
        number: int,
        evaluation: Evaluation,
        images: Images,
        costs: Costs | None = None,
        chosen: Mapping[str, float] | None = None,
    ) -> None:
        for each in self._all:
            each.log_evaluation(number, evaluation, images, costs, chosen)

    def log_validation(self, number: int, validation: Validation) -> None:
        for each in self._all:
            each.log_validation(number, validation)

    def end_trial(self, trial: TrialRecord) -> None:
        for each in self._all:
            each.end_trial(trial)

    def log_study(self, values: Mapping[str, float]) -> None:
        for each in self._all:
            each.log_study(values)

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
        version = self._first.register_champion(best_folder, number, metrics, fresh, description, register=register)
        for each in self._others:
            each.register_champion(best_folder, number, metrics, fresh, description, register=register)
        return version

    def end_study(self, status: StudyEnd, reason: str = "") -> None:
        for each in self._all:
            each.end_study(status, reason)

    def reconcile(self, running: AbstractSet[int]) -> None:
        for each in self._all:
            each.reconcile(running)

    def close(self, timeout_s: float = 60.0, hurried: Callable[[], bool] = lambda: False) -> None:
        for each in self._all:
            each.close(timeout_s, hurried)

    @property
    def _all(self) -> tuple[Tracker, ...]:
        return (self._first, *self._others)
