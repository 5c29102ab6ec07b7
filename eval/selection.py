"""The choice of a trial's checkpoint."""

from __future__ import annotations

import math
from collections.abc import Sequence


def earliest_within_one_standard_error(
    scores: Sequence[float], standard_errors: Sequence[float], overfit_indices: Sequence[float], clean: float = 0.5
) -> int:
    """Return which checkpoint of a trial, in order of steps, is the one to keep.

    The earliest whose score lies within one standard error (the best one's) of the best among the clean ones
    (overfit index < `clean`): the simplest that cannot be told from the best. Is none clean, the least overfit,
    and of those the best score. A checkpoint without a score (NaN) is chosen only where none has one; a standard
    error that is NaN counts as 0.

    Raises:
        ValueError: there is no checkpoint, or the three differ in length.

    Source: the one-standard-error rule, Breiman et al. 1984, Classification and regression trees, section 3.4.3.
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
    return next(i for i in clean_ones if ordered[i] >= ordered[best] - error)
