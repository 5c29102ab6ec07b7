"""Who may win, who does, and what is said of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from sweeper.records.messages import Rescored
from sweeper.results.finalists import choose_finalists
from sweeper.results.fresh import Fresh
from sweeper.results.how_chosen import how_chosen
from sweeper.search.space import plan
from tests.sweeper.fake_worker import OVERRIDES, evaluation, trial


def test_finalists_are_the_best_and_a_clean_one_wins_over_a_better_overfit_one() -> None:
    trials = [trial(0, evaluation(40, 10.0)), trial(1, evaluation(40, 60.0)), trial(2, evaluation(40, 55.0))]
    finalists = choose_finalists(trials, 2)
    assert [each.number for each in finalists] == [1, 2]

    assert Fresh.of(finalists, [{1: again(1, 58.0, 0.0), 2: again(2, 59.0, 0.0)}]).winner.number == 2
    assert Fresh.of(finalists, [{1: again(1, 58.0, 0.0), 2: again(2, 59.0, 0.9)}]).winner.number == 1


def again(number: int, score: float, index: float) -> Rescored:
    made = evaluation(40, score, index, overfit=index > 0.5)
    return Rescored(trial=number, evaluation=made, base=made, pictures=Path("x"), base_pictures=Path("y"))


@pytest.mark.parametrize(
    ("own", "other", "said"),
    [
        (0.0, 0.0, "the best clean score won."),
        (0.0, 0.9, "the best clean score won. Trial 2 was not clean any more: copies in 4 of 16 pictures."),
        (0.8, 0.9, "the best fresh score won. No finalist was free of signs of overfit; this is the least bad."),
    ],
)
def test_how_the_winner_was_chosen_says_who_fell(own: float, other: float, said: str) -> None:
    rescored = {1: again(1, 58.0, own), 2: again(2, 59.0, other)}
    trainings = [trial(1, evaluation(40)), trial(2, evaluation(40))]
    fresh, final = Fresh.of(trainings, [rescored]), rescored[1].evaluation
    words = how_chosen(trainings[0], rescored, final, (), fresh.settings, fresh.comparison, plan(OVERRIDES).config)
    assert f"Trials 1, 2 were scored again with fresh seeds on prompts that no trial saw, and {said}" in words
