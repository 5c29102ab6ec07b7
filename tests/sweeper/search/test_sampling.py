"""Which sampler proposes, and that it does."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import optuna
import pytest

from eval.metrics.registry import Direction
from foundation.errors import ConfigError, StudyError
from sweeper.search import sampling
from sweeper.search.cma import ReplayedCma
from sweeper.search.dimension import Choices, Dimension, Numbers, Params, Space
from sweeper.search.sampling import refuse_unfit, sampler_taken, with_lies, words_on_sampler
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
    assert line == "study.sampler=auto takes tpe, since adapter.rank is no number that always counts"
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


def test_cma_es_goes_on_from_a_database_as_optuna_does_from_its_pickles(tmp_path: Path) -> None:
    """The state that follows from the trials of each generation is the one that Optuna would have kept."""
    pytest.importorskip("cmaes")

    def score(trial: optuna.Trial) -> float:
        return sum((trial.suggest_float(name, -3.0, 5.0) - 1.0) ** 2 for name in "abc")

    study = optuna.create_study(sampler=optuna.samplers.CmaEsSampler(seed=1))
    study.optimize(score, n_trials=40)
    sampler = ReplayedCma(1, optuna.samplers.RandomSampler(seed=1))
    kinds = dict(study.trials[-1].distributions)
    sampler.sample_relative(study, study.ask()._cached_frozen_trial, kinds)
    theirs = optuna.samplers.CmaEsSampler(seed=1)._restore_optimizer(study.get_trials()[:-1])
    ours = sampler._restore_optimizer(study.get_trials()[:-1])
    assert (ours.generation, theirs.generation) == (5, 5)
    np.testing.assert_allclose(ours.mean, theirs.mean)
    np.testing.assert_allclose(ours._C, theirs._C)


def test_cma_es_finds_the_peak_side_by_side_and_after_a_crash_and_writes_no_pickle(tmp_path: Path) -> None:
    pytest.importorskip("cmaes")
    config = replace(CONFIG, study=replace(CONFIG.study, sampler="cmaes", num_trials=60))
    space = Space(dimensions=(*NUMBERS.dimensions, RANK))
    drawn: list[Params] = []
    for crashes in (False, True):
        search = Search.open(config, space, tmp_path / f"{crashes}.db")
        running = [search.ask() for _ in range(2)]
        for count in range(48):
            number, params = running.pop(0)
            rate, dropout = float(params["optimizer.lr"] or 0), float(params["adapter.dropout"] or 0)
            search.tell_complete(number, -abs(math.log10(rate) + 3) - abs(dropout - 0.2))
            if crashes and count % 20 == 10:
                search = Search.open(config, space, tmp_path / f"{crashes}.db")
            running.append(search.ask())
        drawn.append(running[-1][1])
        assert max(past.value or -9.0 for past in search.ended_trials()) > -0.2
        kept = {key for each in search._study.trials for key in each.system_attrs}
        assert kept == {"cma:generation"}
    assert drawn[0] == drawn[1]


def test_cma_es_says_what_it_leaves_to_another_and_refuses_what_it_cannot_model() -> None:
    spec = replace(CONFIG.study, sampler="cmaes")
    assert words_on_sampler(spec, NUMBERS) == []
    assert words_on_sampler(spec, CONTINUOUS) == [
        "study.sampler=cmaes leaves to tpe what is no number that always counts: adapter.rank"
    ]
    with pytest.raises(
        StudyError, match="models numbers that count in every trial .* there is none among adapter.rank;"
    ):
        refuse_unfit(spec, Space(dimensions=(RANK,)))
    with pytest.raises(ConfigError, match="sampler=cmaes takes one objective, got style, drift; tpe takes several"):
        plan(["+experiment=pencil", "study.sampler=cmaes", "study.objectives=[style,drift]"])


def test_cma_es_that_is_not_installed_is_refused_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "is_installed", lambda: False)
    with pytest.raises(ConfigError, match="study.sampler=cmaes is not installed; run `pip install cmaes`"):
        refuse_unfit(replace(CONFIG.study, sampler="cmaes"), NUMBERS)
