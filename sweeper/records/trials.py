"""What the supervisor knows of a trial, and the rules that end it and pick its checkpoint. No disk, no clock."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from eval.diagnosis import Diagnosis, diagnose
from eval.evaluation import Evaluation
from eval.selection import earliest_good_enough
from sweeper.records.paths import checkpoint_of, pictures_of
from train.spec import TrialSpec

Status = Literal["waiting", "running", "finished", "pruned", "failed"]
DIVERGED_IN_A_ROW = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Resolved:
    """What one set of parameters means: the trial's spec, and its whole config as YAML."""

    spec: TrialSpec
    yaml: str


@dataclass(slots=True)
class Trial:
    """One set of hyperparameters and what came of it."""

    number: int
    params: Mapping[str, object]
    spec: TrialSpec
    folder: Path
    clean: float
    """Overfit index below which a checkpoint may be chosen (`eval.thresholds.clean`)."""
    status: Status = "waiting"
    reason: str = ""
    step: int = 0
    loss: float = math.nan
    evaluations: list[Evaluation] = field(default_factory=list)

    def take_up(self, status: Status, reason: str, evaluations: list[Evaluation]) -> None:
        """Stand as an earlier run left it."""
        self.status, self.reason, self.evaluations = status, reason, evaluations
        self.step = evaluations[-1].step if evaluations else 0

    @property
    def best(self) -> Evaluation | None:
        """The checkpoint to keep: the earliest clean one that is as good as the best; None before any."""
        return best_checkpoint(self.evaluations, self.clean)

    @property
    def has_clean_checkpoint(self) -> bool:
        """Whether any checkpoint so far was not overfit (design: such a trial is complete, not pruned)."""
        return any(self.is_clean(evaluation) for evaluation in self.evaluations)

    @property
    def diagnosis(self) -> Diagnosis | None:
        """What its course says about its settings; None before any evaluation."""
        return diagnose(self.evaluations, self.clean)

    def end_of(self, status: Status, reason: str) -> tuple[Status, str]:
        """As what a trial counts that ends with this status, and why.

        One that failed after it left a clean checkpoint counts with that, as one that was stopped in time; without an
        evaluation none has finished.
        """
        best = self.best
        if status == "finished" and best is None:
            return "failed", "it ended without an evaluation"
        if status == "failed" and best and self.is_clean(best) and math.isfinite(best.score):
            return "finished", f"failed, but its checkpoint of step {best.step} counts: {reason}"
        return status, reason

    def is_clean(self, evaluation: Evaluation) -> bool:
        """Whether a judgement shows so little sign of overfit that its checkpoint may be chosen."""
        return evaluation.overfit_index < self.clean

    def excess(self, evaluation: Evaluation) -> float:
        """How far a judgement lies above what counts as clean: at most 0 for a clean one, above 0 for all others."""
        return evaluation.overfit_index - math.nextafter(self.clean, 0)

    def checkpoint(self, step: int) -> Path:
        """The folder of a checkpoint's adapter."""
        return checkpoint_of(self.folder, step)

    def pictures(self, step: int) -> Path:
        """The folder of what was drawn with a checkpoint."""
        return pictures_of(self.folder, step)


def best_checkpoint(evaluations: Sequence[Evaluation], clean: float) -> Evaluation | None:
    """The evaluation of the checkpoint to keep, or None when there is none."""
    if not evaluations:
        return None
    index = earliest_good_enough(
        [e.score for e in evaluations],
        [e.score_se for e in evaluations],
        [e.overfit_index for e in evaluations],
        clean,
    )
    return evaluations[index]


def has_diverged(evaluations: Sequence[Evaluation], warmup: int) -> bool:
    """Whether the validation loss is no number, or lay above the base's own twice in a row after the warm-up."""
    if not evaluations:
        return False
    ratios = [e.metrics.get("val_ratio", math.nan) for e in evaluations]
    if math.isinf(ratios[-1]) or not all(math.isfinite(loss) for loss in evaluations[-1].validation_losses):
        return True
    tail = ratios[warmup:][-DIVERGED_IN_A_ROW:]
    return len(tail) == DIVERGED_IN_A_ROW and all(ratio > 1 for ratio in tail)
