"""The store: opened quietly, refused in one line, and its errors end no study."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from foundation.errors import StudyError
from sweeper.search.space import plan
from sweeper.tracking.mlflow import open_mlflow
from sweeper.tracking.port import Tracker
from sweeper.tracking.spec import TrackingSpec
from tests.sweeper.fake_worker import OVERRIDES
from tests.sweeper.tracking.read_back import SPEC, evaluation_at, history_of, runs_of, step_report


def test_opening_a_new_store_says_nothing_and_sends_nothing(created: tuple[Path, str]) -> None:
    folder, said = created
    assert said == ""
    assert (folder / "mlflow.db").is_file()
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"


def test_errors_of_mlflow_are_said_once_counted_and_end_nothing(
    open_one: Callable[[], Tracker], folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tracker = open_one()
    tracker.start_study("pencil", "id of pencil", {}, "")
    tracker.start_trial(0, {}, "")
    with caplog.at_level(logging.WARNING, "sweeper.tracking"):
        tracker.log_evaluation(0, evaluation_at(40), [("a cup", tmp_path / "missing.png")])
        tracker.log_steps(9, [step_report(1), step_report(2)])  # a trial whose start never came
        tracker.log_evaluation(0, evaluation_at(80), [])
        tracker.close()
    assert tracker.num_lost == 3
    said = [record.message for record in caplog.records]
    assert len(said) == 1
    assert "trial 0's evaluation at step 40 could not be shown in MLflow" in said[0]
    assert "missing.png" in said[0]
    assert [step for step, _ in history_of(folder, runs_of(folder)["trial 0000"], "eval/score")] == [40, 80]


def test_a_store_that_cannot_be_opened_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_text("no database at all, but long enough to be read as the head of one" * 9)
    with pytest.raises(StudyError, match=r"tracking\.uri sqlite.*cannot be opened: file is not a database") as refused:
        open_mlflow(SPEC, tmp_path)
    assert "\n" not in str(refused.value)
    with pytest.raises(StudyError, match=r"tracking\.uri foo://bar cannot be opened"):
        open_mlflow(TrackingSpec(experiment="e", model="m", uri="foo://bar"), tmp_path)
    with pytest.raises(ValueError, match=r"tracking\.model must not hold"):
        replace(plan(OVERRIDES).config, tracking=TrackingSpec(experiment="e", model="a/b"))
