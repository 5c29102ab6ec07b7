"""What devices were at, over runs: what is said adds up to the time that they were held."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sweeper.records.costs import Cost, Costs, Spent
from sweeper.records.history import append_costs
from sweeper.study.stages import StageClock, Stages, StudyStages


@pytest.fixture
def now() -> list[float]:
    return [100.0]


def test_stages_of_two_devices_add_up_to_the_time_that_they_were_held(now: list[float]) -> None:
    clock = StageClock(lambda: now[0])
    now[0] = 103.0
    clock.start(0)
    clock.start(1)
    now[0] = 110.0
    clock.load(0, 10.0)  # it had begun before anybody said so
    clock.load(1, 6.0)
    now[0] = 130.0
    clock.ask(0)
    now[0] = 134.0
    clock.answer(0)
    clock.answer(0)
    found = clock.stages(training=20.0, judging=5.0)
    assert found == Stages(loading=17.0, training=20.0, judging=5.0, finals=4.0, idle=34.0 + 31.0 - 46.0)
    clock.ask(1)
    now[0] = 140.0
    clock.end(1)  # it died, and owes no answer any more
    now[0] = 150.0
    assert clock.stages(training=20.0, judging=5.0).total == 50.0 + 37.0
    assert clock.stages(training=20.0, judging=5.0).finals == 10.0


def test_runs_are_added_and_a_trial_counts_in_the_run_that_trained_it(tmp_path: Path, now: list[float]) -> None:
    trial = tmp_path / "trial"
    trial.mkdir()

    def train(seconds: float) -> None:
        append_costs(trial, Spent(step=40, costs=Costs(training=Cost(seconds=seconds), judging=Cost(seconds=1.0))))

    clock = StageClock(lambda: now[0])
    first = StudyStages(tmp_path, clock, lambda: [trial])
    clock.start(0)
    train(6.0)
    now[0] += 10.0
    assert first.total() == first.total() == Stages(training=6.0, judging=1.0, idle=3.0)
    again = StageClock(lambda: now[0])
    second = StudyStages(tmp_path, again, lambda: [trial])
    again.start(0)
    train(2.0)
    now[0] += 4.0
    assert second.total() == Stages(training=8.0, judging=2.0, idle=4.0)
    assert json.loads((tmp_path / "stages.json").read_text())["training"] == 8.0
    (tmp_path / "stages.json").write_text("{")
    assert StudyStages(tmp_path, StageClock(lambda: now[0]), list).total() == Stages()


def test_they_are_said_with_their_shares_and_have_names_for_a_tracker() -> None:
    found = Stages(loading=10.0, training=60.0, judging=20.0, idle=10.0)
    assert str(found) == (
        "all devices together 100 s: loading 10 s (10%), training 60 s (60%), judging 20 s (20%), finals 0 s (0%), "
        "idle 10 s (10%)"
    )
    assert found.metrics()["cost/idle_seconds"] == 10.0
    assert str(Stages()).startswith("all devices together 0 s: loading 0 s (0%)")
