"""More pictures go where they could change what is said."""

from __future__ import annotations

from dataclasses import replace

import pytest

from eval.budgets import first_budget, next_budget
from eval.evaluation import Evaluation
from eval.spec import EvalSpec, SampleBudget
from tests.sweeper.fake_worker import evaluation

SPEC = EvalSpec(prompts=("a", "b", "c"), seeds=(0, 1), tiebreak_seeds=(3, 4), screening_prompts=2, screening_below=5.0)
SCREENING, USUAL, WHOLE = SampleBudget(2, 1, 0), SampleBudget(3, 2, 0), SampleBudget(3, 4, 0)
IDLE = replace(evaluation(40, 4.9), metrics={"val_ratio": 0.96})
GOOD = replace(IDLE, score=5.0)
COPYING = replace(IDLE, overfit_index=0.5)


FALLEN = replace(GOOD, past_best=True, overfit_index=0.7)
MAYBE_FALLEN = replace(GOOD, overfit_index=0.7)


@pytest.mark.parametrize(
    ("known", "judged", "wanted"),
    [
        (SCREENING, IDLE, None),
        (SCREENING, GOOD, USUAL),
        (SCREENING, COPYING, USUAL),
        (SCREENING, replace(IDLE, past_best=True), USUAL),
        (SCREENING, replace(IDLE, score=float("nan")), USUAL),  # not measured is not idle
        (SCREENING, replace(IDLE, metrics={"val_ratio": 0.94}), USUAL),
        (SCREENING, replace(IDLE, metrics={"val_ratio": float("nan")}), USUAL),
        (SCREENING, replace(IDLE, metrics={}), USUAL),
        (USUAL, IDLE, None),
        (USUAL, GOOD, None),
        (USUAL, FALLEN, None),
        (USUAL, MAYBE_FALLEN, WHOLE),
        (USUAL, COPYING, WHOLE),
        (WHOLE, COPYING, None),
        (WHOLE, MAYBE_FALLEN, None),
    ],
)
def test_what_a_checkpoint_wants_to_be_judged_by(
    known: SampleBudget, judged: Evaluation, wanted: SampleBudget | None
) -> None:
    assert next_budget(known, judged, SPEC) == wanted


def test_without_screening_all_is_drawn_at_once() -> None:
    assert first_budget(SPEC) == SCREENING
    plain = replace(SPEC, screening_prompts=None, tiebreak_seeds=())
    assert first_budget(plain) == USUAL
    assert next_budget(USUAL, COPYING, plain) is None


def test_a_screening_by_more_than_there_is_is_by_all() -> None:
    few = replace(SPEC, prompts=("a",), seeds=(0,), tiebreak_seeds=())
    assert first_budget(few) == SampleBudget(1, 1, 0)
    assert next_budget(SampleBudget(1, 1, 0), GOOD, few) is None


def test_a_spec_within_a_round_asks_for_just_that() -> None:
    own = replace(SPEC, unrelated_prompts=("x", "y"), unrelated_seeds=1)
    assert own.whole == SampleBudget(3, 4, 2)
    assert own.within(own.whole) == EvalSpec(
        prompts=("a", "b", "c"), seeds=(0, 1, 3, 4), unrelated_prompts=("x", "y"), unrelated_seeds=1, screening_below=5
    )
    assert own.within(first_budget(own)).usual == SCREENING
    assert replace(own, unrelated_seeds=None).within(own.whole).seeds_of_unrelated == (0, 1)
