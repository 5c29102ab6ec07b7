"""The objectives a study may have: each one measured by the judge, told in a card, and always a number."""

from __future__ import annotations

import math

from eval.evaluation import WORST, Evaluation
from eval.metrics.registry import METRICS
from sweeper.records.objectives import UNMEASURED, Objective, direction_of, raw_values, values_of
from sweeper.results.winner import measures


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


def test_directions_are_those_that_the_cards_words_tell() -> None:
    for name, words in measures().items():
        if "is better" in words:
            assert f"{'higher' if direction_of(name) == 'maximize' else 'lower'} is better" in words
    ways = {name: METRICS[name].direction for name in METRICS.built_in}
    assert ways["drift"] == ways["copy_rate"] == "minimize"
    assert ways["diversity"] == ways["style"] == ways["prompt_kept"] == "maximize"
    assert ways["leak"] is ways["copies"] is None


def test_what_was_not_measured_is_worse_than_anything_and_still_a_number() -> None:
    names: tuple[Objective, ...] = ("score", "style", "drift", "val_ratio")
    known = evaluation(50.0, style=0.5, drift=0.1, val_ratio=0.4)
    assert values_of(known, names) == (50.0, 0.5, 0.1, 0.4)
    unknown = evaluation(math.nan, style=math.nan, val_ratio=math.inf)
    assert values_of(unknown, names) == (WORST, -UNMEASURED, UNMEASURED, UNMEASURED)
    assert [name for name, value in raw_values(unknown, names).items() if math.isnan(value)] == [
        "score",
        "style",
        "drift",
    ]
