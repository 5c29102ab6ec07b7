"""A trial that still rises at its end goes on where its curve lets it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from sweeper.records.config import Config
from sweeper.records.trials import Resolved, Trial
from sweeper.search.space import plan
from sweeper.search.study import Search
from sweeper.study.display import Display
from sweeper.study.extending import as_long_as, steps_beyond
from sweeper.study.supervisor import Supervisor
from sweeper.study.verdicts import verdict_on
from tests.sweeper.fake_worker import OVERRIDES, LastingWorker, Notes, evaluation, trial
from train.spec import LrSchedulerSpec


@pytest.fixture(scope="module")
def config() -> Config:
    return plan([*OVERRIDES, "study.extend=2"]).config


@pytest.fixture
def rising() -> Callable[..., Trial]:
    def build(*scores: float, curve: str = "constant", index: float = 0.0) -> Trial:
        made = trial(1, *(evaluation(40 * count, score, index) for count, score in enumerate(scores, start=1)))
        made.spec = replace(made.spec, lr_scheduler=LrSchedulerSpec(name=curve))
        made.status = "running"
        return made

    return build


def finished(score: float) -> Trial:
    return trial(0, evaluation(40, 1.0), evaluation(80, score))


def test_what_rises_and_may_be_the_best_goes_on_to_the_next_evaluation(
    config: Config, rising: Callable[..., Trial]
) -> None:
    assert steps_beyond(rising(20.0, 30.0), [finished(39.0)], config) == 120
    assert steps_beyond(rising(20.0, 30.0), [], config) == 120
    assert steps_beyond(rising(30.0), [], replace(config, train=replace(config.train, steps=40))) == 80
    assert steps_beyond(rising(20.0, 30.0), [finished(42.0)], config) is None  # 40, and half an error more, at its pace
    assert steps_beyond(rising(20.0, 20.5), [finished(1.0)], config) is None  # a gain of less than a point
    assert steps_beyond(rising(30.0, 20.0), [finished(1.0)], config) is None
    assert steps_beyond(rising(20.0, 30.0, index=0.9), [finished(1.0)], config) is None


def test_a_curve_that_falls_and_a_study_that_grants_no_more_end_it(
    config: Config, rising: Callable[..., Trial]
) -> None:
    assert steps_beyond(rising(20.0, 30.0, curve="cosine"), [], config) is None
    assert steps_beyond(rising(20.0, 30.0, 40.0, 50.0), [], config) is None  # of 80 steps 160 are all
    assert steps_beyond(rising(20.0, 30.0), [], replace(config, study=config.study.for_reruns(1))) is None
    assert verdict_on(rising(20.0, 30.0), [], config) == ("waiting", "still rises, and goes on to step 120")
    assert verdict_on(rising(20.0, 30.0), [], config, "study.hours=2 have passed") is None


def test_a_spec_is_as_long_as_its_trial_came(config: Config) -> None:
    spec = config.trial
    assert as_long_as(spec, 80) is spec
    assert as_long_as(spec, 120).train.last_step == 120


def test_it_leaves_its_slot_and_comes_back_with_more_steps_also_after_a_crash(config: Config, tmp_path: Path) -> None:
    study = replace(config.study, num_trials=2)
    scores = {0: (20.0, 30.0, 40.0, 39.0), 1: (10.0, 11.0)}
    script = {n: tuple(evaluation(40 * i, s) for i, s in enumerate(own, start=1)) for n, own in scores.items()}
    config = replace(config, study=study)
    flat = replace(config.trial, lr_scheduler=LrSchedulerSpec(name="constant"))

    def supervisor(worker: LastingWorker) -> tuple[Supervisor, Search]:
        asked = plan(OVERRIDES)
        search = Search.open(config, asked.space, tmp_path / "studies.db")
        resolve = lambda params: Resolved(spec=flat, yaml="trial: config")  # noqa: E731
        return Supervisor(config, tmp_path / "p", search, Notes(), worker, Display("p", 2, 80), resolve), search

    first = LastingWorker(script, stops_at=(0, 3))
    with pytest.raises(KeyboardInterrupt):
        supervisor(first)[0].run()
    assert first.admitted == [0, 0]
    second = LastingWorker(script)
    second.folders, second.done = first.folders, first.done
    again, search = supervisor(second)
    again.run()
    assert [each.step for each in again.trials[0].evaluations] == [40, 80, 120, 160]
    assert [(past.status, past.value) for past in search.ended_trials()] == [("finished", 40.0), ("finished", 11.0)]
