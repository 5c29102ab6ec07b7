"""The checkpoint that is kept is the one that the rule names."""

from __future__ import annotations

import math

import pytest

from eval.selection import earliest_good_enough


def choose(scores: list[float], errors: list[float], overfit: list[float]) -> int:
    return earliest_good_enough(scores, errors, overfit)


def test_the_earliest_clean_one_that_is_as_good_as_the_best_is_chosen() -> None:
    assert choose([10, 59.8, 60, 59], [1, 9, 3, 1], [0, 0, 0, 0]) == 1
    assert choose([10, 59.6, 60, 59], [1, 9, 3, 1], [0, 0, 0, 0]) == 2
    assert choose([10, 50, 60, 90], [1, 1, 1, 1], [0, 0.4, 0.49, 0.5]) == 2
    assert choose([10, 60, 60], [0, 0, 0], [0, 0, 0]) == 1


def test_with_none_clean_the_least_overfit_is_chosen() -> None:
    assert choose([10, 60, 50], [1, 1, 1], [0.9, 0.6, 0.6]) == 1
    assert choose([10, 60, 70], [1, 1, 1], [0.9, 0.6, 0.6]) == 2


def test_unknown_scores_and_errors_are_no_obstacle() -> None:
    nan = math.nan
    assert choose([nan, 40, 41], [nan, nan, nan], [0, 0, 0]) == 2
    assert choose([nan, nan], [nan, nan], [0.2, 0.1]) == 0
    assert choose([nan, 5], [1, 1], [0.0, 0.9]) == 1
    assert choose([5], [1], [1.0]) == 0
    assert choose([-math.inf, 3], [1, 1], [0, 0]) == 1


def test_nothing_to_choose_from_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        choose([], [], [])
    with pytest.raises(ValueError, match="same checkpoints, got 1, 2 and 1"):
        choose([1], [1, 2], [1])
