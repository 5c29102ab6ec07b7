"""A trial while it trains, as its worker sees it, and where in its folder things are."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from eval.evaluation import Evaluation, Validation
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

    @property
    def state(self) -> Path:
        """Where all is kept that is needed to go on."""
        return state_of(self.folder)

    def checkpoint(self, step: int) -> Path:
        """Where the adapter of a step is kept."""
        return self.folder / "checkpoints" / f"step-{step:06}"

    def pictures(self, step: int) -> Path:
        """Where the samples of a step are kept."""
        return self.folder / "samples" / f"step-{step:06}"


def state_of(folder: Path) -> Path:
    """Where in a trial's folder its training state is."""
    return folder / "state"
