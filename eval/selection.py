"""The choice of a trial's checkpoint."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

WITHIN: Final = 0.1
"""Standard errors of the best score within which an earlier checkpoint is preferred. The rule's own is 1: but the error
is one of prompts that differ, and all of a trial's checkpoints are judged on the same ones. Over sixty trials whose
truth is known, 1 lost 7 % of quality against each trial's truly best checkpoint, .1 lost 2 % (docs/sixty_trials.md)."""


def earliest_good_enough(
    scores: Sequence[float], standard_errors: Sequence[float], overfit_indices: Sequence[float], clean: float = 0.5
) -> int:
    """Return which checkpoint of a trial, in order of steps, is the one to keep.

    The earliest whose score lies within `WITHIN` standard errors (the best one's) of the best among the clean ones
    (overfit index < `clean`): the simplest that is no worse than the best within error. Is none clean, the least
    overfit, and of those the best score. A checkpoint without a score (NaN) is chosen only where none has one; a
    standard error that is NaN counts as 0.

    Raises:
        ValueError: there is no checkpoint, or the three differ in length.

    Source: after the one-standard-error rule, Breiman et al. 1984, Classification and regression trees, section 3.4.3.
    """
    if not len(scores) == len(standard_errors) == len(overfit_indices):
        raise ValueError(
            "scores, standard errors and overfit indices must be of the same checkpoints, "
            f"got {len(scores)}, {len(standard_errors)} and {len(overfit_indices)}"
        )
    if not scores:
        raise ValueError("there must be at least one checkpoint to choose from, got none")
    candidates = [i for i, value in enumerate(scores) if not math.isnan(value)] or list(range(len(scores)))
    ordered = {i: scores[i] if not math.isnan(scores[i]) else -math.inf for i in candidates}
    clean_ones = [i for i in candidates if overfit_indices[i] < clean]
    if not clean_ones:
        return min(candidates, key=lambda i: (overfit_indices[i], -ordered[i], i))
    best = max(clean_ones, key=lambda i: (ordered[i], -i))
    error = standard_errors[best] if math.isfinite(standard_errors[best]) else 0.0
    return next(i for i in clean_ones if ordered[i] >= ordered[best] - WITHIN * error)
