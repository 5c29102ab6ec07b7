"""Thresholds chosen on some sets and tried on another: what the defaults would be without having seen it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Final

from benchmarks.judge_trials.analysis import calls
from benchmarks.judge_trials.courses import Course
from eval.spec import EvalSpec, Limits

VAL_RISES: Final = (0.03, 0.05, 0.1)
FALLS: Final = (0.45, 0.6, 0.75)
PAST_BESTS: Final = (0.15, 0.2, 0.25, 0.3, 0.4)
PAIRED_TS: Final = (0.5, 1.0, 1.5, 2.0)
OVERFITS: Final = (0.5, 0.75)
ROWS: Final = (1, 2)


@dataclass(frozen=True, slots=True)
class Fold:
    """One set left out."""

    left_out: str
    spec: EvalSpec
    """As tuned on the others."""
    found: float
    false_alarms: float
    """On the set left out, shares of checkpoints."""


def folds(courses: Sequence[Course], spec: EvalSpec) -> list[Fold]:
    """Tune on all sets but one, report on that one; for each set."""
    result = []
    for name in sorted({course.set for course in courses}):
        tuned = best_spec([course for course in courses if course.set != name], spec)
        seen = calls([course for course in courses if course.set == name], tuned)
        result.append(Fold(name, tuned, seen.share_found, seen.false_alarms))
    return result


def best_spec(courses: Sequence[Course], spec: EvalSpec) -> EvalSpec:
    """The thresholds with the most checkpoints rightly called, a false alarm weighing as two missed ones."""

    def worth(candidate: EvalSpec) -> float:
        seen = calls(courses, candidate)
        return seen.share_found - 2 * seen.false_alarms

    return max(grid(spec), key=worth)


def grid(spec: EvalSpec) -> Iterator[EvalSpec]:
    """Every combination of the thresholds above; warnings stay at the same share of their alarms."""
    before = spec.thresholds
    for rise, fall, past, t, overfit, row in product(VAL_RISES, FALLS, PAST_BESTS, PAIRED_TS, OVERFITS, ROWS):
        thresholds = replace(
            before,
            val_rise=_scale(before.val_rise, rise),
            fall=_scale(before.fall, fall),
            past_best=past,
            paired_t=t,
            overfit=overfit,
            in_a_row=row,
        )
        yield replace(spec, thresholds=thresholds)


def _scale(limits: Limits, alarm: float) -> Limits:
    return Limits(warn=limits.warn * alarm / limits.alarm, alarm=alarm)
