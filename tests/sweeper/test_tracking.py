"""The tracker on real SQLite stores, read back by MLflow's client; and its queue, around trackers that misbehave."""

from __future__ import annotations

import contextlib
import io
import logging
import math
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from PIL import Image

from eval.evaluation import Evaluation
from foundation.errors import ConfigError, StudyError
from sweeper.config import TrackingSpec
from sweeper.tracking import background, open_tracker
from sweeper.tracking.background import BackgroundTracker
from sweeper.tracking.mlflow import open_mlflow
from sweeper.tracking.port import Tracker
from train.reports import StepReport

SPEC = TrackingSpec(experiment="pencil", model="pencil")


@pytest.fixture(scope="session")
def created(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A folder with a new store, and what was printed while it was made. Its some fifty migrations take seconds."""
    folder = tmp_path_factory.mktemp("store")
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
        open_tracker(SPEC, folder).close()
    return folder, said.getvalue()


@pytest.fixture
def folder(created: tuple[Path, str], tmp_path: Path) -> Path:
    """A folder of studies with an empty database, but no experiment that points elsewhere."""
    shutil.copyfile(created[0] / "mlflow.db", tmp_path / "mlflow.db")
    client = _client(tmp_path)
    client.rename_experiment(_experiment(client), "the template's")
    return tmp_path


@pytest.fixture
def open_one(folder: Path) -> Iterator[Callable[[], Tracker]]:
    """Opens trackers on the folder, one after the other, as runs of the command would."""
    opened: list[Tracker] = []

    def open_next() -> Tracker:
        opened.append(open_tracker(SPEC, folder))
        return opened[-1]

    yield open_next
    for tracker in opened:
        tracker.close()


def _client(folder: Path) -> MlflowClient:
    return MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")


def _runs(folder: Path) -> dict[str, Run]:
    client = _client(folder)
    return {str(run.info.run_name): run for run in client.search_runs([_experiment(client)])}


def _experiment(client: MlflowClient) -> str:
    found = client.get_experiment_by_name("pencil")
    assert found is not None
    return str(found.experiment_id)


def _report(step: int, loss: float = 0.5) -> StepReport:
    return StepReport(slot=0, step=step, loss=loss, lr=1e-3, grad_norm=2.0)


def _evaluation(step: int, **changes: Any) -> Evaluation:
    values: dict[str, Any] = {
        "step": step,
        "score": 40.0 + step,
        "score_se": math.nan,
        "overfit_index": 0.25,
        "overfit": False,
        "words": "diversity 80 % of the base's",
        "severities": {"copy": 0.0, "diversity": 0.2},
        "metrics": {"val_ratio": 0.75, "drift": math.nan, "val_rise": math.inf},
        "validation_losses": (0.1, 0.2),
    }
    return Evaluation(**(values | changes))


def _history(folder: Path, run: Run, key: str) -> list[tuple[int, float]]:
    points = _client(folder).get_metric_history(run.info.run_id, key)
    return sorted((point.step, point.value) for point in points)


def _paths(folder: Path, run: Run, path: str | None = None) -> list[str]:
    found = []
    for entry in _client(folder).list_artifacts(run.info.run_id, path):
        found += _paths(folder, run, entry.path) if entry.is_dir else [entry.path]
    return found


def _picture(path: Path) -> Path:
    Image.new("RGB", (64, 64), "red").save(path)
    return path


def _weights(folder: Path, content: bytes) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "pytorch_lora_weights.safetensors").write_bytes(content)
    return folder


def test_opening_a_new_store_says_nothing_and_sends_nothing(created: tuple[Path, str]) -> None:
    folder, said = created
    assert said == ""
    assert (folder / "mlflow.db").is_file()
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"


def test_a_trial_is_a_child_of_its_study_with_parameters_and_config(
    open_one: Callable[[], Tracker], folder: Path
) -> None:
    tracker = open_one()
    many = {f"group.field{number}": number for number in range(150)}
    tracker.start_study("pencil", {**many, "eval.prompts": "a cup " * 2000}, "study: {name: pencil}\n")
    tracker.start_trial(
        7, {"adapter.rank": 8, "optimizer.lr@lion": 1e-4, "adapter.targets": None}, "adapter: {rank: 8}\n"
    )
    tracker.close()
    runs = _runs(folder)
    assert tracker.lost == 0
    study, trial = runs["pencil"], runs["trial 0007"]
    assert len(study.data.params) == 151
    assert len(study.data.params["eval.prompts"]) == 6000
    assert trial.data.params == {"adapter.rank": "8", "optimizer.lr_lion": "0.0001", "adapter.targets": "None"}
    assert trial.data.tags["mlflow.parentRunId"] == study.info.run_id
    assert trial.data.tags["trial"] == "7"
    artifacts = Path(trial.info.artifact_uri.removeprefix("file://"))
    assert (artifacts / "config.yaml").read_text() == "adapter: {rank: 8}\n"
    assert artifacts.is_relative_to(folder / "mlartifacts")
    assert {study.info.status, trial.info.status} == {"RUNNING"}


def test_steps_and_evaluations_are_metrics_and_images_by_step(
    open_one: Callable[[], Tracker], folder: Path, tmp_path: Path
) -> None:
    tracker = open_one()
    tracker.start_study("pencil", {}, "")
    tracker.start_trial(0, {}, "")
    picture = _picture(tmp_path / "a.png")
    names = ("a red cup, seed 0", "a red cup; seed 0", "ein gelber Stern – öl, seed 0", "../..")
    tracker.show_base([(name, picture) for name in names])
    tracker.log_steps(0, [_report(1, loss=0.5), _report(2, loss=math.nan)])
    tracker.log_steps(0, [_report(3, loss=0.25)])
    for step in (40, 80):
        tracker.log_evaluation(0, _evaluation(step), [(name, picture) for name in names])
    tracker.close()
    trial = _runs(folder)["trial 0000"]
    assert tracker.lost == 0
    assert _history(folder, trial, "train/loss") == [(1, 0.5), (3, 0.25)]
    assert _history(folder, trial, "train/lr") == [(1, 1e-3), (2, 1e-3), (3, 1e-3)]
    assert _history(folder, trial, "train/grad_norm") == [(1, 2.0), (2, 2.0), (3, 2.0)]
    assert _history(folder, trial, "eval/score") == [(40, 80.0), (80, 120.0)]
    assert _history(folder, trial, "eval/val_ratio") == [(40, 0.75), (80, 0.75)]
    assert _history(folder, trial, "eval/severity/diversity") == [(40, 0.2), (80, 0.2)]
    assert not {"eval/drift", "eval/val_rise", "eval/score_se"} & set(trial.data.metrics)
    assert trial.data.tags["verdict"] == "step 80: diversity 80 % of the base's"
    assert trial.data.tags["mlflow.loggedImages"] == "True"
    shown = sorted(tuple(path.split("+")[:3]) for path in _paths(folder, trial, "images") if path.endswith(".png"))
    keys = ("a red cup- seed 0", "a red cup- seed 0 2", "ein gelber Stern - -l- seed 0", "image")
    assert shown == sorted((f"images/samples~{key}", "step", str(step)) for key in keys for step in (0, 40, 80))


def test_the_bases_pictures_stand_at_step_0_of_every_trial_once(
    open_one: Callable[[], Tracker], folder: Path, tmp_path: Path
) -> None:
    images = [("a cup", _picture(tmp_path / "a.png"))]
    first = open_one()
    first.start_study("pencil", {}, "")
    for number in range(3):
        first.start_trial(number, {}, "")
    first.end_trial(0, "finished", "", {})
    first.show_base(images)
    first.close()
    second = open_one()
    second.start_study("pencil", {}, "")
    second.show_base(images)
    second.start_trial(1, {}, "")
    second.start_trial(3, {}, "")
    second.close()
    runs = _runs(folder)
    pictures = [_paths(folder, runs[f"trial {number:04d}"], "images") for number in range(4)]
    assert [sum(path.endswith(".png") for path in paths) for paths in pictures] == [0, 1, 1, 1]
    assert all("+step+0+" in path for paths in pictures for path in paths)
    assert first.lost == second.lost == 0


def test_ends_differ_and_keep_checkpoints(open_one: Callable[[], Tracker], folder: Path, tmp_path: Path) -> None:
    tracker = open_one()
    tracker.start_study("pencil", {}, "")
    best = _weights(tmp_path / "best", b"weights")
    for number in range(4):
        tracker.start_trial(number, {}, "")
    tracker.end_trial(0, "finished", "all 200 steps done", {"best": best, "last": best})
    tracker.end_trial(1, "pruned", "hopeless: below the median", {})
    tracker.end_trial(2, "failed", "loss is nan at step 3", {})
    tracker.end_trial(3, "finished", "overfit", {"best": tmp_path / "gone"})  # its folder is gone: the run ends anyway
    tracker.close()
    runs = _runs(folder)
    trials = [runs[f"trial {number:04d}"] for number in range(4)]
    ends = [(run.info.status, run.data.tags["ended"], run.data.tags["reason"]) for run in trials]
    assert ends == [
        ("FINISHED", "finished", "all 200 steps done"),
        ("KILLED", "pruned", "hopeless: below the median"),
        ("FAILED", "failed", "loss is nan at step 3"),
        ("FINISHED", "finished", "overfit"),
    ]
    assert tracker.lost == 1
    file = "pytorch_lora_weights.safetensors"
    kept = _paths(folder, runs["trial 0000"], "checkpoints")
    assert kept == [f"checkpoints/best/{file}", f"checkpoints/last/{file}"]


def test_a_resumed_study_goes_on_in_the_same_runs_and_shows_nothing_twice(
    open_one: Callable[[], Tracker], folder: Path
) -> None:
    first = open_one()
    first.start_study("pencil", {"study.num_trials": 2}, "first")
    first.start_trial(0, {"adapter.rank": 4}, "")
    first.log_steps(0, [_report(step) for step in range(1, 61)])
    first.log_evaluation(0, _evaluation(40), [])
    first.end_study("interrupted", "Ctrl-C")
    first.close()
    before = _runs(folder)
    assert {run.info.status for run in before.values()} == {"KILLED"}

    second = open_one()
    second.start_study("pencil", {"study.num_trials": 4, "study.seed": 0}, "second")
    second.start_trial(0, {"adapter.rank": 4}, "")
    second.log_steps(0, [_report(step, loss=0.1) for step in range(41, 81)])  # from the state saved at step 40
    second.log_evaluation(0, _evaluation(40), [])
    second.log_evaluation(0, _evaluation(80), [])
    second.start_trial(1, {"adapter.rank": 8}, "")
    second.close()
    runs = _runs(folder)
    assert all(runs[name].info.run_id == run.info.run_id for name, run in before.items())
    assert {run.info.status for run in runs.values()} == {"RUNNING"}
    losses = _history(folder, runs["trial 0000"], "train/loss")
    assert losses == [*((step, 0.5) for step in range(1, 61)), *((step, 0.1) for step in range(61, 81))]
    assert [step for step, _ in _history(folder, runs["trial 0000"], "eval/score")] == [40, 80]
    assert runs["trial 0000"].data.tags["attempt"] == "2"
    assert not {"ended", "reason"} & set(runs["trial 0000"].data.tags)
    assert runs["pencil"].data.params == {"study.num_trials": "2", "study.seed": "0"}
    assert runs["pencil"].data.tags["now/study.num_trials"] == "4"
    assert second.lost == 0


def test_after_a_crash_only_trials_that_go_on_stay_running_and_after_the_end_none(
    open_one: Callable[[], Tracker], folder: Path
) -> None:
    crashed = open_one()
    crashed.start_study("pencil", {}, "")
    for number in range(3):
        crashed.start_trial(number, {}, "")
    crashed.close()

    tracker = open_one()
    tracker.start_study("pencil", {}, "")
    tracker.end_trial(0, "pruned", "hopeless", {})  # never started by this process
    tracker.reconcile({1})
    tracker.close()
    runs = _runs(folder)
    assert [runs[f"trial {number:04d}"].info.status for number in range(3)] == ["KILLED", "RUNNING", "KILLED"]
    assert runs["trial 0000"].data.tags["reason"] == "hopeless"
    assert "process ended" in runs["trial 0002"].data.tags["reason"]

    tracker = open_one()
    tracker.start_study("pencil", {}, "")
    tracker.end_study("failed", "the disk is full")
    tracker.close()
    assert _runs(folder)["pencil"].info.status == "FAILED"
    assert "RUNNING" not in {run.info.status for run in _runs(folder).values()}
    assert tracker.lost == 0


def test_two_studies_in_one_experiment_do_not_touch_each_other(open_one: Callable[[], Tracker], folder: Path) -> None:
    one, other = open_one(), open_one()
    one.start_study("one", {}, "")
    one.start_trial(0, {}, "")
    one.close()
    other.start_study("other", {}, "")
    other.start_trial(0, {}, "")
    other.end_study("finished")
    other.close()
    client = _client(folder)
    experiment = _experiment(client)
    states = {run.info.status for run in client.search_runs([experiment], "tags.study = 'one'")}
    assert states == {"RUNNING"}
    assert len(client.search_runs([experiment])) == 4


def test_the_winner_is_registered_once_and_holds_the_alias(
    open_one: Callable[[], Tracker], folder: Path, tmp_path: Path
) -> None:
    tracker = open_one()
    tracker.start_study("pencil", {}, "")
    tracker.start_trial(3, {}, "")
    best = _weights(tmp_path / "best", b"three")
    assert tracker.crown(best, 3, {"score": 61.5, "kid": math.nan}, "Trial 3 of 4") == "1"
    assert tracker.crown(best, 3, {"score": 61.5}, "Trial 3 of 12") == "1"  # the study was run once more
    client = _client(folder)
    champion = client.get_model_version_by_alias("pencil", "champion")
    assert (str(champion.version), champion.description, champion.tags["trial"]) == ("1", "Trial 3 of 12", "3")
    assert tracker.crown(_weights(tmp_path / "best", b"five"), 5, {"score": 70.0}, "Trial 5") == "2"
    tracker.close()
    assert str(client.get_model_version_by_alias("pencil", "champion").version) == "2"
    for version, content in (("1", b"three"), ("2", b"five")):
        source = client.get_model_version_download_uri("pencil", version).removeprefix("file://")
        assert (Path(source) / "pytorch_lora_weights.safetensors").read_bytes() == content
    study = _runs(folder)["pencil"]
    assert study.data.metrics == {"best/score": 70.0}
    assert _runs(folder)["trial 0003"].data.tags["champion"] == "pencil version 1"
    assert tracker.lost == 0


def test_calls_from_many_threads_all_arrive(open_one: Callable[[], Tracker], folder: Path) -> None:
    tracker = open_one()
    tracker.start_study("pencil", {}, "")
    for number in range(4):
        tracker.start_trial(number, {}, "")

    def train(number: int) -> None:
        for step in range(1, 51):
            tracker.log_steps(number, [_report(step)])

    threads = [threading.Thread(target=train, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    tracker.close()
    runs = _runs(folder)
    for number in range(4):
        assert len(_history(folder, runs[f"trial {number:04d}"], "train/loss")) == 50


def test_errors_of_mlflow_are_said_once_counted_and_end_nothing(
    open_one: Callable[[], Tracker], folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tracker = open_one()
    tracker.start_study("pencil", {}, "")
    tracker.start_trial(0, {}, "")
    with caplog.at_level(logging.WARNING, "sweeper.tracking"):
        tracker.log_evaluation(0, _evaluation(40), [("a cup", tmp_path / "missing.png")])
        tracker.log_steps(9, [_report(1), _report(2)])  # a trial whose start never came
        tracker.log_evaluation(0, _evaluation(80), [])
        tracker.close()
    assert tracker.lost == 3
    said = [record.message for record in caplog.records]
    assert len(said) == 2  # the first loss, and the count at the end
    assert "trial 0's evaluation at step 40 could not be shown in MLflow" in said[0]
    assert "missing.png" in said[0]
    assert said[1].startswith("3 records")
    assert [step for step, _ in _history(folder, _runs(folder)["trial 0000"], "eval/score")] == [40, 80]


def test_a_store_that_cannot_be_opened_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_text("no database at all, but long enough to be read as the head of one" * 9)
    with pytest.raises(StudyError, match=r"tracking\.uri sqlite.*cannot be opened: file is not a database") as refused:
        open_mlflow(SPEC, tmp_path)
    assert "\n" not in str(refused.value)
    with pytest.raises(StudyError, match=r"tracking\.uri foo://bar cannot be opened"):
        open_mlflow(TrackingSpec(experiment="e", model="m", uri="foo://bar"), tmp_path)
    with pytest.raises(ConfigError, match=r"tracking\.model must not hold"):
        open_mlflow(TrackingSpec(experiment="e", model="a/b"), tmp_path)


class _Recorder:
    """A tracker that notes its calls, and waits or raises when told to."""

    lost = 0

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.may_go = threading.Event()
        self.may_go.set()

    def __getattr__(self, name: str) -> Callable[..., None]:
        def call(*arguments: object) -> None:
            assert self.may_go.wait(timeout=30)
            self.calls.append((name, *arguments))
            if name == "start_trial":
                raise RuntimeError("no room\nand a second line")

        return call


def test_steps_are_joined_and_order_is_kept() -> None:
    inner = _Recorder()
    inner.may_go.clear()
    tracker = BackgroundTracker(inner)
    tracker.start_study("s", {}, "")
    for step in range(1, 101):
        for number in (0, 1):
            tracker.log_steps(number, [_report(step)])
    tracker.end_trial(0, "finished", "", {})
    inner.may_go.set()
    tracker.close()
    names = [call[0] for call in inner.calls]
    assert names == ["start_study", "log_steps", "log_steps", "end_trial", "close"]
    assert [report.step for report in inner.calls[1][2]] == list(range(1, 101))


def test_held_steps_are_shown_soon_without_another_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "BATCH_SECONDS", 0.01)
    shown = threading.Event()

    class Inner(_Recorder):
        def log_steps(self, number: int, reports: object) -> None:
            shown.set()

    tracker = BackgroundTracker(Inner())
    tracker.log_steps(0, [_report(1)])
    assert shown.wait(timeout=30)
    tracker.close()


def test_a_slow_store_costs_no_memory_and_no_time_at_the_end(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(background, "MAX_WAITING", 10)
    inner = _Recorder()
    inner.may_go.clear()
    tracker = BackgroundTracker(inner)
    tracker.start_study("s", {}, "")
    for step in range(1, 31):
        tracker.log_evaluation(0, _evaluation(step), [])
    tracker.end_trial(0, "finished", "", {})  # never dropped
    dropped = tracker.lost
    assert dropped in (20, 21)  # whether or not the thread has taken its first call
    with caplog.at_level(logging.WARNING, "sweeper.tracking"):
        tracker.close(timeout_s=0.05)
    assert tracker.lost == 32  # every call that was made: the first is stuck, and all others behind it
    assert "records of this study are not in MLflow" in caplog.text
    inner.may_go.set()


def test_an_error_of_any_kind_stays_in_the_thread_and_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    inner = _Recorder()
    tracker = BackgroundTracker(inner)
    with caplog.at_level(logging.WARNING, "sweeper.tracking"):
        tracker.start_trial(0, {}, "")
        assert tracker.crown(Path(), 0, {}, "") is None
        tracker.close()
        tracker.end_study("finished")
    assert tracker.lost == 2
    assert "trial 0's start could not be shown in MLflow (no room); the study goes on" in caplog.text
    assert [call[0] for call in inner.calls] == ["start_trial", "crown", "close"]
