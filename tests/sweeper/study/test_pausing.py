"""Trials that pause and go on: by the rules alone, and by a supervisor with a played worker."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from eval.evaluation import Evaluation
from sweeper.records.study_spec import PrunerSpec
from sweeper.records.trials import Resolved
from sweeper.search.space import Plan, plan
from sweeper.search.study import Search
from sweeper.study.display import Display
from sweeper.study.pausing import PausedTrials
from sweeper.study.supervisor import Supervisor
from tests.sweeper.fake_worker import OVERRIDES, LastingWorker, Notes, PlayedWorker, evaluation, trial

Make = Callable[..., tuple[Supervisor, Notes, Search]]
HALVING = PrunerSpec(name="asha", reduction_factor=2)
"""At step 40, and at 80, where the trials end."""


@pytest.fixture(scope="module")
def asked() -> Plan:
    return plan(OVERRIDES)


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    lines: list[str] = []
    monkeypatch.setattr(Display, "line", lambda _, *texts: lines.extend(texts))
    return lines


@pytest.fixture
def make(asked: Plan, tmp_path: Path, said: list[str]) -> Make:
    def build(launcher: PlayedWorker, **study: Any) -> tuple[Supervisor, Notes, Search]:
        config = replace(asked.config, study=replace(asked.config.study, **{"pruner": HALVING, **study}))
        search, notes = Search.open(config, asked.space, tmp_path / "studies.db"), Notes()

        def resolve(params: dict[str, object]) -> Resolved:
            return Resolved(spec=config.trial, yaml="trial: config\n")

        display = Display("pencil", config.study.num_trials, 80)
        return Supervisor(config, tmp_path / "pencil", search, notes, launcher, display, resolve), notes, search

    return build


def course(*scores: float) -> tuple[Evaluation, ...]:
    return tuple(evaluation(40 * count, score) for count, score in enumerate(scores, start=1))


SCRIPT = {0: course(50.0, 60.0), 1: course(30.0, 70.0), 2: course(10.0, 15.0), 3: course(20.0, 25.0)}


def test_the_best_that_paused_goes_on_once_more_have_come_as_far_and_others_end_at_last(
    make: Make, said: list[str]
) -> None:
    worker = LastingWorker(SCRIPT)
    supervisor, notes, search = make(worker, num_trials=4)
    supervisor.run()
    assert worker.admitted == [0, 1, 2, 3, 1]  # with four at the halving two may pass it
    reason = "hopeless: score {} is not among the best {} that came to step 40"
    pauses = said.index(f"trial 1 pauses: {reason.format(30, '1 of 2')}")
    assert pauses < next(
        place for place, line in enumerate(said) if line.startswith("trial 1 starts, goes on at step 40")
    )
    assert {number: status for number, (status, _) in notes.ended.items()} == {
        0: "finished",
        1: "finished",
        2: "pruned",
        3: "pruned",
    }
    assert notes.ended[3][1] == reason.format(20, "2 of 4")
    assert [past.value for past in search.ended_trials()] == [60.0, 70.0, 10.0, 20.0]


def test_without_thaw_a_hopeless_trial_ends_at_once(make: Make) -> None:
    worker = LastingWorker(SCRIPT)
    supervisor, notes, _ = make(worker, num_trials=4, pruner=replace(HALVING, thaw=False))
    supervisor.run()
    assert worker.admitted == [0, 1, 2, 3]
    assert [notes.ended[number][0] for number in range(4)] == ["finished", "pruned", "pruned", "pruned"]


def test_what_pauses_when_a_study_is_interrupted_pauses_when_it_goes_on(make: Make, said: list[str]) -> None:
    first = LastingWorker(SCRIPT, stops_at=(2, 1))
    supervisor, _, before = make(first, num_trials=4)
    with pytest.raises(KeyboardInterrupt):
        supervisor.run()
    assert [(left.number, bool(left.paused)) for left in before.running()] == [(1, True), (2, False)]
    second = LastingWorker(SCRIPT)
    second.folders, second.done = first.folders, first.done
    supervisor, notes, search = make(second, num_trials=4)
    supervisor.run()
    assert notes.reconciled == {1, 2}
    assert second.admitted == [2, 3, 1]
    assert notes.ended[1][0] == "finished"
    assert [past.status for past in search.ended_trials()] == ["finished", "finished", "pruned", "pruned"]


def test_time_that_is_over_lets_no_paused_trial_go_on(make: Make) -> None:
    worker = LastingWorker(SCRIPT)
    supervisor, notes, _ = make(worker, num_trials=4, gpu_hours=0.4 * 4.5 / 3600)  # four evaluations and a bit
    supervisor.run()
    assert worker.admitted == [0, 1, 2, 3]
    assert notes.ended[1] == ("pruned", "hopeless: score 30 is not among the best 1 of 2 that came to step 40")


@pytest.fixture
def waiting(asked: Plan) -> Callable[[PrunerSpec], PausedTrials]:
    def build(pruner: PrunerSpec) -> PausedTrials:
        return PausedTrials(replace(asked.config, study=replace(asked.config.study, pruner=pruner)))

    return build


def test_a_median_that_falls_lets_the_best_go_on_first(waiting: Callable[[PrunerSpec], PausedTrials]) -> None:
    paused = waiting(PrunerSpec(name="median", lookahead=0.0, margin=0.0, warmup_evaluations=0))
    good, low, lower = trial(0, *course(50.0)), trial(1, *course(20.0)), trial(2, *course(10.0))
    for each in (lower, low):
        paused.add(each, "hopeless")
    assert (low.status, low.reason) == ("paused", "hopeless")
    assert paused.thaw(2, [good, low, lower]) == []
    others = [good, *(trial(number, *course(5.0)) for number in (3, 4))]  # the median is 5 now
    assert paused.thaw(1, [*others, low, lower]) == [low]
    assert paused.thaw(2, [*others, low, lower]) == [lower]
    assert len(paused) == 0


def test_who_came_further_goes_on_before_who_stands_better(waiting: Callable[[PrunerSpec], PausedTrials]) -> None:
    paused = waiting(PrunerSpec(name="median", lookahead=0.0, margin=0.0, warmup_evaluations=0))
    near, far = trial(1, *course(90.0)), trial(2, *course(1.0, 20.0))
    for each in (near, far):
        paused.add(each, "hopeless")
    assert paused.thaw(2, [trial(0, *course(1.0, 2.0)), near, far]) == [far, near]
    assert paused.take_all() == []


def test_the_sampler_learns_from_a_paused_trial_as_from_one_that_was_pruned(asked: Plan, tmp_path: Path) -> None:
    config = replace(asked.config, study=replace(asked.config.study, startup_trials=1, sampler="tpe"))
    drawn = []
    for name, pauses in (("pruned", False), ("paused", True)):
        search = Search.open(config, asked.space, tmp_path / f"{name}.db")
        for score in (10.0, 60.0, 30.0):
            number, _ = search.ask()
            search.report(number, 40, score)
            if score == 30.0 and pauses:
                search.pause(number, "hopeless")
            elif score == 30.0:
                search.tell_pruned(number, "hopeless")
            else:
                search.tell_complete(number, score)
        drawn.append(search.ask())
    assert drawn[0] == drawn[1]
