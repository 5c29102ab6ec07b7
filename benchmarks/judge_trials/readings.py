"""What the judge measures of a subject, held against what the truth's readers see of the same: one for one."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from scipy.stats import spearmanr

from benchmarks.judge_trials.analysis import TRUE_COPIES, auc
from benchmarks.judge_trials.courses import Checkpoint, Course
from benchmarks.judge_trials.truth import Truth

FAR: Final = 0.25
"""Of the way to the subject, from which a checkpoint counts as like it, and its class word as leaking."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One thing that both look at."""

    name: str
    metric: str
    """The judge's, in `Evaluation.metrics`."""
    read: Callable[[Truth], float]
    """The truth's."""
    is_so: Callable[[float], bool]
    """Whether that much of it is there."""

    def agreement(self, courses: Sequence[Course]) -> tuple[float, float, int]:
        """Over all checkpoints: Spearman's rank correlation, the AUC of what is so, and how many of these there are.

        NaN where the truth, or the judge, says the same of all.
        """
        points = [point for course in courses for point in course.checkpoints]
        judged = [_measured(point, self.metric) for point in points]
        true = [self.read(point.truth) for point in points]
        so = [self.is_so(value) for value in true]
        varies = len(set(judged)) > 1 and len(set(true)) > 1
        return float(spearmanr(judged, true).statistic) if varies else math.nan, auc(judged, so), sum(so)


def _measured(point: Checkpoint, metric: str) -> float:
    value = point.evaluation.metrics.get(metric, math.nan)
    return 0.0 if math.isnan(value) else value


def likeness(truth: Truth) -> float:
    """How far pictures have gone to the subject, by both readers."""
    return (truth.way + truth.told) / 2


READINGS: Final = (
    Reading("likeness", "likeness", likeness, lambda value: value >= FAR),
    Reading("prompt", "prompt_kept", lambda truth: truth.shown, lambda value: value >= 0.65),
    Reading("class leak", "class_leak", lambda truth: truth.leaked, lambda value: value >= FAR),
    Reading("copies", "copy_rate", lambda truth: truth.copied, lambda value: value >= TRUE_COPIES),
)
"""Of surroundings that come along nothing is read."""


def readers_agree(courses: Sequence[Course]) -> float:
    """Rank correlation of the truth's two readings of a subject over all checkpoints."""
    truths = [point.truth for course in courses for point in course.checkpoints]
    return float(spearmanr([each.way for each in truths], [each.told for each in truths]).statistic)
