"""A trial while it trains, as its worker sees it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from eval.evaluation import Evaluation, Validation
from eval.spec import EvalSpec
from sweeper.records.costs import Costs, Spent
from sweeper.records.history import append_costs, append_steps
from sweeper.records.paths import checkpoint_of, pictures_of, state_of
from train.reports import StepReport


def is_looked_at(step: int, spec: EvalSpec) -> bool:
    """Whether a trial is judged, or at least validated, after so many steps."""
    often = spec.validate_every
    return step % spec.every == 0 or (often is not None and step % often == 0)


@dataclass(slots=True)
class ActiveTrial:
    """A trial in its slot."""

    trial: int
    slot: int
    attempt: int
    folder: Path
    history: list[Evaluation]
    validations: list[Validation]
    unsent: list[StepReport] = field(default_factory=list)
    """Steps that the supervisor does not know of."""
    unwritten: list[StepReport] = field(default_factory=list)
    """Steps that are not on disk."""
    costs: Costs = field(default_factory=Costs)
    """Those that are not on disk."""

    def take(self, report: StepReport) -> None:
        """Take in a step that was taken."""
        self.unsent.append(report)
        self.unwritten.append(report)

    def write(self, step: int) -> None:
        """Bring steps up to `step`, and costs, to the disk; before the state that they led to: so none is missing."""
        if self.unwritten:
            append_steps(self.folder, self.unwritten)
            self.unwritten = []
        if self.costs != Costs():
            append_costs(self.folder, Spent(step=step, costs=self.costs))
            self.costs = Costs()

    def owes_evaluation(self, step: int, ended: bool, spec: EvalSpec) -> bool:
        """Whether it is to be judged after these steps, the last ones if it has `ended`, and was not."""
        return step > _last(self.history) and (step % spec.every == 0 or ended)

    def owes_validation(self, step: int, spec: EvalSpec) -> bool:
        """Whether its validation loss is to be taken after these steps, and was not, alone or with an evaluation."""
        return step > max(_last(self.history), _last(self.validations)) and is_looked_at(step, spec)

    @property
    def state(self) -> Path:
        """Where all is kept that is needed to go on."""
        return state_of(self.folder)

    def checkpoint(self, step: int) -> Path:
        """Where the adapter of a step is kept."""
        return checkpoint_of(self.folder, step)

    def pictures(self, step: int) -> Path:
        """Where the samples of a step are kept."""
        return pictures_of(self.folder, step)


def _last(lines: Sequence[Evaluation] | Sequence[Validation]) -> int:
    """The step of the last of them; 0 where there is none."""
    return lines[-1].step if lines else 0
