"""A study that goes on, after a stop or a crash, in the runs that it had."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from urllib.request import url2pathname

import pytest

from eval.evaluation import Validation
from foundation.adapters.files import WEIGHTS_FILE
from foundation.files.sums import write_sums
from sweeper.tracking import run
from sweeper.tracking.files import link
from sweeper.tracking.port import Tracker, TrialRecord
from tests.sweeper.fake_worker import COSTS
from tests.sweeper.tracking.read_back import (
    client_of,
    evaluation_at,
    experiment_of,
    history_of,
    paths_of,
    picture_at,
    record,
    runs_of,
    step_report,
    weights_in,
)


def test_a_resumed_study_goes_on_in_the_same_runs_and_shows_nothing_twice(
    open_one: Callable[[], Tracker], folder: Path
) -> None:
    first = open_one()
    first.start_study("pencil", "id of pencil", {"study.num_trials": 2}, "first")
    first.start_trial(0, {"adapter.rank": 4}, "")
    first.log_steps(0, [step_report(step) for step in range(1, 61)])
    first.log_evaluation(0, evaluation_at(40), [])
    first.end_study("interrupted", "Ctrl-C")
    first.close()
    before = runs_of(folder)
    assert {run.info.status for run in before.values()} == {"KILLED"}

    second = open_one()
    second.start_study("pencil", "id of pencil", {"study.num_trials": 4, "study.seed": 0}, "second")
    unseen = (step_report(step) for step in range(55, 64))  # on disk, but the last three were not shown
    second.start_trial(0, {"adapter.rank": 4}, "", unseen)
    second.log_steps(0, [step_report(step, loss=0.1) for step in range(41, 81)])  # from the state saved at step 40
    second.log_evaluation(0, evaluation_at(40), [])
    second.log_evaluation(0, evaluation_at(80), [])
    second.start_trial(1, {"adapter.rank": 8}, "")
    second.close()
    runs = runs_of(folder)
    assert all(runs[name].info.run_id == run.info.run_id for name, run in before.items())
    assert {run.info.status for run in runs.values()} == {"RUNNING"}
    losses = history_of(folder, runs["trial 0000"], "train/loss")
    assert losses == [*((step, 0.5) for step in range(1, 64)), *((step, 0.1) for step in range(64, 81))]
    assert [step for step, _ in history_of(folder, runs["trial 0000"], "eval/score")] == [40, 80]
    assert runs["trial 0000"].data.tags["attempt"] == "2"
    assert not {"ended", "reason"} & set(runs["trial 0000"].data.tags)
    assert runs["pencil"].data.params == {"study.num_trials": "2", "study.seed": "0"}
    assert runs["pencil"].data.tags["now/study.num_trials"] == "4"
    assert second.num_lost == 0


def test_after_a_crash_only_trials_that_go_on_stay_running_and_after_the_end_none(
    open_one: Callable[[], Tracker], folder: Path
) -> None:
    crashed = open_one()
    crashed.start_study("pencil", "id of pencil", {}, "")
    for number in range(3):
        crashed.start_trial(number, {}, "")
    crashed.close()

    tracker = open_one()
    tracker.start_study("pencil", "id of pencil", {}, "")
    tracker.end_trial(record(0, status="pruned", reason="hopeless"))  # never started by this process
    tracker.reconcile({1})
    tracker.close()
    runs = runs_of(folder)
    assert [runs[f"trial {number:04d}"].info.status for number in range(3)] == ["KILLED", "RUNNING", "KILLED"]
    assert runs["trial 0000"].data.tags["reason"] == "hopeless"
    assert "process ended" in runs["trial 0002"].data.tags["reason"]

    tracker = open_one()
    tracker.start_study("pencil", "id of pencil", {}, "")
    tracker.end_study("failed", "the disk is full")
    tracker.close()
    assert runs_of(folder)["pencil"].info.status == "FAILED"
    assert "RUNNING" not in {run.info.status for run in runs_of(folder).values()}
    assert tracker.num_lost == 0


def test_a_trial_that_ended_unseen_is_shown_whole_and_one_that_was_seen_stays_as_it_is(
    open_one: Callable[[], Tracker], folder: Path
) -> None:
    crashed = open_one()
    crashed.start_study("pencil", "id of pencil", {}, "")
    for number in (0, 1):
        crashed.start_trial(number, {}, "")
        crashed.log_steps(number, [step_report(step) for step in range(1, 34)])
        crashed.log_evaluation(number, evaluation_at(40), [])
    crashed.end_trial(record(0, status="pruned", reason="hopeless"))
    crashed.close()
    seen = runs_of(folder)["trial 0000"]

    def ended(number: int) -> TrialRecord:
        return record(
            number,
            params={"adapter.rank": 4},
            steps=[step_report(step) for step in range(1, 81)],
            evaluations=[(evaluation_at(40), [], COSTS), (evaluation_at(80), [], COSTS)],
            validations=[Validation(step=60, ratio=0.5, losses=(0.25,))],
            reason="all steps done",
            chosen={"score": 7.0},
        )

    tracker = open_one()
    tracker.start_study("pencil", "id of pencil", {}, "")
    for number in range(3):
        tracker.end_trial(record(0, status="pruned", reason="hopeless") if number == 0 else ended(number))
    tracker.reconcile(set())
    tracker.close()
    runs = runs_of(folder)
    assert runs["trial 0000"].info.end_time == seen.info.end_time
    assert runs["trial 0000"].data.to_dictionary() == seen.data.to_dictionary()
    for name in ("trial 0001", "trial 0002"):
        assert (runs[name].info.status, runs[name].data.tags["reason"]) == ("FINISHED", "all steps done")
        assert [step for step, _ in history_of(folder, runs[name], "eval/score")] == [40, 80]
        assert (60, 0.25) in history_of(folder, runs[name], "eval/val_loss")
        assert (80, COSTS.judging.seconds) in history_of(folder, runs[name], "usage/judging_seconds")
        assert [step for step, _ in history_of(folder, runs[name], "train/loss")] == list(range(1, 81))
        assert runs[name].data.metrics["chosen/score"] == 7.0
    assert tracker.num_lost == 0


def test_two_studies_in_one_experiment_do_not_touch_each_other(open_one: Callable[[], Tracker], folder: Path) -> None:
    one, other = open_one(), open_one()
    one.start_study("one", "id of one", {}, "")
    one.start_trial(0, {}, "")
    one.close()
    other.start_study("other", "id of other", {}, "")
    other.start_trial(0, {}, "")
    other.end_study("finished")
    other.close()
    client = client_of(folder)
    experiment = experiment_of(client)
    states = {run.info.status for run in client.search_runs([experiment], "tags.study = 'one'")}
    assert states == {"RUNNING"}
    assert len(client.search_runs([experiment])) == 4


def test_gaps_of_an_ended_trial_are_filled_and_nothing_that_is_there_is_shown_twice(
    open_one: Callable[[], Tracker], folder: Path, tmp_path: Path
) -> None:
    picture, kept = picture_at(tmp_path / "a.png"), {"best": weights_in(tmp_path / "step", b"weights")}
    images = [("samples/01 a cup", picture), ("samples/02 a star", picture)]

    def whole(digest: str) -> TrialRecord:
        evaluations = [(evaluation_at(step), images, COSTS) for step in (40, 80)]
        steps = [step_report(step) for step in range(1, 81)]
        values = {"score": 7.0, "style": 0.5}
        told = {"steps": steps, "evaluations": evaluations, "kept": kept, "chosen": values, "digest": digest}
        return record(0, config="x", params={"lr": 0.5}, **told)

    first = open_one()
    first.start_study("pencil", "id of pencil", {}, "")
    first.start_trial(0, {}, "x")
    first.log_steps(0, [step_report(step) for step in (*range(1, 30), *range(35, 81))])
    first.log_evaluation(0, evaluation_at(80), images[:1])
    first.end_trial(record(0, config="x"))  # as an earlier version, or one that was cut short, would have left it
    first.close()

    for digest in ("b", "b", "c"):  # missing things; whole and known so; known to be no more
        tracker = open_one()
        tracker.start_study("pencil", "id of pencil", {}, "")
        tracker.show_base(images)
        tracker.end_trial(whole(digest))
        tracker.reconcile(set())
        tracker.close()
        assert tracker.num_lost == 0
        trial = runs_of(folder)["trial 0000"]
        assert history_of(folder, trial, "train/loss") == [(step, 0.5) for step in range(1, 81)]
        assert [step for step, _ in history_of(folder, trial, "eval/score")] == [40, 80]
        assert history_of(folder, trial, "chosen/score") == [(0, 7.0)]
        assert trial.data.params == {"lr": "0.5"}
        files = [path for path in paths_of(folder, trial, "images") if path.endswith("webp")]
        shown = sorted(tuple(path.split("+")[:3]) for path in files)
        steps = (0, 40, 80)
        keys = ("images/samples~01 a cup", "images/samples~02 a star")
        assert shown == [(key, "step", str(step)) for key in keys for step in steps]
        assert paths_of(folder, trial, "checkpoints") == ["checkpoints/best/pytorch_lora_weights.safetensors"]

    artifacts = Path(url2pathname(trial.info.artifact_uri.removeprefix("file://")))
    shutil.rmtree(artifacts)  # lost since, though the run says that it was shown whole
    tracker = open_one()
    tracker.start_study("pencil", "id of pencil", {}, "")
    tracker.end_trial(whole("c"))
    tracker.close()
    assert len(list((artifacts / "images").glob("*.webp"))) == 4
    assert (artifacts / "checkpoints/best/pytorch_lora_weights.safetensors").is_file()
    assert (artifacts / "config.yaml").read_text() == "x"


def test_a_picture_that_a_crash_halved_is_there_whole_and_once(
    open_one: Callable[[], Tracker], folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    linked: list[str] = []
    monkeypatch.setattr(run, "link", lambda file, name: linked.append(file.suffix) or link(file, name))

    def show() -> None:
        tracker = open_one()
        tracker.start_study("pencil", "id of pencil", {}, "")
        tracker.show_base([("a cup", picture_at(tmp_path / "a.png"))])
        for number in (0, 1):
            tracker.start_trial(number, {}, "")
        tracker.log_evaluation(1, evaluation_at(40), [("a cup", picture_at(tmp_path / "a.png"))])
        tracker.close()

    show()
    for half in folder.rglob("*.webp"):  # comes last, so a crash leaves the other
        half.unlink()
    base, taken_from_there, drawn = [".png"], [".png", ".webp"], [".png"]  # the small ones of the others are made last
    assert linked == [*base, *taken_from_there, *drawn]
    show()
    halves = Counter(file.name.partition("+timestamp")[0] + file.suffix for file in folder.rglob("images/*"))
    assert halves == {"a cup+step+0.png": 2, "a cup+step+0.webp": 2, "a cup+step+40.png": 1, "a cup+step+40.webp": 1}


def test_a_config_that_is_another_of_the_same_length_is_shown(open_one: Callable[[], Tracker], folder: Path) -> None:
    for config in ("revision: 1", "revision: 2"):
        tracker = open_one()
        tracker.start_study("pencil", "id of pencil", {}, config)
        tracker.close()
    (shown,) = folder.rglob("config.yaml")
    assert shown.read_text() == "revision: 2"


def test_studies_of_one_name_on_one_server_stay_apart(open_one: Callable[[], Tracker], folder: Path) -> None:
    for identity in ("one", "other", "one"):
        tracker = open_one()
        tracker.start_study("pencil", identity, {}, "")
        tracker.start_trial(0, {}, "")
        tracker.log_steps(0, [step_report(1 if identity == "one" else 2)])
        if identity == "other":
            tracker.end_study("finished")
        tracker.close()
    client = client_of(folder)
    runs = client.search_runs([experiment_of(client)])
    assert len(runs) == 4
    for identity, status, step in (("one", "RUNNING", 1), ("other", "KILLED", 2)):
        (trial,) = (r for r in runs if r.data.tags["study_id"] == identity and r.data.tags["role"] == "trial")
        assert trial.info.status == status
        assert [step for step, _ in history_of(folder, trial, "train/loss")] == [step]


def test_a_damaged_best_is_not_shown_and_one_made_again_replaces_what_is_shown_file_by_file(
    open_one: Callable[[], Tracker], folder: Path, tmp_path: Path
) -> None:
    best = weights_in(tmp_path / "best", b"learned")
    file = best / WEIGHTS_FILE
    whole = file.read_bytes()
    (best / "card.md").write_text("card A")
    write_sums(best)

    def crowned() -> tuple[str | None, int]:
        tracker = open_one()
        tracker.start_study("pencil", "id of pencil", {}, "")
        version = tracker.register_champion(best, 0, {"score": 1.0}, {}, "rank 4")
        tracker.close()
        return version, tracker.num_lost

    assert crowned() == ("1", 0)
    file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert crowned() == (None, 1)
    file.write_bytes(whole)
    (best / "card.md").write_text("card B")  # as long as it was
    write_sums(best)
    assert crowned() == ("1", 0)
    (version,) = client_of(folder).search_model_versions("name = 'pencil'")
    shown = Path(url2pathname(version.source.removeprefix("file://")))
    assert {path.name: path.read_bytes() for path in shown.iterdir()} == {
        path.name: path.read_bytes() for path in best.iterdir()
    }
