"""More seeds go where they could change what is said."""

from __future__ import annotations

from dataclasses import replace

import pytest

from eval.rounds import seeds_at_first, seeds_wanted
from eval.spec import EvalSpec
from tests.sweeper.played import evaluation

SPEC = EvalSpec(seeds=(0, 1, 2), close_seeds=(3, 4), one_seed_below=15.0)
WEAK, GOOD = evaluation(40, 14.9), evaluation(40, 15.0)
FALLEN, COPYING = replace(WEAK, past_best=True), evaluation(40, 14.9, 0.5)


@pytest.mark.parametrize(
    ("known", "judged", "wanted"),
    [
        (1, WEAK, 1),
        (1, GOOD, 3),
        (1, FALLEN, 3),
        (1, COPYING, 3),
        (1, replace(WEAK, score=float("nan")), 3),  # not measured is not weak
        (3, WEAK, 3),
        (3, GOOD, 3),
        (3, FALLEN, 5),
        (3, COPYING, 5),
        (5, COPYING, 5),
    ],
)
def test_how_many_seeds_a_checkpoint_wants(known: int, judged, wanted: int) -> None:
    assert seeds_wanted(known, judged, SPEC) == wanted


def test_without_a_limit_all_seeds_are_drawn_at_once() -> None:
    assert seeds_at_first(SPEC) == 1
    plain = replace(SPEC, one_seed_below=None, close_seeds=())
    assert seeds_at_first(plain) == 3
    assert seeds_wanted(3, COPYING, plain) == 3
