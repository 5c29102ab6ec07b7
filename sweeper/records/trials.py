"""What the supervisor knows of a trial, and the rules that end it and pick its checkpoint. No disk, no clock."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from eval.diagnosis import Diagnosis, diagnose
from eval.evaluation import Evaluation
from eval.selection import best_clean
from sweeper.records.paths import checkpoint_of, pictures_of
from sweeper.records.trainings import name_of
from train.reports import StepReport
from train.spec import TrialSpec
from train.spec.layer_lr import LAYER_LR

Status = Literal["waiting", "running", "paused", "finished", "pruned", "failed"]
DIVERGED_IN_A_ROW = 2
SEEKING = 1.1
"""Growth of the learning rate from one evaluation to the next that shows an optimizer which has not found it."""


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
    peak_rate: float = 0.0
    """The highest learning rate of any step so far; for an adaptive optimizer d·lr."""
    peak_rates: list[float] = field(default_factory=list)
    """The same at each evaluation."""

    def take_steps(self, reports: Sequence[StepReport]) -> None:
        """Stand where its last steps left it."""
        self.step, self.loss = reports[-1].step, reports[-1].loss
        self.peak_rate = max(self.peak_rate, *(report.lr for report in reports))

    def take_evaluation(self, evaluation: Evaluation) -> None:
        """Add what was judged after its last step."""
        self.evaluations.append(evaluation)
        self.peak_rates.append(self.peak_rate)

    def resume(self, step: int, history: Sequence[Evaluation], steps: Iterable[StepReport]) -> None:
        """Stand as its saved state does, whose evaluations and steps these are."""
        self.step, self.evaluations, self.peak_rate, self.peak_rates = step, list(history), 0.0, []
        reports = sorted(steps, key=lambda report: report.step)
        for evaluation in history:
            self.peak_rates.append(max((each.lr for each in reports if each.step <= evaluation.step), default=0.0))
        self.peak_rate = max((each.lr for each in reports), default=0.0)

    @property
    def settings(self) -> dict[str, object]:
        """Its parameters as people set them: the learning rate where the search knows what layers are to feel of it."""
        return {
            name.replace(LAYER_LR, "lr"): self.spec.optimizer.lr if name.endswith(LAYER_LR) else value
            for name, value in self.params.items()
        }

    @property
    def seeks_rate(self) -> bool:
        """Whether its optimizer finds its step size itself and is still at it: it grew since the evaluation before."""
        if not self.spec.optimizer.kind.adaptive:
            return False
        before, last = (0.0, *self.peak_rates)[-2:] if self.peak_rates else (0.0, 0.0)
        return last >= before * SEEKING

    def take_up(self, status: Status, reason: str, evaluations: list[Evaluation]) -> None:
        """Stand as an earlier run left it."""
        self.status, self.reason, self.evaluations = status, reason, evaluations
        self.step = evaluations[-1].step if evaluations else 0

    @property
    def name(self) -> str:
        """What people call it."""
        return name_of(self.number)

    @property
    def best(self) -> Evaluation | None:
        """The checkpoint to keep: the clean one with the best score; None before any."""
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
    return evaluations[best_clean([e.score for e in evaluations], [e.overfit_index for e in evaluations], clean)]


def steps_of_mean(evaluations: Sequence[Evaluation], clean: float) -> tuple[int, ...]:
    """The checkpoints whose average is tried for a trial's: its best and those next to it, clean ones, by step.

    None where there is but one: neighbours that are not clean are left out, and so is the mean of a best that is not.
    """
    best = best_checkpoint(evaluations, clean)
    if best is None or best.overfit_index >= clean:
        return ()
    place = next(number for number, each in enumerate(evaluations) if each is best)
    near = [each.step for each in evaluations[max(0, place - 1) : place + 2] if each.overfit_index < clean]
    return tuple(near) if len(near) > 1 else ()


def has_diverged(evaluations: Sequence[Evaluation], warmup: int) -> bool:
    """Whether the validation loss is no number, or lay above the base's own twice in a row after the warm-up."""
    if not evaluations:
        return False
    ratios = [e.metrics.get("val_ratio", math.nan) for e in evaluations]
    if math.isinf(ratios[-1]) or not all(math.isfinite(loss) for loss in evaluations[-1].validation_losses):
        return True
    tail = ratios[warmup:][-DIVERGED_IN_A_ROW:]
    return len(tail) == DIVERGED_IN_A_ROW and all(ratio > 1 for ratio in tail)
