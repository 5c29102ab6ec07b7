"""How often the judge is right, how late, and what its choice of a checkpoint costs, against the truth."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.stats import rankdata, spearmanr

from benchmarks.judge_trials.courses import Checkpoint, Course
from benchmarks.judge_trials.policies import choose
from benchmarks.judge_trials.rejudge import rejudge_all
from eval.aims import aim_of
from eval.evaluation import Evaluation, value_of
from eval.spec import EvalSpec

TRUE_DROP: Final = 0.1
"""A checkpoint is truly overfit when its quality lies so far (a share) below the best before it in its trial…"""
TRUE_T: Final = 2.0
"""…and the paired t of that over the pictures is above this; or when so many pictures are copies: """
TRUE_COPIES: Final = 0.1
LEARNED: Final = 0.05
"""A trial has learned when its best checkpoint is so much better than the base; of others no choice can be wrong."""

Series = Mapping[str, Sequence[float]]


def truly_overfit(course: Course, index: int) -> bool:
    """Whether a checkpoint is, in truth, past its trial's best, or copies."""
    now = course.checkpoints[index].truth
    if now.copied >= TRUE_COPIES:
        return True
    earlier = [point.truth for point in course.checkpoints[:index]]
    if not earlier:
        return False
    best = max(earlier, key=lambda truth: truth.quality)
    drops = np.array(best.each) - np.array(now.each)
    error = drops.std(ddof=1) / math.sqrt(len(drops))
    return bool(now.quality <= (1 - TRUE_DROP) * best.quality and drops.mean() > TRUE_T * error)


def auc(values: Sequence[float], truths: Sequence[bool]) -> float:
    """Area under the ROC curve: the chance that a true one has the higher value; NaN without both kinds.

    Source: Hanley & McNeil 1982, Radiology 143(1): the Mann-Whitney form.
    """
    positive = np.asarray(truths, dtype=bool)
    n, m = int(positive.sum()), int((~positive).sum())
    if not n or not m:
        return math.nan
    ranks = rankdata(values)
    return float((ranks[positive].sum() - n * (n + 1) / 2) / (n * m))


def roc(values: Sequence[float], truths: Sequence[bool]) -> tuple[list[float], list[float]]:
    """False and true positive rates as the threshold falls."""
    order = np.argsort(-np.asarray(values), kind="stable")
    hits = np.asarray(truths, dtype=float)[order]
    true = np.concatenate([[0.0], np.cumsum(hits) / max(hits.sum(), 1)])
    false = np.concatenate([[0.0], np.cumsum(1 - hits) / max((1 - hits).sum(), 1)])
    return false.tolist(), true.tolist()


def rank_correlation(courses: Sequence[Course], value: Callable[[Checkpoint], float]) -> float:
    """Spearman's rank correlation of `value` with the true quality over all checkpoints of the courses."""
    points = [point for course in courses for point in course.checkpoints]
    values = [value(point) for point in points]
    return float(spearmanr(values, [point.truth.quality for point in points]).statistic)


@dataclass(frozen=True, slots=True)
class Calls:
    """Every checkpoint that has one before it: what each criterion said, and the truth."""

    values: Series
    called: Sequence[bool]
    """Whether the judge would have ended the trial there or before."""
    truths: Sequence[bool]

    @property
    def false_alarms(self) -> float:
        """Share of the sound checkpoints that were called."""
        return _share(self.called, [not truth for truth in self.truths])

    @property
    def share_found(self) -> float:
        """Share of the overfit checkpoints that were called."""
        return _share(self.called, self.truths)


def calls(courses: Sequence[Course], spec: EvalSpec) -> Calls:
    """Put the judge's calls beside the truth."""
    values: dict[str, list[float]] = {name: [] for name in CRITERIA}
    called: list[bool] = []
    truths: list[bool] = []
    for course in courses:
        judged = rejudge_all([point.evaluation for point in course.checkpoints], spec)
        for index in range(1, len(judged)):
            for name, read in CRITERIA.items():
                values[name].append(_finite(read(judged[: index + 1])))
            called.append(any(each.overfit or each.past_best for each in judged[: index + 1]))
            truths.append(truly_overfit(course, index))
    return Calls(values, called, truths)


def lateness(courses: Sequence[Course], spec: EvalSpec) -> list[int | None]:
    """For each truly overfitting trial, how many evaluations after the first such checkpoint it is called.

    Below 0 where it is called before; None where it never is.
    """
    late: list[int | None] = []
    for course in courses:
        true = [index for index in range(len(course.checkpoints)) if truly_overfit(course, index)]
        if not true:
            continue
        judged = rejudge_all([point.evaluation for point in course.checkpoints], spec)
        said = [index for index, each in enumerate(judged) if each.overfit or each.past_best]
        late.append(said[0] - true[0] if said else None)
    return late


def trials_that_learned(courses: Sequence[Course]) -> list[Course]:
    """The trials that learned something."""
    return [course for course in courses if course.best >= course.base + LEARNED]


def regrets(courses: Sequence[Course], spec: EvalSpec) -> dict[str, list[float]]:
    """For each way of choosing a checkpoint, what each trial's choice lacks of its truly best one, as a share of it.

    The best is named by one half of the pictures and compared on the other, and the other way round: the best of six
    means over the same few pictures would look better than it is, and every choice worse. So it may be negative.
    """
    found: dict[str, list[float]] = {}
    for course in courses:
        judged = rejudge_all([point.evaluation for point in course.checkpoints], spec)
        picks = {"the judge": choose(judged, spec)}
        for name, value in CHOICES.items():
            values = [value(point) if _was_seen(point, spec) else -math.inf for point in course.checkpoints]
            picks[name] = values.index(max(values))
        for index, point in enumerate(course.checkpoints):
            picks[f"always step {point.evaluation.step}"] = index
        for name, index in picks.items():
            found.setdefault(name, []).append(_lacking(course, index))
    return found


def _was_seen(point: Checkpoint, spec: EvalSpec) -> bool:
    """Whether it was looked at in full: what a screening saw is of other prompts, and nothing to choose by."""
    return len(point.evaluation.prompt_scores) != spec.screening_prompts


def _lacking(course: Course, index: int) -> float:
    each = np.array([point.truth.each for point in course.checkpoints])  # (checkpoints, pictures)
    halves = each[:, ::2].mean(1), each[:, 1::2].mean(1)
    lost = [other[named.argmax()] - other[index] for named, other in (halves, halves[::-1])]
    return float(np.mean(lost)) / course.best


CRITERIA: Final[Mapping[str, Callable[[Sequence[Evaluation]], float]]] = {
    "validation rise": lambda past: past[-1].metrics["val_rise"],
    "copying": lambda past: past[-1].metrics["copy_rate"],
    "diversity lost": lambda past: -past[-1].metrics["diversity"],
    "prompt match lost": lambda past: past[-1].metrics["prompt_drop"],
    "drift": lambda past: past[-1].metrics["drift"],
    "class leak": lambda past: past[-1].metrics.get("class_leak", math.nan),
    "background leak": lambda past: past[-1].metrics.get("background_leak", math.nan),
    "aim lost": lambda past: max(_aim(each) for each in past[:-1]) - _aim(past[-1]),
    "overfit index": lambda past: past[-1].overfit_index,
    "score lost": lambda past: max(value_of(each) for each in past[:-1]) - value_of(past[-1]),
}
"""What a criterion says of the last of a trial's evaluations: the higher, the worse."""

CHOICES: Final[Mapping[str, Callable[[Checkpoint], float]]] = {
    "last": lambda point: point.evaluation.step,
    "lowest training loss": lambda point: -point.train_loss,
    "lowest validation loss": lambda point: -point.evaluation.metrics["val_loss"],
    "best CLIP score": lambda point: point.evaluation.metrics["prompt_match"],
    "lowest CMMD": lambda point: -point.evaluation.metrics["cmmd"],
    "lowest FID": lambda point: -point.evaluation.metrics["fid"],
    "best style or likeness": lambda point: _aim(point.evaluation),
    "best score": lambda point: value_of(point.evaluation),
}
"""What people choose by: the highest is taken."""


def _aim(evaluation: Evaluation) -> float:
    """How much of the style or of the subject is there."""
    return evaluation.metrics[aim_of(evaluation.metrics).metric]


def _share(called: Sequence[bool], among: Sequence[bool]) -> float:
    chosen = [call for call, counts in zip(called, among, strict=True) if counts]
    return sum(chosen) / len(chosen) if chosen else math.nan


def _finite(value: float) -> float:
    """What was not measured accuses nobody."""
    return -1e9 if math.isnan(value) else max(-1e9, min(1e9, value))
