"""Which sampler proposes, and that it does."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace

import optuna
import pytest

from eval.metrics.registry import Direction
from sweeper.search.dimension import Choices, Dimension, Numbers, Space
from sweeper.search.sampling import sampler_taken, with_lies, words_on_sampler
from sweeper.search.space import plan
from sweeper.search.study import Search

LR = Dimension(name="optimizer.lr", key="optimizer.lr", domain=Numbers(low=1e-5, high=1e-1, log=True))
RANK = Dimension(name="adapter.rank", key="adapter.rank", domain=Choices(of=(4, 8, 16, 32)))
CONTINUOUS = Space(dimensions=(LR, RANK))
CONFIG = plan(["+experiment=pencil", "study.seed=1", "study.startup_trials=4"]).config
NUMBERS = Space(
    dimensions=(
        Dimension(name="optimizer.lr", key="optimizer.lr", domain=LR.domain),
        Dimension(name="adapter.dropout", key="adapter.dropout", domain=Numbers(low=0.0, high=0.5)),
    )
)


@pytest.mark.parametrize(
    ("directions", "worst"), [(["maximize"], [1.0]), (["minimize"], [3.0]), (["maximize", "minimize"], [1.0, 9.0])]
)
def test_a_running_trial_counts_as_the_worst_so_far_whichever_way_is_better(
    directions: Sequence[Direction], worst: list[float]
) -> None:
    told = [[3.0, 9.0], [1.0, 7.0]]
    ended = [optuna.trial.create_trial(values=each[: len(directions)]) for each in told]
    running = optuna.trial.create_trial(state=optuna.trial.TrialState.RUNNING)
    assert with_lies([running], directions) == [running]  # nothing is known yet
    *same, lied = with_lies([*ended, running], directions)
    assert (same, lied.values, lied.state) == (ended, worst, optuna.trial.TrialState.COMPLETE)


def test_an_open_study_takes_a_gaussian_process_for_numbers_and_tpe_where_there_are_choices() -> None:
    spec = CONFIG.study
    assert spec.sampler == "auto"
    assert words_on_sampler(spec, NUMBERS) == ["study.sampler=auto takes gp, for numbers"]
    (line,) = words_on_sampler(spec, CONTINUOUS)
    assert line == "study.sampler=auto takes tpe, since adapter.rank is no number"
    named = replace(spec, sampler="random")
    assert (sampler_taken(named, NUMBERS), words_on_sampler(named, NUMBERS)) == ("random", [])


def test_a_gaussian_process_finds_the_peak_and_draws_no_twins_side_by_side() -> None:
    search = Search.open(CONFIG, NUMBERS)
    running = [search.ask() for _ in range(4)]
    for _ in range(16):
        number, params = running.pop(0)
        rate, dropout = float(params["optimizer.lr"] or 0), float(params["adapter.dropout"] or 0)
        search.tell_complete(number, -abs(math.log10(rate) + 3) - abs(dropout - 0.2))
        running.append(search.ask())
        points = [(math.log10(float(each["optimizer.lr"] or 0)), each["adapter.dropout"]) for _, each in running]
        assert len(set(points)) == 4
        assert min(math.dist(one, other) for one, other in itertools.combinations(points, 2)) > 1e-3  # type: ignore[arg-type]
    assert max(past.value or -9.0 for past in search.ended_trials()) > -0.1
