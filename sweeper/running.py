"""A trial while it trains, as its worker sees it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from eval.evaluation import Evaluation, Validation
from sweeper.costs import Costs
from sweeper.history import append_steps
from sweeper.places import checkpoint_of, pictures_of, state_of
from train.reports import StepReport


@dataclass(slots=True)
class Running:
    """A trial in its slot."""

    trial: int
    slot: int
    folder: Path
    history: list[Evaluation]
    validations: list[Validation]
    unsent: list[StepReport] = field(default_factory=list)
    """Steps that the supervisor does not know of."""
    unwritten: list[StepReport] = field(default_factory=list)
    """Steps that are not on disk."""
    costs: Costs = field(default_factory=Costs)
    """Since its last evaluation."""

    def take(self, report: StepReport) -> None:
        """Take in a step that was taken."""
        self.unsent.append(report)
        self.unwritten.append(report)

    def take_costs(self) -> Costs:
        """The costs, which begin anew."""
        costs, self.costs = self.costs, Costs()
        return costs

    def write_steps(self) -> None:
        """Bring the steps to the disk; before the state that they led to, so that none is ever missing there."""
        if self.unwritten:
            append_steps(self.folder, self.unwritten)
            self.unwritten = []

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
