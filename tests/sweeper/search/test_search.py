"""Asking and telling: conditional, side by side, resumable, and honest about what was pruned."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from sqlalchemy.orm import Session

from foundation.errors import StudyError
from sweeper.records.config import Config
from sweeper.records.urls import sqlite_url
from sweeper.search.dimension import Choices, Dimension, Numbers, Space
from sweeper.search.space import Plan, plan
from sweeper.search.study import Search

LR = Dimension(name="optimizer.lr", key="optimizer.lr", domain=Numbers(low=1e-5, high=1e-1, log=True))
RANK = Dimension(name="adapter.rank", key="adapter.rank", domain=Choices(of=(4, 8, 16, 32)))
TARGETS = Dimension(name="adapter.targets", key="adapter.targets", domain=Choices(of=("attention", "attention+ff")))
FINITE = Space(dimensions=(RANK, TARGETS))
CONTINUOUS = Space(dimensions=(LR, RANK))

MakeConfig = Callable[..., Config]


@pytest.fixture(scope="module")
def pencil() -> Plan:
    return plan(["+experiment=pencil"])


@pytest.fixture(scope="module")
def config(pencil: Plan) -> MakeConfig:
    def make(**study: Any) -> Config:
        return replace(pencil.config, study=replace(pencil.config.study, **study))

    return make


def test_parameters_are_those_that_count_and_their_names_hold_the_option(pencil: Plan) -> None:
    search = Search.open(pencil.config, pencil.space)
    own = {"adamw8bit": {"layer_lr"}, "lion": {"layer_lr", "weight_decay"}, "prodigy": {"d_coef"}}
    always = {"optimizer", "lr_scheduler", "adapter.rank", "adapter.alpha_ratio", "adapter.targets"}
    seen = set()
    for _ in range(12):
        number, params = search.ask()
        option = str(params["optimizer"])
        seen.add(option)
        assert set(params) == always | {f"optimizer={option}:{field}" for field in own[option]}
        assert pencil.trial(params).optimizer.name == option
        search.tell_complete(number, 0.5)
    assert seen == set(own)


def test_values_stay_in_their_domain_and_keep_their_type(config: MakeConfig) -> None:
    whole = Dimension(name="r", key="adapter.rank", domain=Numbers(low=2, high=64, step=1, log=True))
    even = Dimension(name="s", key="train.steps", domain=Numbers(low=100, high=300, step=100))
    stepped = Dimension(name="d", key="adapter.dropout", domain=Numbers(low=0.0, high=0.9, step=0.3))
    gamma = Dimension(name="g", key="objective.snr_gamma", domain=Choices(of=(None, 5, True, "[a,b]")))
    search = Search.open(config(), Space(dimensions=(LR, whole, even, stepped, gamma)))
    drawn = [search.ask()[1] for _ in range(20)]
    assert all(1e-5 <= float(params["optimizer.lr"] or 0) <= 1e-1 for params in drawn)
    assert all(isinstance(params["r"], int) and 2 <= params["r"] <= 64 for params in drawn)
    assert {params["s"] for params in drawn} == {100, 200, 300}
    assert {stepped.override(params["d"]) for params in drawn} <= {f"adapter.dropout={x}" for x in (0.0, 0.3, 0.6, 0.9)}
    assert {params["g"] for params in drawn} == {None, 5, True, "[a,b]"}


def test_the_same_seed_draws_the_same_trials_and_another_seed_others(config: MakeConfig) -> None:
    def drawn(seed: int) -> list[dict[str, Any]]:
        search = Search.open(config(seed=seed), CONTINUOUS)
        found = []
        for _ in range(10):
            number, params = search.ask()
            search.tell_complete(number, -abs(math.log10(float(params["optimizer.lr"] or 1)) + 3))
            found.append(params)
        return found

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_trials_side_by_side_never_repeat_one_another_in_a_finite_space(config: MakeConfig, sampler: str) -> None:
    search = Search.open(config(sampler=sampler, startup_trials=2), FINITE)
    running: list[tuple[int, dict[str, Any]]] = []
    drawn = []
    for _ in range(8):
        running.append(search.ask())
        drawn.append(running[-1][1])
        if len(running) == 3:
            number, params = running.pop(0)
            search.tell_complete(number, float(params["adapter.rank"]))
    assert len({tuple(params.items()) for params in drawn}) == 8
    with pytest.raises(StudyError, match="every point of the space has been tried"):
        search.ask()
    for number, _ in running:
        search.tell_complete(number, 0.0)
    assert search.num_finished == 8
    assert {tuple(past.params.items()) for past in search.ended_trials()} == {
        tuple(point.items()) for point in FINITE.points()
    }


def test_slots_that_are_refilled_side_by_side_find_the_best_option(config: MakeConfig) -> None:
    choose = Dimension(name="optimizer", key="optimizer", domain=Choices(of=("a", "b", "c")))
    own = [
        Dimension(name=f"optimizer={option}:lr", key="optimizer.lr", domain=LR.domain, condition=("optimizer", option))
        for option in "abc"
    ]
    search = Search.open(config(seed=3, startup_trials=8), Space(dimensions=(choose, *own)))

    def score(params: dict[str, Any]) -> float:
        peak = {"a": -2.0, "b": -4.0, "c": -3.0}[params["optimizer"]]
        bonus = {"a": 0.0, "b": 2.0, "c": 0.5}[params["optimizer"]]
        return bonus - abs(math.log10(params[f"optimizer={params['optimizer']}:lr"]) - peak)

    running = [search.ask() for _ in range(4)]
    told = []
    for _ in range(48):
        number, params = running.pop(0)
        search.tell_complete(number, score(params))
        told.append(params)
        running.append(search.ask())
    rates = [params.get("optimizer=b:lr") for params in told]
    assert len(set(rates)) == len([rate for rate in rates if rate is not None]) + (None in rates)
    late = [params for params in told[-20:] if params["optimizer"] == "b"]
    assert len(late) >= 12
    assert max(past.value or 0.0 for past in search.ended_trials()) > 1.7


def test_grid_tries_every_point_once_in_order_and_takes_no_continuous_dimension(config: MakeConfig) -> None:
    search = Search.open(config(sampler="grid"), FINITE)
    drawn = [search.ask()[1] for _ in range(8)]
    assert drawn == list(FINITE.points())
    with pytest.raises(StudyError, match="every point of the space has been tried"):
        search.ask()
    with pytest.raises(StudyError, match="sampler=grid takes no continuous dimension, got optimizer.lr"):
        Search.open(config(sampler="grid"), CONTINUOUS)


def test_what_is_to_be_tried_first_comes_first_and_what_it_leaves_open_is_drawn(config: MakeConfig) -> None:
    search = Search.open(config(), CONTINUOUS, first=[{"adapter.rank": 16}, {"adapter.rank": 32}])
    drawn = [search.ask()[1] for _ in range(2)]
    assert [params["adapter.rank"] for params in drawn] == [16, 32]
    assert all(set(params) == {"adapter.rank", "optimizer.lr"} for params in drawn)


def test_a_study_resumes_with_what_ran_what_runs_and_what_is_left(config: MakeConfig, tmp_path: Path) -> None:
    database = tmp_path / "made" / "studies.db"
    first = Search.open(config(), CONTINUOUS, database)
    asked = [first.ask() for _ in range(4)]
    first.report(0, 40, 0.3)
    first.tell_complete(0, 0.7, "all steps done")
    first.report(1, 40, 0.2)
    first.tell_pruned(1, "hopeless")
    first.tell_failed(2, "loss is NaN")
    first.report(3, 40, 0.1)

    second = Search.open(config(num_trials=99, slots=4), CONTINUOUS, database)
    assert [(past.number, past.status, past.value, past.reason) for past in second.ended_trials()] == [
        (0, "finished", 0.7, "all steps done"),
        (1, "pruned", 0.2, "hopeless"),
        (2, "failed", None, "loss is NaN"),
    ]
    assert [(left.number, left.params) for left in second.running()] == [asked[3]]
    assert second.num_finished == 3
    number, params = second.ask()
    assert number == 4
    assert params not in [drawn for _, drawn in asked]
    second.report(3, 40, 0.15)  # the attempt is repeated from its last checkpoint: the score is replaced
    second.report(3, 80, 0.4)
    second.tell_complete(3, 0.4)
    assert second.num_finished == 4
    (stored,) = [each for each in _trials(database) if each.number == 3]
    assert stored.intermediate_values == {40: 0.15, 80: 0.4}


@pytest.mark.parametrize("sampler", ["tpe", "random", "gp"])
def test_a_resumed_study_draws_what_it_would_have_drawn(sampler: str, config: MakeConfig, tmp_path: Path) -> None:
    def draw(study: Search, count: int) -> None:
        for _ in range(count):
            number, params = study.ask()
            study.tell_complete(number, float(params["adapter.rank"]))

    through = Search.open(config(sampler=sampler, startup_trials=3), CONTINUOUS)
    draw(through, 8)
    database = tmp_path / "studies.db"
    for _ in range(4):
        draw(Search.open(config(sampler=sampler, startup_trials=3), CONTINUOUS, database), 2)
    stopped = Search.open(config(sampler=sampler, startup_trials=3), CONTINUOUS, database)
    assert [past.params for past in stopped.ended_trials()] == [past.params for past in through.ended_trials()]


def test_a_trial_that_an_older_program_half_drew_keeps_its_number_and_gets_the_rest(
    config: MakeConfig, tmp_path: Path
) -> None:
    database = tmp_path / "studies.db"
    Search.open(config(), CONTINUOUS, database).ask()
    half = optuna.load_study(study_name="pencil", storage=f"sqlite:///{database}").ask()
    rate = half.suggest_float("optimizer.lr", 1e-5, 1e-1, log=True)
    (_, left) = Search.open(config(), CONTINUOUS, database).running()
    assert (left.number, left.params["optimizer.lr"]) == (1, rate)
    assert left.params["adapter.rank"] in (4, 8, 16, 32)
    search = Search.open(config(), CONTINUOUS, database)
    assert search.running()[1] == left
    assert search.ask()[0] == 2


class _Killed(BaseException):
    """What ends a process at one of its writes."""


@pytest.mark.parametrize(("sampler", "killed_at"), [("tpe", 5), ("random", 6), ("grid", 8), ("gp", 7)])
def test_a_study_killed_at_a_write_draws_the_same_trials_under_the_same_numbers(
    sampler: str, killed_at: int, config: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed again and again, each time a little later, before what is written or after it."""
    asked, space = config(sampler=sampler, startup_trials=1), FINITE if sampler == "grid" else CONTINUOUS
    left, commit = [0], Session.commit

    def die_in_time(session: Session) -> None:
        left[0] -= 1
        if left[0] == 0 and killed_at % 2:
            raise _Killed
        commit(session)
        if left[0] == 0:
            raise _Killed

    def run(database: Path | None) -> list[tuple[int, dict[str, Any]]]:
        search = Search.open(asked, space, database, first=[{"adapter.rank": 32}])
        while search.num_finished < 3:
            going = search.running()
            number, params = (going[0].number, going[0].params) if going else search.ask()
            search.report(number, 40, 1.0)
            search.tell_complete(number, float(params["adapter.rank"] or 0))
        return [(past.number, past.params) for past in search.ended_trials()]

    undisturbed, kills = run(None), 0
    Search.open(config(name="another"), FINITE, tmp_path / "studies.db")  # the file and its tables are there
    monkeypatch.setattr(Session, "commit", die_in_time)
    left[0] = killed_at
    while True:
        try:
            found = run(tmp_path / "studies.db")
            break
        except _Killed:
            kills += 1
            left[0] = killed_at + 4 * kills
    assert kills >= 3
    assert found == undisturbed


def test_another_space_or_config_under_the_same_name_is_refused_by_what_differs(
    config: MakeConfig, tmp_path: Path
) -> None:
    database = tmp_path / "studies.db"
    Search.open(config(), CONTINUOUS, database).ask()
    wider = replace(RANK, domain=Choices(of=(4, 64)))
    with pytest.raises(StudyError) as caught:
        Search.open(config(), Space(dimensions=(LR, wider, TARGETS)), database)
    assert str(caught.value) == (
        "study pencil exists and is another one: adapter.rank was choice(4, 8, 16, 32), is now choice(4, 64); "
        "adapter.targets was absent, is now choice(attention, attention+ff); "
        "set study.name to a new name, or ask for what it was to resume it"
    )
    longer = replace(config(), train=replace(config().train, steps=400))
    with pytest.raises(StudyError, match="train.steps was 160, is now 400; set study.name"):
        Search.open(longer, CONTINUOUS, database)
    assert Search.open(config(name="other"), Space(dimensions=(wider,)), database).num_finished == 0


def test_a_study_without_any_trial_binds_nobody(config: MakeConfig, tmp_path: Path) -> None:
    database = tmp_path / "studies.db"
    Search.open(config(), CONTINUOUS, database, first=[{"adapter.rank": 4}])
    longer = replace(config(objectives=("style", "val_ratio")), train=replace(config().train, steps=400))
    search = Search.open(longer, FINITE, database, first=[{"adapter.rank": 32}])
    number, params = search.ask()
    assert (number, params["adapter.rank"]) == (0, 32)
    search.tell_complete(0, 1.0, values=(0.5, 0.1))
    with pytest.raises(StudyError, match="study pencil exists and is another one"):
        Search.open(config(), FINITE, database)


def test_other_pictures_under_the_same_name_are_refused_but_not_in_a_study_that_did_not_note_them(
    config: MakeConfig, tmp_path: Path
) -> None:
    noted, older = tmp_path / "noted.db", tmp_path / "older.db"
    Search.open(config(), FINITE, noted, {"data.train": "24 pictures (a)", "data.validation": "8 pictures (b)"}).ask()
    with pytest.raises(StudyError, match=r"data.train was 24 pictures \(a\), is now 25 pictures \(c\); set"):
        Search.open(config(), FINITE, noted, {"data.train": "25 pictures (c)", "data.validation": "8 pictures (b)"})
    study = optuna.create_study(storage=sqlite_url(older), study_name="pencil", direction="maximize")
    study.set_user_attr("asked", {"space": FINITE.fingerprint(), "config": config().fingerprint()})
    study.ask()
    Search.open(config(), FINITE, older, {"data.train": "24 pictures (a)"})


def test_a_study_of_an_older_program_goes_on_where_what_is_new_is_at_its_default(
    config: MakeConfig, tmp_path: Path
) -> None:
    asked = config().fingerprint()
    for name in ("train.ema_decay", "eval.thresholds.copy.warn"):
        del asked[name]
    study = optuna.create_study(storage=sqlite_url(tmp_path / "a.db"), study_name="pencil", direction="maximize")
    study.set_user_attr("asked", {"space": FINITE.fingerprint(), "config": asked})
    study.ask()
    averaged = replace(config(), train=replace(config().train, ema_decay=0.9))
    with pytest.raises(StudyError, match=r"train.ema_decay was None, is now 0\.9; set"):
        Search.open(averaged, FINITE, tmp_path / "a.db")
    Search.open(config(), FINITE, tmp_path / "a.db")


def test_a_file_that_is_no_database_is_refused(config: MakeConfig, tmp_path: Path) -> None:
    file = tmp_path / "studies.db"
    file.write_text("not a database, and long enough to be read as one" * 40)
    with pytest.raises(StudyError, match=r"studies\.db cannot be used as the study's database: .*; bring back a copy"):
        Search.open(config(), CONTINUOUS, file)


def test_what_ended_is_told_with_its_status_and_score(config: MakeConfig) -> None:
    search = Search.open(config(), CONTINUOUS)
    for _ in range(5):
        search.ask()
    search.tell_complete(3, 0.8)
    search.tell_complete(1, 0.9)
    search.report(2, 40, 0.3)
    search.report(2, 80, 0.4)
    search.tell_pruned(2, "overfit")
    search.tell_pruned(0, "hopeless")
    search.tell_failed(4, "out of memory")
    assert [(past.status, past.value) for past in search.ended_trials()] == [
        ("pruned", None),
        ("finished", 0.9),
        ("pruned", 0.4),
        ("finished", 0.8),
        ("failed", None),
    ]
    assert search.front() == []


def test_optuna_says_nothing(config: MakeConfig, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        search = Search.open(config(startup_trials=1), CONTINUOUS, tmp_path / "studies.db")
        for _ in range(4):
            number, _ = search.ask()
            search.report(number, 40, 1.0)
            search.tell_complete(number, 1.0)
    said = capfd.readouterr()
    assert (said.out, said.err) == ("", "")


def _trials(database: Path) -> list[optuna.trial.FrozenTrial]:
    return optuna.load_study(study_name="pencil", storage=sqlite_url(database)).trials
