"""What is shown of a trial, by the names of its curves."""

from __future__ import annotations

from eval.evaluation import Evaluation, Validation
from sweeper.records.costs import Costs
from train.reports import StepReport


def of_step(report: StepReport) -> dict[str, float]:
    """Of a training step."""
    return {"train/loss": report.loss, "train/lr": report.lr, "train/grad_norm": report.grad_norm}


def of_evaluation(evaluation: Evaluation, costs: Costs | None) -> dict[str, float]:
    """Of a checkpoint that was judged, and of what that and its training took."""
    return {
        **{f"eval/{name}": value for name, value in evaluation.metrics.items()},
        **{f"eval/severity/{name}": value for name, value in evaluation.severities.items()},
        "eval/score": evaluation.score,
        "eval/score_se": evaluation.score_se,
        "eval/overfit_index": evaluation.overfit_index,
        "eval/overfit": float(evaluation.overfit),
        **{f"usage/{name}": value for name, value in (costs.metrics() if costs else {}).items()},
    }


def of_validation(validation: Validation) -> dict[str, float]:
    """Of a validation loss between evaluations, under their names for it."""
    loss = sum(validation.losses) / len(validation.losses)
    return {"eval/val_loss": loss, "eval/val_ratio": validation.ratio}
