"""What is shown of a study and its trials, on real SQLite stores, read back by MLflow's client."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from eval.evaluation import Validation
from foundation.data.images import read_rgb
from sweeper.records.trainings import Training
from sweeper.tracking.port import Tracker
from sweeper.tracking.runs_of import experiment_of, last_steps, trial_runs
from tests.sweeper.tracking.read_back import (
    client_of,
    evaluation_at,
    history_of,
    local,
    paths_of,
    picture_at,
    record,
    runs_of,
    step_report,
    weights_in,
)


def test_a_trial_is_a_child_of_its_study_with_parameters_and_config(
    open_one: Callable[[], Tracker], folder: Path
) -> None:
    tracker = open_one()
    many = {f"group.field{number}": number for number in range(150)}
    tracker.start_study("pencil", "id of pencil", {**many, "eval.prompts": "a cup " * 2000}, "study: {name: pencil}\n")
    tracker.start_trial(
        7, {"adapter.rank": 8, "optimizer.lr@lion": 1e-4, "adapter.targets": None}, "adapter: {rank: 8}\n"
    )
    tracker.close()
    runs = runs_of(folder)
    assert tracker.num_lost == 0
    study, trial = runs["pencil"], runs["trial 0007"]
    assert len(study.data.params) == 151
    assert len(study.data.params["eval.prompts"]) == 6000
    assert trial.data.params == {"adapter.rank": "8", "optimizer.lr_lion": "0.0001", "adapter.targets": "None"}
    assert trial.data.tags["mlflow.parentRunId"] == study.info.run_id
    assert trial.data.tags["trial"] == "7"
    artifacts = local(trial.info.artifact_uri)
    assert (artifacts / "config.yaml").read_text() == "adapter: {rank: 8}\n"
    assert artifacts.is_relative_to(folder / "mlartifacts")
    assert {study.info.status, trial.info.status} == {"RUNNING"}


def test_steps_and_evaluations_are_metrics_and_images_by_step(
    open_one: Callable[[], Tracker], folder: Path, tmp_path: Path
) -> None:
    tracker = open_one()
    tracker.start_study("pencil", "id of pencil", {}, "")
    tracker.start_trial(0, {}, "")
    picture = picture_at(tmp_path / "a.png")
    names = ("a red cup, seed 0", "a red cup; seed 0", "ein gelber Stern – öl, seed 0", "../..")
    tracker.show_base([(name, picture) for name in names])
    tracker.log_steps(0, [step_report(1, loss=0.5), step_report(2, loss=math.nan)])
    tracker.log_steps(0, [step_report(3, loss=0.25)])
    tracker.log_validation(0, Validation(step=20, ratio=0.9, losses=(0.1, 0.2)))
    for step in (40, 80):
        tracker.log_evaluation(0, evaluation_at(step), [(name, picture) for name in names])
    tracker.close()
    trial = runs_of(folder)["trial 0000"]
    assert tracker.num_lost == 0
    assert history_of(folder, trial, "train/loss") == [(1, 0.5), (3, 0.25)]
    assert history_of(folder, trial, "train/lr") == [(1, 1e-3), (2, 1e-3), (3, 1e-3)]
    assert history_of(folder, trial, "train/grad_norm") == [(1, 2.0), (2, 2.0), (3, 2.0)]
    assert history_of(folder, trial, "eval/score") == [(40, 80.0), (80, 120.0)]
    assert history_of(folder, trial, "eval/val_ratio") == [(20, 0.9), (40, 0.75), (80, 0.75)]
    assert history_of(folder, trial, "eval/severity/diversity") == [(40, 0.2), (80, 0.2)]
    assert not {"eval/drift", "eval/val_rise", "eval/score_se"} & set(trial.data.metrics)
    assert trial.data.tags["verdict"] == "step 80: diversity 80 % of the base's"
    assert trial.data.tags["mlflow.loggedImages"] == "True"
    shown = sorted(tuple(path.split("+")[:3]) for path in paths_of(folder, trial, "images") if path.endswith(".png"))
    keys = ("a red cup- seed 0", "a red cup- seed 0 2", "ein gelber Stern - -l- seed 0", "image")
    assert shown == sorted((f"images/{key}", "step", str(step)) for key in keys for step in (0, 40, 80))


def test_the_bases_pictures_stand_at_step_0_of_every_trial_once(
    open_one: Callable[[], Tracker], folder: Path, tmp_path: Path
) -> None:
    images = [("a cup", picture_at(tmp_path / "a.png"))]
    first = open_one()
    first.start_study("pencil", "id of pencil", {}, "")
    for number in range(3):
        first.start_trial(number, {}, "")
    first.end_trial(record(0, status="finished", reason=""))
    first.show_base(images)
    first.close()
    second = open_one()
    second.start_study("pencil", "id of pencil", {}, "")
    second.show_base(images)
    second.start_trial(1, {}, "")
    second.start_trial(3, {}, "")
    second.close()
    runs = runs_of(folder)
    pictures = [paths_of(folder, runs[f"trial {number:04d}"], "images") for number in range(4)]
    assert [sum(path.endswith(".png") for path in paths) for paths in pictures] == [0, 1, 1, 1]
    assert all("+step+0+" in path for paths in pictures for path in paths)
    assert first.num_lost == second.num_lost == 0


@pytest.mark.parametrize("links", [True, False])
def test_a_picture_lies_on_the_disk_once_where_the_disk_allows_it(
    open_one: Callable[[], Tracker], folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    if not links:
        monkeypatch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(OSError("two disks")))
    picture = picture_at(tmp_path / "a.png")
    tracker = open_one()
    tracker.start_study("pencil", "id of pencil", {}, "")
    tracker.start_trial(0, {}, "")
    tracker.log_evaluation(0, evaluation_at(40), [("samples/a cup", picture)])
    tracker.close()
    trial = runs_of(folder)["trial 0000"]
    (large,) = local(trial.info.artifact_uri).glob("images/samples~a cup+step+40+timestamp+*.png")
    small = large.with_name(f"{large.stem}+compressed.webp")
    assert tracker.num_lost == 0
    assert large.samefile(picture) == links
    assert read_rgb(large).tobytes() == read_rgb(picture).tobytes()
    assert max(read_rgb(small).size) == 256
    assert sorted(large.parent.iterdir()) == sorted([large, small])  # nothing half made is left


def test_ends_differ_and_keep_checkpoints(open_one: Callable[[], Tracker], folder: Path, tmp_path: Path) -> None:
    tracker = open_one()
    tracker.start_study("pencil", "id of pencil", {}, "")
    best = weights_in(tmp_path / "best", b"weights")
    chosen = {"step": 80.0, "score": 71.5, "drift": math.nan}
    for number in range(4):
        tracker.start_trial(number, {}, "")
    tracker.end_trial(record(0, reason="all 200 steps done", kept={"best": best, "last": best}, chosen=chosen))
    tracker.end_trial(record(1, status="pruned", reason="hopeless: below the median"))
    tracker.end_trial(record(2, status="failed", reason="loss is nan at step 3"))
    gone = {"best": tmp_path / "gone"}
    tracker.end_trial(record(3, reason="overfit", kept=gone))  # the run ends anyway
    tracker.close()
    runs = runs_of(folder)
    trials = [runs[f"trial {number:04d}"] for number in range(4)]
    ends = [(run.info.status, run.data.tags["ended"], run.data.tags["reason"]) for run in trials]
    assert ends == [
        ("FINISHED", "finished", "all 200 steps done"),
        ("KILLED", "pruned", "hopeless: below the median"),
        ("FAILED", "failed", "loss is nan at step 3"),
        ("FINISHED", "finished", "overfit"),
    ]
    assert trials[0].data.metrics == {"chosen/step": 80.0, "chosen/score": 71.5}
    assert trials[1].data.metrics == {}
    assert tracker.num_lost == 1
    file = "pytorch_lora_weights.safetensors"
    kept = paths_of(folder, runs["trial 0000"], "checkpoints")
    assert kept == [f"checkpoints/best/{file}", f"checkpoints/last/{file}"]


def test_the_winner_is_registered_once_and_holds_the_alias(
    open_one: Callable[[], Tracker], folder: Path, tmp_path: Path
) -> None:
    tracker = open_one()
    tracker.start_study("pencil", "id of pencil", {}, "")
    tracker.start_trial(3, {}, "")
    best = weights_in(tmp_path / "best", b"three")
    fresh = {3: {"score": 60.0, "seed_sd": 2.5}, 9: {"score": 1.0}}
    assert tracker.register_champion(best, 3, {"score": 61.5, "kid": math.nan}, fresh, "Trial 3 of 4") == "1"
    (best / "pencil.safetensors").write_bytes(b"the same for another program")
    assert (
        tracker.register_champion(best, 3, {"score": 61.5}, {}, "Trial 3 of 12") == "1"
    )  # the study was run once more
    client = client_of(folder)
    champion = client.get_model_version_by_alias("pencil", "champion")
    assert (str(champion.version), champion.description, champion.tags["trial"]) == ("1", "Trial 3 of 12", "3")
    assert tracker.register_champion(weights_in(tmp_path / "best", b"five"), 5, {"score": 70.0}, {}, "Trial 5") == "2"
    unregistered = tracker.register_champion(
        weights_in(tmp_path / "best", b"six"), 6, {"score": 70.0}, {}, "6", register=False
    )
    assert unregistered is None
    tracker.close()
    assert str(client.get_model_version_by_alias("pencil", "champion").version) == "2"
    for version, content in (("1", b"three"), ("2", b"five")):
        source = local(client.get_model_version_download_uri("pencil", version))
        assert (Path(source) / "pytorch_lora_weights.safetensors").read_bytes() == content
    study = runs_of(folder)["pencil"]
    assert study.data.metrics == {"best/score": 70.0}
    assert runs_of(folder)["trial 0003"].data.tags["champion"] == "pencil version 1"
    shown = runs_of(folder)["trial 0003"].data.metrics
    assert (shown["fresh/score"], shown["fresh/seed_sd"]) == (60.0, 2.5)
    assert tracker.num_lost == 0


def test_a_repeat_is_a_child_apart_from_the_trials_and_found_again(
    open_one: Callable[[], Tracker], folder: Path
) -> None:
    again = Training(3, 1).number
    for _ in range(2):
        tracker = open_one()
        tracker.start_study("pencil", "id of pencil", {}, "")
        tracker.start_trial(again, {"train.seed": 1}, "")
        tracker.log_steps(again, [step_report(1), step_report(2)])
        tracker.end_study("finished")
        tracker.close()
    (run,) = [each for each in runs_of(folder).values() if each.data.tags["role"] == "rerun"]
    assert (run.data.tags["trial"], run.data.tags["attempt"]) == ("3.1", "2")
    assert run.info.run_name == "0003.1"
    assert trial_runs(folder, "pencil") == {again: run.info.run_id}
    assert last_steps(folder, "pencil") == {again: (2, step_report(2).loss)}
    assert experiment_of(folder, "pencil") == run.info.experiment_id
    assert (last_steps(folder, "other"), experiment_of(folder, "other")) == ({}, "")


def test_what_all_trials_show_and_what_a_trial_keeps_lies_on_the_disk_once(
    open_one: Callable[[], Tracker], folder: Path, tmp_path: Path
) -> None:
    tracker = open_one()
    tracker.start_study("pencil", "id of pencil", {}, "")
    tracker.show_base([("a cup", picture_at(tmp_path / "a.png"))])
    kept = weights_in(tmp_path / "checkpoint", b"weights")
    for number in (0, 1):
        tracker.start_trial(number, {}, "")
        tracker.end_trial(record(number, kept={"best": kept}))
    tracker.close()
    runs = runs_of(folder)
    first, second = (local(runs[f"trial {number:04d}"].info.artifact_uri) for number in (0, 1))
    assert tracker.num_lost == 0
    names = sorted(path.name for path in (first / "images").iterdir())
    assert len(names) == 2 and names == sorted(path.name for path in (second / "images").iterdir())
    assert all((first / "images" / name).samefile(second / "images" / name) for name in names)
    assert runs["trial 0001"].data.tags["mlflow.loggedImages"] == "True"  # else MLflow's page shows none
    for file in kept.iterdir():
        assert file.samefile(first / "checkpoints" / "best" / file.name)
    assert not [path for path in folder.rglob(".*") if path.name.endswith(".partial")]
