"""An evaluation under other thresholds: what was measured stays, what it means changes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import torch

from eval.evaluation import Evaluation
from eval.overfit import Signs, is_overfit, overfit_index, severities
from eval.score import Parts, score
from eval.spec import EvalSpec


def signs_of(evaluation: Evaluation) -> Signs:
    """What the criteria looked at."""
    metrics = evaluation.metrics
    return Signs(
        val_rise=metrics["val_rise"],
        val_t=metrics.get("val_t", math.nan),
        rose_in_a_row=bool(metrics.get("val_rose_in_a_row", 0.0)),
        copy_rate=metrics["copy_rate"],
        copies=int(metrics["copies"]),
        num_samples=0,  # only spoken of
        diversity=metrics["diversity"],
        prompt_drop=metrics["prompt_drop"],
        drift=metrics["drift"],
        style_drop=metrics.get("style_drop", math.nan),
        style_t=metrics.get("style_t", math.nan),
    )


def rescored(evaluation: Evaluation) -> Evaluation:
    """The evaluation with the score that today's formula gives what was measured; it knows the prompts' means alone."""
    metrics = evaluation.metrics
    parts = Parts(
        style=torch.tensor([[metrics["style"]]]),
        match=torch.tensor([[100 * metrics["prompt_kept"]]]),
        base_match=torch.tensor([[100.0]]),
        copied=torch.tensor([[metrics["copy_rate"]]]),
        base_copied=torch.zeros(1, 1),
        val_ratio=metrics["val_ratio"],
    )
    return replace(evaluation, score=score(parts))


def rejudged(evaluation: Evaluation, history: Sequence[Evaluation], spec: EvalSpec) -> Evaluation:
    """The evaluation as `spec` judges it, after the trial's earlier ones, judged likewise."""
    signs = signs_of(evaluation)
    severe = severities(signs, spec.thresholds)
    index = overfit_index(severe)
    indices = [*(past.overfit_index for past in history), index]
    return replace(
        evaluation,
        severities=severe,
        overfit_index=index,
        overfit=is_overfit(indices, spec.thresholds, spec.warmup_evaluations),
        past_best=signs.style_drop >= spec.thresholds.style_drop and signs.style_t > spec.thresholds.paired_t,
    )


def rejudged_all(evaluations: Sequence[Evaluation], spec: EvalSpec) -> list[Evaluation]:
    """A whole course, judged anew."""
    made: list[Evaluation] = []
    for evaluation in evaluations:
        made.append(rejudged(evaluation, made, spec))
    return made
