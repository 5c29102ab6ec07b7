"""Finalists are compared in pairs until one is surely better, or called alike and the cheaper one taken."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import stdev

import pytest

from eval.evaluation import Evaluation
from sweeper.records.messages import Rescore, Rescored
from sweeper.records.trials import Trial
from sweeper.results.fresh import fresh_seeds, judge_afresh
from sweeper.results.rounds import compare, cost
from sweeper.search.space import plan
from sweeper.study.display import Display
from tests.sweeper.fake_worker import OVERRIDES, evaluation, trial


def judged(*prompts: float, index: float = 0.0) -> Evaluation:
    return replace(evaluation(40, sum(prompts) / len(prompts), index), prompt_scores=prompts)


def finalist(number: int, step: int = 40) -> Trial:
    return trial(number, evaluation(step))


def test_one_that_is_better_by_two_standard_errors_wins_and_says_by_how_much() -> None:
    found = compare([finalist(1), finalist(2, 80)], {1: [judged(10, 20, 30)], 2: [judged(31, 40, 51)]})
    assert (found.best, found.winner, found.open) == (2, 2, [])
    error = stdev([21, 20, 21]) / math.sqrt(3)
    assert found.words == (
        f"Trial 2 is better than each of the others by more than two standard errors: +20.7 ± {error:.1f} points above "
        "trial 1, paired over 3 prompts with the same seeds in 1 round."
    )


def test_prompts_are_paired_so_hard_ones_do_not_hide_who_is_better() -> None:
    found = compare([finalist(1), finalist(2)], {1: [judged(-90, 5, 90)], 2: [judged(-88, 7, 93)]})
    assert found.open == [] and found.best == 2


@pytest.mark.parametrize(
    ("steps", "winner", "why"),
    [
        ((80, 40), 2, "of those within one trial 2 is taken, which is the cheapest."),
        ((40, 80), 1, "the best score is taken, no cheaper one lies within one."),
        ((40, 40), 1, "the best score is taken, no cheaper one lies within one."),
    ],
)
def test_of_those_that_are_alike_the_cheaper_is_taken_then_the_earlier(
    steps: tuple[int, int], winner: int, why: str
) -> None:
    trainings = [finalist(1, steps[0]), finalist(2, steps[1])]
    found = compare(trainings, {1: [judged(10, 26, 30)], 2: [judged(14, 20, 29)]})
    assert (found.best, found.winner, found.open) == (1, winner, [2])
    between = "trial 1 is +1.0 ± 2.9 points above trial 2, paired over 3 prompts with the same seeds in 1 round"
    assert found.words == f"Trials 1, 2 are alike: none is better by two standard errors ({between}); {why}"


def test_one_further_behind_than_a_standard_error_is_alike_and_not_taken_for_being_cheap() -> None:
    found = compare([finalist(1, 80), finalist(2, 40)], {1: [judged(10, 26, 30)], 2: [judged(10, 20, 28)]})
    gain = found.gains[2]
    assert gain.error < gain.points < 2 * gain.error
    assert (found.open, found.winner) == ([2], 1)


def test_rounds_are_taken_together_and_what_fell_out_stays_out() -> None:
    rounds = {
        1: [judged(10, 20, 30), judged(12, 26, 28)],
        2: [judged(12, 18, 33), judged(14, 28, 31)],
        3: [judged(-20, -18, -22)],
    }
    found = compare([finalist(1), finalist(2), finalist(3)], rounds)
    assert (found.best, found.rounds, set(found.gains)) == (2, 2, {1, 3})
    assert found.gains[1].points == pytest.approx((1 + 7 / 3) / 2)
    assert found.gains[1].error == pytest.approx(stdev([2, 0, 3]) / math.sqrt(3))
    assert found.gains[3].points == pytest.approx(41)


def test_an_overfit_one_is_no_rival_and_one_prompt_tells_nothing() -> None:
    found = compare([finalist(1), finalist(2)], {1: [judged(10, 20)], 2: [judged(90, 90, index=0.9)]})
    assert (found.winner, found.words) == (1, "")
    found = compare([finalist(1, 80), finalist(2, 40)], {1: [judged(10.0)], 2: [judged(9.0)]})
    assert found.winner == 1
    assert found.words == "Its lead over trial 2 is +1.0 points; how sure that is one prompt cannot tell."


def test_cost_is_images_seen_then_the_number() -> None:
    assert cost(finalist(3, 80)) == (80 * finalist(3).spec.train.batch_size, 3)


class Judge:
    """A supervisor whose workers judge by a table: trial to what each round finds."""

    def __init__(self, rounds: Mapping[int, Sequence[Evaluation]], count: int) -> None:
        self.rounds, self.count = rounds, count
        self.asked: list[tuple[int, tuple[int, ...], Path]] = []

    def answers(self, questions: Sequence[Rescore]) -> list[Rescored]:
        found = []
        for each in questions:
            self.asked.append((each.trial, each.seeds, each.out))
            made = self.rounds[each.trial][(each.seeds[0] - 1000) // self.count]
            found.append(
                Rescored(trial=each.trial, evaluation=made, base=made, pictures=each.out, base_pictures=each.out)
            )
        return found


@pytest.mark.parametrize(("most", "asked"), [(1, [1, 2, 3]), (2, [1, 2, 3, 1, 2]), (5, [1, 2, 3, 1, 2, 1, 2])])
def test_only_those_that_cannot_be_told_apart_are_drawn_again_with_seeds_of_their_own(
    most: int, asked: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    config = plan([*OVERRIDES, f"study.finalist_rounds={most}"]).config
    count = len(fresh_seeds(config))
    close, better = judged(10, 20, 30), judged(30, 41, 50)
    judge = Judge({1: [close, close, better], 2: [judged(12, 18, 33), close, close], 3: [judged(-60, -50, -40)]}, count)
    fresh = judge_afresh(judge, Display("one", 3, 80), [finalist(1), finalist(2), finalist(3)], config)  # type: ignore[arg-type]
    assert [number for number, _, _ in judge.asked] == asked
    assert len({(number, out) for number, _, out in judge.asked}) == len(asked)
    seeds = {seeds for _, seeds, _ in judge.asked}
    assert len({each for some in seeds for each in some}) == count * len(seeds)
    assert set(fresh.rescored) == {1, 2, 3} and fresh.scores[1] == 20.0
    said = capsys.readouterr().out
    assert ("trials 1, 2 are not told apart by two standard errors: round 2, other seeds" in said) == (most > 1)
    if most == 5:
        assert fresh.winner.number == 1 and "3 rounds" in fresh.lead
