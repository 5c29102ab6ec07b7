"""How many pictures a checkpoint is judged by: few to begin with, more where they could change what is said of it."""

from __future__ import annotations

from eval.evaluation import Evaluation
from eval.spec import EvalSpec, SampleBudget


def first_budget(spec: EvalSpec) -> SampleBudget:
    """What every checkpoint is drawn for. In a screening prompts alone: what learned nothing copies nothing."""
    if spec.screening_prompts is None:
        return spec.usual
    return SampleBudget(min(spec.screening_prompts, len(spec.prompts)), 1, 0)


def next_budget(known: SampleBudget, judged: Evaluation, spec: EvalSpec) -> SampleBudget | None:
    """What it is to be judged by that was judged by `known`; None when that is enough.

    The screening is, for what learned nothing. The usual is, unless its pictures speak against it, and not by a fall
    that is sure already.
    """
    speaks_against = judged.past_best or judged.overfit_index >= spec.thresholds.clean
    if known not in (spec.usual, spec.whole):
        is_idle = judged.score < spec.screening_below and judged.metrics.get("val_ratio", 0.0) > spec.screening_above
        return None if is_idle and not speaks_against else spec.usual
    return spec.whole if speaks_against and not judged.past_best and known != spec.whole else None
