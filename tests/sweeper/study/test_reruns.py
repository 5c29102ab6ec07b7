"""Finalists trained again with other seeds: each once, whatever an earlier run left, and Optuna hears nothing of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from sweeper.records.history import append_evaluation, read_config
from sweeper.records.paths import trainings_of, trial_of
from sweeper.records.trainings import Training
from sweeper.records.trials import Resolved
from sweeper.results.again import train_repeats
from sweeper.search.space import plan
from sweeper.search.study import Search
from sweeper.study.display import Display
from sweeper.study.reruns import SEED, Reruns, as_rerun
from sweeper.study.study_file import to_yaml
from sweeper.study.supervisor import Supervisor
from tests.sweeper.fake_worker import OVERRIDES, Notes, PlayedWorker, evaluation

FULL = (evaluation(40, 40.0), evaluation(80, 50.0))
FIRST, SECOND = Training(1, 1).number, Training(2, 1).number
Run = Callable[..., tuple[Supervisor, Notes, PlayedWorker, Search]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Trains three trials, then the repeats of the last two; again on the same folder."""
    asked = plan([*OVERRIDES, f"study.folder={tmp_path}", "study.repeats=2"])

    def resolve(params: dict[str, object]) -> Resolved:
        config = as_rerun(asked.config, params)  # type: ignore[arg-type]
        return Resolved(spec=config.trial, yaml=to_yaml(config))

    def train(script: dict[int, object] | None = None) -> tuple[Supervisor, Notes, PlayedWorker, Search]:
        worker = KeepingWorker(dict.fromkeys((0, 1, 2, FIRST, SECOND), FULL) | (script or {}))  # type: ignore[arg-type]
        search, notes = Search.open(asked.config, asked.space, tmp_path / "studies.db"), Notes()
        display, folder = Display("pencil", 3, 80), tmp_path / "pencil"
        supervisor = Supervisor(asked.config, folder, search, notes, worker, display, resolve)
        supervisor.run()
        finalists = [supervisor.trials[2], supervisor.trials[1]]
        others = train_repeats(supervisor, finalists, folder, asked.config, display)
        assert others is not None
        return others, notes, worker, search

    return train


class KeepingWorker(PlayedWorker):
    """Leaves evaluations in the trials' folders, as real ones do."""

    def _evaluate(self, trial: int) -> None:
        append_evaluation(self.folders[trial], self.left[trial][0])
        super()._evaluate(trial)


def test_each_finalist_is_trained_again_with_another_seed_and_optuna_hears_nothing(run: Run, tmp_path: Path) -> None:
    others, notes, worker, search = run()
    assert worker.admitted == [0, 1, 2, FIRST, SECOND]
    assert worker.most_at_once == 2  # they share passes
    assert {number: each.spec.train.seed for number, each in others.trials.items()} == {FIRST: 1, SECOND: 1}
    assert others.trials[FIRST].params[SEED] == 1
    assert len(search.ended_trials()) == 3
    assert notes.ended[FIRST] == ("finished", "all steps done")
    assert trial_of(tmp_path / "pencil", FIRST) == tmp_path / "pencil/reruns/0001.1"
    assert list(trainings_of(tmp_path / "pencil")) == [FIRST, SECOND, 0, 1, 2]
    assert "seed: 1" in read_config(trial_of(tmp_path / "pencil", FIRST))


def test_what_was_trained_is_not_trained_again(run: Run) -> None:
    run()
    others, notes, worker, _ = run()
    assert worker.admitted == []
    assert notes.ended.keys() == {0, 1, 2, FIRST, SECOND}  # what MLflow lacks of them is shown
    assert [each.best.score for each in others.trials.values() if each.best] == [50.0, 50.0]


def test_one_that_was_begun_goes_on_and_one_that_lost_what_it_was_judged_by_is_trained_again(
    run: Run, tmp_path: Path
) -> None:
    run()
    (trial_of(tmp_path / "pencil", FIRST) / "end.json").unlink()  # killed before its end was written
    (trial_of(tmp_path / "pencil", SECOND) / "evaluations.jsonl").unlink()
    others, _, worker, _ = run()
    assert sorted(worker.admitted) == [FIRST, SECOND]
    assert others.trained_again.keys() == {SECOND}


def test_a_damaged_end_counts_as_none(run: Run, tmp_path: Path) -> None:
    run()
    for words in ("", "[]", '{"status": "happy", "reason": "", "value": 1, "reported": {}}', '{"status": "finished"}'):
        (trial_of(tmp_path / "pencil", FIRST) / "end.json").write_text(words)
        reruns = Reruns(tmp_path / "pencil", {FIRST: {SEED: 1}, SECOND: {SEED: 1}}, "repeats")
        assert [each.number for each in reruns.running()] == [FIRST]
        assert [each.number for each in reruns.ended_trials()] == [SECOND]


def test_a_repeat_that_fails_has_ended(run: Run) -> None:
    others, *_ = run({FIRST: "loss is nan at step 3"})
    assert (others.trials[FIRST].status, others.trials[FIRST].best) == ("failed", None)
    others, _, worker, _ = run()
    assert worker.admitted == []
    assert others.trials[FIRST].reason == "loss is nan at step 3"


def test_one_repeat_is_not_ended_for_being_worse(run: Run) -> None:
    poor = (evaluation(40, 1.0), evaluation(80, 2.0))
    others, *_ = run({FIRST: poor})
    assert others.trials[FIRST].status == "finished"
    assert others.trials[FIRST].evaluations[-1].step == 80


def test_with_one_training_nothing_is_repeated(run: Run, tmp_path: Path) -> None:
    config = plan([*OVERRIDES, f"study.folder={tmp_path}"]).config
    assert config.study.repeats == 1
    supervisor, *_ = run()
    once = replace(config, study=replace(config.study, repeats=1))
    assert train_repeats(supervisor, list(supervisor.trials.values()), tmp_path, once, Display("pencil", 3, 80)) is None
