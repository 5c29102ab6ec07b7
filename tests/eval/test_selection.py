"""The checkpoint that is kept is the one that the rule names."""

from __future__ import annotations

import math

import pytest

from eval.selection import best_clean


def test_the_clean_one_with_the_best_score_is_chosen_and_of_equals_the_earliest() -> None:
    assert best_clean([10, 59.8, 60, 59], [0, 0, 0, 0]) == 2
    assert best_clean([10, 50, 60, 90], [0, 0.4, 0.49, 0.5]) == 2
    assert best_clean([10, 60, 60], [0, 0, 0]) == 1
    assert best_clean([10, 60, 90], [0, 0, 0.5], clean=0.6) == 2


def test_with_none_clean_the_least_overfit_is_chosen() -> None:
    assert best_clean([10, 60, 50], [0.9, 0.6, 0.6]) == 1
    assert best_clean([10, 60, 70], [0.9, 0.6, 0.6]) == 2


def test_unknown_scores_are_no_obstacle() -> None:
    nan = math.nan
    assert best_clean([nan, 40, 41], [0, 0, 0]) == 2
    assert best_clean([nan, nan], [0.2, 0.1]) == 0
    assert best_clean([nan, 5], [0.0, 0.9]) == 1
    assert best_clean([5], [1.0]) == 0
    assert best_clean([-math.inf, 3], [0, 0]) == 1


def test_nothing_to_choose_from_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        best_clean([], [])
    with pytest.raises(ValueError, match="same checkpoints, got 1 and 2"):
        best_clean([1], [1, 2])
