"""When a study has had enough."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from sweeper.records.config import Config
from sweeper.records.costs import Cost, Costs, Spent
from sweeper.records.study_spec import StudySpec
from sweeper.records.trials import Status, Trial
from sweeper.search.space import plan
from sweeper.study.budget import Budget
from sweeper.study.verdicts import verdict_on
from tests.sweeper.fake_worker import OVERRIDES, evaluation

HOUR = 3600.0


@pytest.fixture(scope="module")
def config() -> Config:
    return plan(["+experiment=pencil"]).config


@pytest.fixture
def trial(config: Config, tmp_path: Path) -> Callable[..., Trial]:
    def make(number: int, score: float, status: Status = "finished", index: float = 0.0) -> Trial:
        folder = tmp_path / f"trial-{number}"
        folder.mkdir()
        made = Trial(number=number, params={}, spec=config.trial, folder=folder, clean=0.5, status=status)
        made.evaluations.append(replace(evaluation(40, score, index), score_se=3.0))
        return made

    return make


def spec(**fields: object) -> StudySpec:
    return replace(StudySpec(name="one", num_trials=12), **fields)  # type: ignore[arg-type]


def test_without_limits_there_are_as_many_trials_as_are_wanted(trial: Callable[..., Trial], tmp_path: Path) -> None:
    budget, trials = Budget(spec(), tmp_path), {0: trial(0, 10.0), 1: trial(1, 10.0)}
    assert budget.update(trials) == [] and budget.num_left(trials) == 10
    assert budget.spent is None and not list(tmp_path.glob("*.json"))


def test_hours_go_on_where_the_last_run_left_them_and_end_running_trials_as_what_they_are(
    trial: Callable[..., Trial], tmp_path: Path
) -> None:
    now = [0.0]
    running = {0: trial(0, 10.0, "running"), 1: trial(1, 5.0, "running", index=0.9)}
    first = Budget(spec(hours=2.0), tmp_path, lambda: now[0])
    now[0] = 1.5 * HOUR
    assert first.update(running) == [] and first.spent is None
    assert json.loads((tmp_path / "hours.json").read_text()) == {"hours": 1.5}

    again = Budget(spec(hours=2.0), tmp_path, lambda: now[0])
    now[0] += 0.6 * HOUR
    assert again.update(running) == ["no further trial begins: study.hours=2 have passed"]
    assert again.update(running) == []  # said once
    assert again.num_left(running) == 0
    config = plan(OVERRIDES).config
    for number, status in ((0, "finished"), (1, "pruned")):
        assert verdict_on(running[number], [], config) is None
        assert verdict_on(running[number], [], config, again.spent) == (status, "study.hours=2 have passed")

    more = Budget(spec(hours=4.0), tmp_path, lambda: now[0])
    assert more.update(running) == [] and more.num_left(running) == 10


def test_gpu_hours_are_what_all_trials_took_for_training_and_judging(
    trial: Callable[..., Trial], tmp_path: Path
) -> None:
    trials = {0: trial(0, 10.0), 1: trial(1, 10.0, "running")}
    budget = Budget(spec(gpu_hours=1.0), tmp_path)
    for number, hours in ((0, 0.4), (1, 0.5)):
        costs = Costs(training=Cost(seconds=hours * HOUR / 2), judging=Cost(seconds=hours * HOUR / 2))
        (trials[number].folder / "costs.jsonl").write_text(json.dumps(Spent(step=40, costs=costs).to_json()) + "\n")
    assert budget.update(trials) == []
    (trials[1].folder / "costs.jsonl").open("a").write(
        json.dumps(Spent(step=80, costs=Costs(training=Cost(seconds=0.1 * HOUR))).to_json()) + "\n"
    )
    assert budget.update(trials) == ["no further trial begins: study.gpu_hours=1 were spent"]


def test_what_an_ended_trial_took_is_read_once(
    trial: Callable[..., Trial], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []

    def costs(folder: Path) -> Costs:
        read.append(folder)
        return Costs(training=Cost(seconds=HOUR / 100))

    monkeypatch.setattr("sweeper.study.budget.costs_in_all", costs)
    budget = Budget(spec(gpu_hours=1.0), tmp_path)
    trials = {number: trial(number, 10.0) for number in range(50)} | {50: trial(50, 10.0, "running")}
    assert budget.update(trials) == []
    read.clear()
    assert budget.update(trials) == [] and read == [trials[50].folder]
    trials[0].status = "waiting"  # it is trained again
    read.clear()
    assert budget.update(trials) == [] and read == [trials[0].folder, trials[50].folder]


def test_patience_ends_when_trials_bring_no_more_than_noise(trial: Callable[..., Trial], tmp_path: Path) -> None:
    budget = Budget(spec(patience=3), tmp_path)
    trials = {number: trial(number, score) for number, score in enumerate((10.0, 30.0, 32.9, 12.0))}
    assert budget.update(trials) == []
    trials[4] = trial(4, 34.0)  # more than an error above 30: it counts from here anew
    trials[5], trials[6] = trial(5, 90.0, "pruned"), trial(6, 20.0)
    assert budget.update(trials) == []
    trials[7] = trial(7, 36.0, "running")
    assert budget.update(trials) == [] and budget.enough is None
    trials[7].status = "finished"
    (line,) = budget.update(trials)
    assert line.endswith("the last 3 trials brought nothing better than 34.0 ± 3.0 points (study.patience=3)")
    assert budget.num_left(trials) == 0 and budget.spent is None  # what runs, runs to its end


def test_patience_knows_which_way_is_better(trial: Callable[..., Trial], tmp_path: Path) -> None:
    budget = Budget(spec(patience=2, direction="minimize"), tmp_path)
    trials = {number: trial(number, score) for number, score in enumerate((50.0, 40.0, 30.0))}
    assert budget.update(trials) == []
    trials |= {3: trial(3, 60.0), 4: trial(4, 28.0)}
    (line,) = budget.update(trials)
    assert "nothing better than 30.0 ± 3.0 points" in line


def test_trainings_again_have_no_limits() -> None:
    again = spec(hours=1.0, gpu_hours=1.0, patience=2).for_reruns(3)
    assert (again.hours, again.gpu_hours, again.patience, again.num_trials) == (None, None, None, 3)
    assert again.pruner.name == "none"
