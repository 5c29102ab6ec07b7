"""How many seeds a checkpoint is judged by: few to begin with, more where they could change what is said of it."""

from __future__ import annotations

from eval.evaluation import Evaluation
from eval.spec import EvalSpec


def seeds_at_first(spec: EvalSpec) -> int:
    """How many every checkpoint is drawn with."""
    return len(spec.seeds) if spec.one_seed_below is None else 1


def seeds_wanted(known: int, judged: Evaluation, spec: EvalSpec) -> int:
    """How many it should be judged by that was judged by `known` of them; no more than these when they are enough.

    All of `close_seeds`, too, where its pictures speak against it; of what has hardly learned the first alone.
    """
    is_close = judged.past_best or judged.overfit_index >= spec.thresholds.clean
    if known < len(spec.seeds):
        is_weak = spec.one_seed_below is not None and judged.score < spec.one_seed_below
        return known if is_weak and not is_close else len(spec.seeds)
    return spec.most_seeds if is_close else known
