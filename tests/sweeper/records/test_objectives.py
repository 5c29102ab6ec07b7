"""The objectives a study may have: each one measured by the judge, told in a card, and always a number."""

from __future__ import annotations

import math
from typing import get_args

from eval.evaluation import WORST, Evaluation
from sweeper.records.objectives import DIRECTIONS, UNMEASURED, Metric, Objective, measured, values_of
from sweeper.results.winner import MEASURES


def evaluation(score: float, **metrics: float) -> Evaluation:
    return Evaluation(
        step=40,
        score=score,
        score_se=1.0,
        overfit_index=0.0,
        overfit=False,
        words="",
        severities={},
        metrics=metrics,
        validation_losses=(),
    )


def test_every_metric_has_a_direction_and_is_explained_in_the_card() -> None:
    assert set(DIRECTIONS) == set(get_args(Metric))
    assert {*DIRECTIONS, "score", "overfit_index"} == set(MEASURES)


def test_directions_are_those_that_the_cards_words_tell() -> None:
    for name, way in DIRECTIONS.items():
        if "is better" in MEASURES[name]:
            assert f"{'higher' if way == 'maximize' else 'lower'} is better" in MEASURES[name]
    assert DIRECTIONS["drift"] == DIRECTIONS["copy_rate"] == "minimize"
    assert DIRECTIONS["diversity"] == DIRECTIONS["style"] == DIRECTIONS["prompt_kept"] == "maximize"


def test_what_was_not_measured_is_worse_than_anything_and_still_a_number() -> None:
    names: tuple[Objective, ...] = ("score", "style", "drift", "val_ratio")
    known = evaluation(50.0, style=0.5, drift=0.1, val_ratio=0.4)
    assert values_of(known, names) == (50.0, 0.5, 0.1, 0.4)
    unknown = evaluation(math.nan, style=math.nan, val_ratio=math.inf)
    assert values_of(unknown, names) == (WORST, -UNMEASURED, UNMEASURED, UNMEASURED)
    assert [name for name, value in measured(unknown, names).items() if math.isnan(value)] == [
        "score",
        "style",
        "drift",
    ]
