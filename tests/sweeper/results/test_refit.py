"""The winner trained again on all pictures: when, with what, and when it is the one to hand over."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from eval.evaluation import Evaluation
from foundation.data.dataset import Dataset
from foundation.data.folder import Picture
from sweeper.records.config import Config
from sweeper.records.refits import wants_refit
from sweeper.records.trainings import Training
from sweeper.records.trials import Resolved
from sweeper.results.refit import is_as_good, judge_refit, train_refit
from sweeper.search.space import plan
from sweeper.search.study import Search
from sweeper.study.display import Display
from sweeper.study.reruns import as_rerun
from sweeper.study.study_file import to_yaml
from sweeper.study.supervisor import Supervisor
from sweeper.study.verdicts import verdict_on
from tests.sweeper.fake_worker import OVERRIDES, Notes, evaluation, trial
from tests.sweeper.results.test_strength import judged
from tests.sweeper.study.test_reruns import KeepingWorker

REFIT = Training(1, kind="refit").number


def dataset(train: int, held: int) -> Dataset:
    pictures = [Picture(Path(f"{n}.png"), "a cup", f"{n:064x}") for n in range(train + held)]
    return Dataset(tuple(pictures[:train]), tuple(pictures[train:]))


@pytest.fixture(scope="module")
def config() -> Config:
    return plan(OVERRIDES).config


@pytest.mark.parametrize(
    ("refit", "train", "held", "apart", "wanted"),
    [
        ("auto", 4, 1, None, True),
        ("auto", 10, 2, None, True),
        ("auto", 10, 3, None, False),  # thirteen
        ("auto", 4, 1, "mine", False),  # a person keeps them apart
        ("always", 20, 5, None, True),
        ("always", 4, 1, "mine", True),
        ("never", 4, 1, None, False),
        ("always", 4, 0, None, False),  # there is nothing more to learn from
    ],
)
def test_when_the_winner_is_refitted(
    config: Config, refit: str, train: int, held: int, apart: str | None, wanted: bool
) -> None:
    data = replace(config.data, path="x", drawn=None, validation_path=apart)
    asked = replace(config, data=data, study=replace(config.study, refit=refit))
    assert wants_refit(asked, dataset(train, held)) is wanted


def test_a_refit_has_the_winners_settings_and_as_many_epochs(config: Config, tmp_path: Path) -> None:
    space = plan(OVERRIDES).space
    asked = replace(
        config,
        study=replace(config.study, folder=str(tmp_path), num_trials=2, refit="always"),
        data=replace(config.data, path="x", drawn=None),
    )

    def resolve(params: dict[str, object]) -> Resolved:
        own = as_rerun(asked, params)  # type: ignore[arg-type]
        return Resolved(spec=own.trial, yaml=to_yaml(own))

    full = (evaluation(40, 50.0), evaluation(80, 40.0))
    worker = KeepingWorker({0: full, 1: full, REFIT: (evaluation(53, 10.0, 0.9, overfit=True),)})
    display, notes = Display("pencil", 2, 80), Notes()
    search = Search.open(asked, space, tmp_path / "studies.db")
    supervisor = Supervisor(asked, tmp_path / "pencil", search, notes, worker, display, resolve)
    supervisor.run()
    pictures, folder = dataset(6, 2), tmp_path / "pencil"
    others = train_refit(supervisor, supervisor.trials[1], pictures, folder, asked, display)
    assert others is not None
    (made,) = others.trials.values()
    assert made.folder == folder / "reruns/0001-refit"
    train = made.spec.train
    assert (train.num_steps, train.stop_after, train.last_step) == (107, 53, 53)  # 80 and 40 by 8/6
    assert replace(train, steps=80, stop_after=None) == supervisor.trials[1].spec.train
    assert notes.ended[REFIT] == ("finished", "all steps done")  # what it has learned from cannot end it
    admitted = list(worker.admitted)
    train_refit(supervisor, supervisor.trials[1], pictures, folder, asked, display)
    assert worker.admitted == admitted
    never = replace(asked, study=replace(asked.study, refit="never"))
    assert train_refit(supervisor, supervisor.trials[1], pictures, folder, never, display) is None


def test_no_verdict_ends_a_refit(config: Config) -> None:
    turned = evaluation(40, 10.0, 1.0, overfit=True)
    assert verdict_on(trial(1, turned), [], config) is not None
    assert verdict_on(trial(REFIT, turned), [], config) is None


def copying(rate: float, *scores: float, index: float = 0.0) -> Evaluation:
    return replace(judged(*scores, index=index), metrics={"copy_rate": rate})


@pytest.mark.parametrize(
    ("after", "before", "wins"),
    [
        (copying(0.0, 50, 60, 55), copying(0.0, 50, 60, 55), True),
        (copying(0.0, 49, 62, 53), copying(0.0, 50, 60, 55), True),  # worse, but by less than its error
        (copying(0.0, 40, 50, 45), copying(0.0, 50, 60, 55), False),
        (copying(0.1, 70, 80, 75), copying(0.0, 50, 60, 55), False),  # it copies
        (copying(0.0, 70, 80, 75, index=0.6), copying(0.0, 50, 60, 55), False),  # it is not clean
        (copying(0.0, 70, 80, 75, index=0.6), copying(0.0, 50, 60, 55, index=0.7), True),  # nor was the other
        (copying(0.0, 60), copying(0.0, 61), False),  # one prompt has no error
        (replace(copying(0.0, 60, 61), score=float("nan")), copying(0.0, 1, 2), False),
    ],
)
def test_a_refit_is_chosen_only_if_it_is_not_worse(after: Evaluation, before: Evaluation, wins: bool) -> None:
    assert is_as_good(after, before, clean=0.5) is wins


def test_a_refit_that_failed_is_said_and_not_chosen(config: Config) -> None:
    failed = trial(REFIT)
    failed.status, failed.reason = "failed", "loss is nan at step 3"
    refit = judge_refit(None, failed, trial(1, evaluation(40)), 40, 1.0, (0,), dataset(4, 1))  # type: ignore[arg-type]
    assert not refit.is_chosen
    assert refit.words == "It was trained again on all pictures, and left no LoRA: loss is nan at step 3."
