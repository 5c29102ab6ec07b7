"""Which checkpoint of a trial is the one to keep."""

from __future__ import annotations

import math
from collections.abc import Sequence


def best_clean(scores: Sequence[float], overfit_indices: Sequence[float], clean: float = 0.5) -> int:
    """Return which checkpoint of a trial, in order of steps, is the one to keep: the clean one with the best score.

    Clean is an overfit index below `clean`; of equals the earliest. Is none clean, the least overfit, and of those the
    best score. A checkpoint without a score (NaN) is chosen only where none has one. To take an earlier one that is
    about as good lost quality wherever it was tried (docs/judge.md).

    Raises:
        ValueError: there is no checkpoint, or the two differ in length.
    """
    if len(scores) != len(overfit_indices):
        raise ValueError(
            f"scores and overfit indices must be of the same checkpoints, got {len(scores)} and {len(overfit_indices)}"
        )
    if not scores:
        raise ValueError("there must be at least one checkpoint to choose from, got none")
    candidates = [i for i, value in enumerate(scores) if not math.isnan(value)] or list(range(len(scores)))
    ordered = {i: scores[i] if not math.isnan(scores[i]) else -math.inf for i in candidates}
    clean_ones = [i for i in candidates if overfit_indices[i] < clean]
    if not clean_ones:
        return min(candidates, key=lambda i: (overfit_indices[i], -ordered[i], i))
    return max(clean_ones, key=lambda i: (ordered[i], -i))
