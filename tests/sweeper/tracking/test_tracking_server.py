"""An MLflow server: what is shown there, what is caught up after it was away, and servers that are refused."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from foundation.adapters.files import WEIGHTS_FILE
from foundation.errors import StudyError
from foundation.files.sums import write_sums
from foundation.secrets import hide
from sweeper.tracking import background, open_tracker
from sweeper.tracking.port import Tracker
from sweeper.tracking.server import check_artifacts
from sweeper.tracking.spec import TrackingSpec
from tests.sweeper.fake_worker import COSTS
from tests.sweeper.mlflow_server import PASSWORD, Door
from tests.sweeper.tracking.read_back import evaluation_at, picture_at, record, step_report, weights_in

NUM_TRIALS = 3
VALUES = ("chosen/", "best/", "fresh/")
"""Beginnings of metrics that are one value each: those of which an end has made others need not have been shown."""


def spec_of(door: Door, name: str) -> TrackingSpec:
    return TrackingSpec(uri=door.address, experiment=name, model=name)


def show(tracker: Tracker, folder: Path, *, before: Callable[[int], object] = lambda number: None) -> None:
    """A study with a winner; `before` is called before each trial."""
    folder.mkdir(exist_ok=True)
    picture = picture_at(folder / "picture.png")
    best = weights_in(folder / "best", b"weights")
    write_sums(best)
    tracker.start_study("pencil", f"id of {folder.name}", {"study.num_trials": NUM_TRIALS}, "space: {}")
    tracker.show_base([("training/a cup", picture)])
    for number in range(NUM_TRIALS):
        before(number)
        tracker.start_trial(number, {"adapter.rank": 4 + number}, "rank: 4")
        tracker.log_steps(number, [step_report(step) for step in range(1, 81)])
        shown = (evaluation_at(40), [("training/a cup", picture)], COSTS)
        tracker.log_evaluation(number, *shown, {"score": 80.0})
        steps = [step_report(step) for step in range(1, 81)]
        params = {"adapter.rank": 4 + number}
        kept = {"best": best}
        tracker.end_trial(record(number, params=params, config="rank: 4", steps=steps, evaluations=[shown], kept=kept))
    tracker.register_champion(best, 1, {"score": 80.0, "step": 40.0}, {1: {"score": 79.0}}, "rank 5")
    tracker.end_study("finished")
    tracker.close()


def found(address: str, name: str) -> dict[str, Any]:
    """All that a server shows of a study: run by name to end, curves, tags and files."""
    client = MlflowClient(address, address)
    experiment = client.get_experiment_by_name(name)
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    (version,) = client.search_model_versions(f"name = '{name}'")
    champion = client.get_model_version_by_alias(name, "champion").version == version.version
    return {"champion": champion, **{run.info.run_name: _contents(client, run) for run in runs}}


def _contents(client: MlflowClient, run: Run) -> dict[str, Any]:
    curves = {
        key: Counter(
            (point.step, 0.0 if key.startswith("cost/") else point.value)  # which hangs on the clock
            for point in client.get_metric_history(run.info.run_id, key)
        )
        for key in run.data.metrics
        if not key.startswith((*VALUES, "usage/"))  # what it took hangs on when it was interrupted
    }
    files = Counter(name.rpartition("+timestamp")[0] or name for name in _files(client, run.info.run_id))
    return {
        "status": run.info.status,
        "params": dict(run.data.params),
        "curves": curves,
        "values": {key: value for key, value in run.data.metrics.items() if key.startswith(VALUES)},
        "files": files,
        "ended": run.data.tags["ended"],
    }


def _files(client: MlflowClient, run_id: str, place: str | None = None) -> list[str]:
    names = []
    for entry in client.list_artifacts(run_id, place):
        names += _files(client, run_id, entry.path) if entry.is_dir else [entry.path]
    return names


def leave_half_a_picture(door: Door, name: str, trial: str) -> None:
    """Do as if a process had been killed between the two files of a trial's picture."""
    client = MlflowClient(door.address, door.address)
    experiment = client.get_experiment_by_name(name)
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id], f"tags.trial = '{trial}'")
    (small,) = [file for file in _files(client, run.info.run_id) if "+step+40" in file and file.endswith(".webp")]
    get_artifact_repository(run.info.artifact_uri, door.address).delete_artifacts(small)
    client.delete_tag(run.info.run_id, "shown")  # which comes after all pictures


def test_a_server_shows_all_of_a_study_once_and_says_nothing_itself(
    door: Door, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    spec = spec_of(door, "whole")
    show(open_tracker(spec, tmp_path), tmp_path / "whole")
    leave_half_a_picture(door, "whole", trial="1")
    show(open_tracker(spec, tmp_path), tmp_path / "whole")  # the rest is there
    shown = found(door.address, "whole")
    assert len(shown) == 2 + NUM_TRIALS
    assert shown["champion"]
    trial = next(each for name, each in shown.items() if name.startswith("0001"))
    assert (trial["status"], trial["ended"]) == ("FINISHED", "finished")
    assert trial["curves"]["train/loss"] == Counter({(step, 0.5): 1 for step in range(1, 81)})
    assert trial["files"][f"checkpoints/best/{WEIGHTS_FILE}"] == 1
    assert trial["files"]["images/training~a cup+step+40"] == 2  # the picture, and a small one
    assert f"best/trial-0001/{WEIGHTS_FILE}" in shown["pencil"]["files"]
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("from_trial", [0, 2])
def test_what_a_server_missed_is_caught_up_at_the_next_start(
    from_trial: int, door: Door, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    name = f"missed from {from_trial}"
    tracker = open_tracker(spec_of(door, name), tmp_path)

    def shut(number: int) -> None:
        door.is_open = door.is_open and number != from_trial

    with caplog.at_level(logging.WARNING):
        show(tracker, tmp_path / name, before=shut)
    assert tracker.num_lost > 0
    (line,) = caplog.messages
    assert "could not be shown in MLflow (" in line and line.endswith("; the study goes on, and shows it later")
    door.is_open = True
    again = open_tracker(spec_of(door, name), tmp_path)
    show(again, tmp_path / name)
    assert again.num_lost == 0
    show(open_tracker(spec_of(door, f"{name}, calm"), tmp_path), tmp_path / f"{name}, calm")
    assert found(door.address, name) == found(door.address, f"{name}, calm")


def test_an_outage_takes_no_more_memory_the_longer_it_is(
    door: Door, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(background, "MAX_OWED", 5)
    tracker = open_tracker(spec_of(door, "long"), tmp_path)
    door.is_open = False
    tracker.start_study("long", "id of long", {}, "")
    for number in range(50):
        tracker.end_trial(record(number))
    tracker.end_study("finished")
    tracker.close()
    assert isinstance(tracker, background.BackgroundTracker)
    assert tracker.num_lost == 52  # the start, the trials, the study's end
    assert len(tracker._owed) == 6  # the start, four trials, the end


def refuse(door: Door, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    match case:
        case "a wrong password":
            monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "open barley")
        case "no password":
            monkeypatch.delenv("MLFLOW_TRACKING_PASSWORD")
        case "another server":
            door.answers["/version"] = (200, b"<html>It works!</html>")
        case "an old server":
            door.answers["/version"] = (200, b"2.22.4")
        case _:
            door.close()


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("a wrong password", r"does not let this user in \(HTTP 401\); set MLFLOW_TRACKING_USERNAME and"),
        ("no password", r"does not let this user in \(HTTP 401\); set MLFLOW_TRACKING_USERNAME and"),
        ("another server", r"is no MLflow server: http://127.*/version answers with HTTP 200 and no version"),
        ("an old server", r"is MLflow 2\.22\.4; 3\.0 or newer is needed"),
        ("no server", r"cannot be opened: Connection refused$"),
    ],
)
def test_what_is_wrong_with_a_server_is_one_line_and_nothing_is_begun(
    case: str, words: str, door: Door, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse(door, monkeypatch, case)
    with pytest.raises(StudyError, match=words) as refused:
        open_tracker(spec_of(door, "refused"), tmp_path)
    assert str(refused.value).startswith(f"tracking.uri {door.address} ")
    assert len(str(refused.value).splitlines()) == 1
    assert [each for each in door.requests if not each.endswith("/version")] == []
    assert not list(tmp_path.iterdir())


def test_a_password_in_the_address_opens_it_and_is_not_said(
    door: Door, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_USERNAME")
    monkeypatch.delenv("MLFLOW_TRACKING_PASSWORD")
    door.password = "barley"
    shown = hide(door.address.replace("//", "//ann:barley@"))
    open_tracker(TrackingSpec(uri=shown, experiment="with", model="with"), tmp_path).close()
    door.password = PASSWORD
    with pytest.raises(StudyError) as refused:
        open_tracker(TrackingSpec(uri=shown, experiment="with", model="with"), tmp_path)
    assert "ann:***@" in str(refused.value) and "barley" not in str(refused.value)


def test_files_in_a_folder_of_another_machine_are_refused(tmp_path: Path) -> None:
    check_artifacts(tmp_path.as_uri(), "http://mlflow.example", "http://mlflow.example", "pencil")
    check_artifacts("mlflow-artifacts:/1", "http://mlflow.example", "http://mlflow.example", "pencil")
    check_artifacts("/none/1", "http://127.0.0.1:5000", "http://127.0.0.1:5000", "pencil")
    for location in ("/none/1", "file:///none/1"):
        with pytest.raises(StudyError, match=r"in /none/1, a folder that is not on this machine; start the server"):
            check_artifacts(location, "http://mlflow.example", "http://mlflow.example", "pencil")
