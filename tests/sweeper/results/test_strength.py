"""The winner's strength: paired over prompts, and as trained unless another is really better."""

from __future__ import annotations

import math

import pytest

from eval.evaluation import Evaluation
from eval.strength import choose_strength, gain


def judged(*prompt_scores: float, index: float = 0.0) -> Evaluation:
    """A judgement whose score is the plain mean of its prompts'."""
    return Evaluation(
        step=40,
        score=sum(prompt_scores) / len(prompt_scores),
        score_se=9.0,
        overfit_index=index,
        overfit=False,
        words="",
        severities={},
        metrics={},
        validation_losses=(),
        prompt_scores=prompt_scores,
    )


def test_a_gain_is_paired_over_the_prompts() -> None:
    found = gain(judged(12.0, 53.0, 94.0), judged(10.0, 50.0, 90.0))
    assert found.points == pytest.approx(3.0)
    assert found.error == pytest.approx(1 / math.sqrt(3))  # of 2, 3, 4: the spread between prompts falls out
    assert found.is_real
    assert str(found) == "+3.0 ± 0.6"


def test_a_gain_within_one_standard_error_is_none() -> None:
    # d = 0, 0, 3: mean 1, error √3/√3 = 1
    assert not gain(judged(10.0, 20.0, 33.0), judged(10.0, 20.0, 30.0)).is_real
    assert gain(judged(10.0, 20.1, 33.0), judged(10.0, 20.0, 30.0)).is_real


def test_what_cannot_be_paired_is_no_gain() -> None:
    assert not gain(judged(90.0), judged(10.0)).is_real
    assert not gain(judged(90.0, 91.0), judged(10.0, 11.0, 12.0)).is_real


TRAINED = judged(10.0, 50.0, 90.0)
SURELY_BETTER = judged(12.0, 53.0, 94.0)
BY_CHANCE_BETTER = judged(10.0, 50.0, 120.0)


def test_it_stays_as_trained_unless_another_is_really_better() -> None:
    assert choose_strength({0.8: TRAINED, 1.0: TRAINED, 1.2: judged(9.0, 49.0, 89.0)}, clean=0.5) == 1.0
    assert choose_strength({0.8: BY_CHANCE_BETTER, 1.0: TRAINED}, clean=0.5) == 1.0
    assert choose_strength({0.8: BY_CHANCE_BETTER, 1.0: TRAINED, 1.2: SURELY_BETTER}, clean=0.5) == 1.2


def test_of_several_better_ones_the_best_and_of_equals_the_nearest() -> None:
    best = judged(20.0, 60.0, 100.0)
    assert choose_strength({0.4: best, 0.8: SURELY_BETTER, 1.0: TRAINED}, clean=0.5) == 0.4
    assert choose_strength({0.4: SURELY_BETTER, 0.6: SURELY_BETTER, 1.0: TRAINED}, clean=0.5) == 0.6


def test_only_a_clean_one_is_chosen() -> None:
    assert choose_strength({1.0: TRAINED, 1.2: judged(12.0, 53.0, 94.0, index=0.5)}, clean=0.5) == 1.0


def test_overfit_as_trained_the_best_clean_one_is_chosen_whatever_it_costs() -> None:
    overfit = judged(10.0, 50.0, 90.0, index=0.9)
    tried = {0.4: judged(1.0, 2.0, 3.0), 0.6: judged(4.0, 5.0, 6.0), 0.8: overfit, 1.0: overfit}
    assert choose_strength(tried, clean=0.5) == 0.6
    assert choose_strength({0.8: overfit, 1.0: overfit}, clean=0.5) == 1.0


@pytest.mark.parametrize("score", [math.nan, -math.inf])
def test_without_a_score_it_stays_as_trained(score: float) -> None:
    nothing = judged(score, score)
    assert choose_strength({0.8: nothing, 1.0: nothing}, clean=0.5) == 1.0
