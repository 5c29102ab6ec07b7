"""An evaluation under other thresholds: what was measured stays, what it means changes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from eval.evaluation import Evaluation
from eval.judge import fall_of
from eval.overfit import Fall, OverfitSigns, is_overfit, is_past_best, overfit_index, severities
from eval.spec import EvalSpec


def signs_of(evaluation: Evaluation, fall: Fall | None) -> OverfitSigns:
    """What the criteria looked at."""
    metrics = evaluation.metrics
    return OverfitSigns(
        val_rise=metrics["val_rise"],
        val_t=metrics.get("val_t", math.nan),
        rose_in_a_row=bool(metrics.get("val_rose_in_a_row", 0.0)),
        copy_rate=metrics["copy_rate"],
        copies=int(metrics["copies"]),
        num_samples=0,  # only spoken of
        diversity=metrics["diversity"],
        prompt_spread=metrics["prompt_spread"],
        prompt_drop=metrics["prompt_drop"],
        drift=metrics["drift"],
        class_leak=metrics.get("class_leak"),
        fall=fall,
    )


def rejudge(evaluation: Evaluation, history: Sequence[Evaluation], spec: EvalSpec) -> Evaluation:
    """The evaluation as `spec` judges it, after the trial's earlier ones, judged likewise."""
    fall = fall_of(evaluation.score, evaluation.prompt_scores, history)
    severe = severities(signs_of(evaluation, fall), spec.thresholds)
    index = overfit_index(severe)
    indices = [*(past.overfit_index for past in history), index]
    return replace(
        evaluation,
        severities=severe,
        overfit_index=index,
        overfit=is_overfit(indices, spec.thresholds, spec.warmup_evaluations),
        past_best=is_past_best(fall, spec.thresholds),
    )


def rejudge_all(evaluations: Sequence[Evaluation], spec: EvalSpec) -> list[Evaluation]:
    """A whole course, judged anew."""
    made: list[Evaluation] = []
    for evaluation in evaluations:
        made.append(rejudge(evaluation, made, spec))
    return made
