"""A storage that holds what it has read and written, beside Optuna's own: they say the same at every step."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import RDBStorage
from optuna.storages._rdb import storage as rdb
from optuna.trial import FrozenTrial, TrialState, create_trial

from sweeper.records.urls import sqlite_url
from sweeper.search.held_storage import HeldStorage
from sweeper.search.sole_storage import SoleWriterStorage
from sweeper.search.window import SIZES, window_of

LR = FloatDistribution(1e-5, 1e-1, log=True)


def told(trials: list[FrozenTrial]) -> list[dict[str, str]]:
    """All but when it was; as texts, since no NaN is like another."""
    times = ("datetime_start", "datetime_complete")
    return [{key: repr(value) for key, value in vars(each).items() if key.strip("_") not in times} for each in trials]


def running(lr: float) -> FrozenTrial:
    return create_trial(state=TrialState.RUNNING, params={"lr": lr}, distributions={"lr": LR})


def test_it_says_at_every_step_what_is_in_the_database(tmp_path: Path) -> None:
    url = sqlite_url(tmp_path / "studies.db")
    held = optuna.create_study(storage=HeldStorage(SoleWriterStorage(url)), study_name="a", direction="maximize")
    storage = held._storage

    def compare() -> None:
        fresh = optuna.load_study(study_name="a", storage=RDBStorage(url))
        assert told(held.get_trials()) == told(fresh.get_trials())

    for number in range(3):
        held.add_trial(running(10.0**-number / 100))
        compare()
    first, second, third = (each._trial_id for each in held.get_trials(deepcopy=False))
    storage.set_trial_intermediate_value(first, 40, 1.5)
    storage.set_trial_intermediate_value(first, 40, 2.5)
    storage.set_trial_intermediate_value(first, 80, math.inf)
    storage.set_trial_intermediate_value(second, 40, math.nan)
    storage.set_trial_user_attr(first, "reason", "none")
    storage.set_trial_user_attr(first, "reason", ("a", 1))
    storage.set_trial_system_attr(second, "constraints:overfit", 0.5)
    storage.set_trial_param(third, "rank", 4.0, FloatDistribution(1, 8))
    compare()
    held.tell(0, 3.0)
    held.tell(1, state=TrialState.PRUNED)
    held.tell(2, state=TrialState.FAIL)
    compare()
    with pytest.raises(UpdateFinishedTrialError):
        storage.set_trial_intermediate_value(first, 120, 1.0)
    again = optuna.load_study(study_name="a", storage=HeldStorage(SoleWriterStorage(url)))
    again.add_trial(running(0.05))
    assert [each.number for each in again.get_trials()] == [0, 1, 2, 3]
    optuna.delete_study(study_name="a", storage=again._storage)
    assert optuna.get_all_study_names(RDBStorage(url)) == []


def test_it_reads_a_study_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held = optuna.create_study(storage=HeldStorage(RDBStorage(sqlite_url(tmp_path / "studies.db"))))
    held.add_trial(running(0.01))
    monkeypatch.setattr(rdb.RDBStorage, "_get_trials", None)  # whoever calls it fails
    held.tell(0, 1.0)
    assert held.get_trials(deepcopy=False)[0].value == 1.0


def study_of(count: int) -> list[FrozenTrial]:
    made = []
    for number in range(count):
        state = TrialState.RUNNING if number % 50 == 49 else TrialState.COMPLETE
        ended = {"value": float((number * 7919) % 10_007)} if state == TrialState.COMPLETE else {}
        made.append(create_trial(state=state, params={"lr": 0.01}, distributions={"lr": LR}, **ended))
        made[-1].number = number
    return made


def test_few_trials_are_all_looked_at_and_so_are_those_of_other_samplers() -> None:
    few, many = study_of(500), study_of(3000)
    assert window_of(few, "tpe", ["maximize"]) == few
    assert window_of(many, "cmaes", ["maximize"]) == many


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_of_many_the_best_and_all_that_run_are_looked_at_and_the_others_evenly(direction: Any) -> None:
    trials = study_of(5000)
    shown = window_of(trials, "tpe", [direction])
    ended = [each for each in trials if each.state == TrialState.COMPLETE]
    best = sorted(ended, key=lambda each: each.value or 0.0, reverse=direction == "maximize")[:25]
    numbers = [each.number for each in shown]
    assert numbers == sorted(numbers)
    assert {each.number for each in best} <= set(numbers)
    assert {each.number for each in trials if each.state == TrialState.RUNNING} <= set(numbers)
    assert sum(each.state == TrialState.COMPLETE for each in shown) == SIZES["tpe"]
    halves = [sum(number < 2500 for number in numbers), sum(number >= 2500 for number in numbers)]
    assert abs(halves[0] - halves[1]) < 0.05 * len(numbers)
