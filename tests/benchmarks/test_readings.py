"""What the judge measures of a subject, held against the truth's own readings of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.judge_trials import report as reports
from benchmarks.judge_trials import tuning
from benchmarks.judge_trials.courses import Checkpoint, Course
from benchmarks.judge_trials.readings import READINGS, likeness, readers_agree
from benchmarks.judge_trials.truth import Truth
from eval.evaluation import Evaluation
from sweeper.search.space import plan
from tests.benchmarks.test_judge_trials import evaluation, truth

OF_LIKENESS, OF_PROMPT, OF_LEAK, OF_COPIES = READINGS


def checkpoint(step: int, judged: float, way: float, leaked: float) -> Checkpoint:
    seen = evaluation(step, 100 * judged)
    of_subject = {"likeness": judged, "prompt_kept": 1 - judged, "class_leak": judged - 0.1}
    read: Truth = replace(truth(way), way=way, told=way / 2, leaked=leaked, shown=0.7)
    return Checkpoint(replace(seen, metrics={**seen.metrics, **of_subject}), read, train_loss=1.0)


def course(judged: Sequence[float], way: Sequence[float]) -> Course:
    points = [
        checkpoint(40 * (i + 1), one, other, leaked=1 - other)
        for i, (one, other) in enumerate(zip(judged, way, strict=True))
    ]
    return Course("mug", 0, {}, 0.1, points)


def test_readings_agree_where_both_rise_and_disagree_where_one_falls() -> None:
    rising = course([0.1, 0.3, 0.4, 0.8], [0.2, 0.3, 0.5, 0.9])
    rank, area, count = OF_LIKENESS.agreement([rising])
    assert (rank, area, count) == (pytest.approx(1.0), 1.0, 2)  # .9 · ¾ and .5 · ¾ are far
    assert likeness(rising.checkpoints[3].truth) == pytest.approx(0.675)
    rank, area, _ = OF_LEAK.agreement([rising])
    assert rank == pytest.approx(-1.0) and area == 0.0
    assert readers_agree([rising]) == pytest.approx(1.0)


def test_where_the_truth_says_the_same_of_all_nothing_can_agree() -> None:
    same = course([0.1, 0.3], [0.2, 0.3])
    for reading in (OF_PROMPT, OF_COPIES):
        rank, area, _ = reading.agreement([same])
        assert math.isnan(rank) and math.isnan(area)


def test_a_leak_that_was_not_measured_counts_as_none() -> None:
    rising = course([0.1, 0.3], [0.9, 0.2])
    blind = replace(rising, checkpoints=[replace(each, evaluation=_blind(each)) for each in rising.checkpoints])
    assert math.isnan(OF_LEAK.agreement([blind])[0])


def _blind(point: Checkpoint) -> Evaluation:
    return replace(point.evaluation, metrics={**point.evaluation.metrics, "class_leak": math.nan})


def test_a_report_on_subjects_has_their_readings_and_no_searches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reports, "ORDERS", 1)
    for name in ("VAL_RISES", "FALLS", "PAST_BESTS"):
        monkeypatch.setattr(tuning, name, getattr(tuning, name)[:1])
    courses = [course([0.1, 0.3, 0.4, 0.3], [0.2, 0.3, 0.5, 0.2])]
    courses.append(replace(courses[0], trial=1))
    said = reports.report(courses, tmp_path / "none.jsonl", plan(["+experiment=mug"]))
    assert "class leak: AUC" in said and "The search" not in said and said.count("steps saved") == 1
