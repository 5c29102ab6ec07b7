"""Boards beside MLflow: what they hold, read back by their own readers; that nothing is shown twice, or lost."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from eval.evaluation import Validation
from foundation.errors import ConfigError
from sweeper.records.costs import Costs
from sweeper.tracking import TRACKERS, open_tracker
from sweeper.tracking.boards import BoardTracker
from sweeper.tracking.port import Tracker
from sweeper.tracking.spec import TrackingSpec
from sweeper.tracking.tensorboard import open_tensorboard
from sweeper.tracking.wandb import open_wandb
from tests.sweeper.tracking.read_back import evaluation_at, picture_at, record, step_report

SPEC = TrackingSpec(experiment="pencil", model="pencil")


@dataclass
class Notes:
    """A board that writes down what it is shown."""

    folder: Path
    points: list[tuple[str, int, str, float]] = field(default_factory=list)
    images: list[tuple[str, int, str]] = field(default_factory=list)
    values: dict[str, dict[str, float]] = field(default_factory=dict)
    ends: list[tuple[str, str]] = field(default_factory=list)

    def open_run(self, key: str, name: str, params: Mapping[str, object], config: str) -> NotedRun:
        return NotedRun(self, key)


@dataclass
class NotedRun:
    notes: Notes
    key: str

    def add_points(self, step: int, values: Mapping[str, float]) -> None:
        self.notes.points += [(self.key, step, name, value) for name, value in values.items()]

    def add_image(self, key: str, step: int, picture: Path) -> None:
        self.notes.images.append((self.key, step, key))

    def set_values(self, values: Mapping[str, float]) -> None:
        self.notes.values.setdefault(self.key, {}).update(values)

    def flush(self) -> None:
        pass

    def close(self, status: str, reason: str) -> None:
        self.notes.ends.append((self.key, status))


def show(tracker: Tracker, tmp_path: Path, *, to_end: bool = True) -> None:
    """A study of one trial: the base's picture, three steps, an evaluation, a validation, its end."""
    picture = [("samples/a red cup", picture_at(tmp_path / "cup.png"))]
    tracker.start_study("pencil", "identity", {"base": "pocket"}, "study: {name: pencil}")
    tracker.show_base(picture)
    tracker.start_trial(0, {"rank": 8, "lr": 1e-3}, "adapter: {rank: 8}")
    tracker.log_steps(0, [step_report(step) for step in (1, 2)])
    tracker.log_evaluation(0, evaluation_at(2), picture, chosen={"score": 3.0, "step": 2.0})
    tracker.log_validation(0, Validation(step=1, ratio=0.5, losses=(0.1, 0.3)))
    if to_end:
        tracker.end_trial(
            record(
                0, steps=[step_report(step) for step in (1, 2, 3)], evaluations=[(evaluation_at(2), picture, Costs())]
            )
        )
        tracker.log_study({"cost/hours": 0.5})
        tracker.end_study("finished")
    tracker.close()


def test_nothing_is_shown_twice_and_what_is_missing_is_shown_by_the_end(tmp_path: Path) -> None:
    notes = Notes(tmp_path)
    show(BoardTracker(lambda *_: notes), tmp_path, to_end=False)  # a crash: no end
    again = BoardTracker(lambda *_: notes)
    show(again, tmp_path)
    curves = {(key, step, name) for key, step, name, _ in notes.points}
    assert len(curves) == len(notes.points)
    assert {step for key, step, name in curves if name == "train/loss"} == {1, 2, 3}
    assert sorted(notes.images) == sorted(set(notes.images)) and {step for _, step, _ in notes.images} == {0, 2}
    assert notes.ends[-2:] == [("0", "finished"), ("study", "finished")]
    assert notes.values["study"] == {"cost/hours": 0.5}
    before = len(notes.points)
    show(BoardTracker(lambda *_: notes), tmp_path)  # the same study again: its trial was shown whole
    assert len(notes.points) == before


def test_tensorboard_holds_curves_pictures_and_hyperparameters(tmp_path: Path) -> None:
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    show(open_tensorboard(SPEC, tmp_path), tmp_path)
    events = reader.EventAccumulator(str(tmp_path / "tensorboard" / "pencil" / "0000"), {"images": 0, "scalars": 0})
    events.Reload()
    tags = events.Tags()
    assert [(each.step, each.value) for each in events.Scalars("train/loss")] == [
        (step, pytest.approx(step_report(step).loss)) for step in (1, 2, 3)
    ]
    assert [each.value for each in events.Scalars("eval/score")] == [pytest.approx(evaluation_at(2).score)]
    assert [each.value for each in events.Scalars("eval/val_loss")] == [pytest.approx(0.2)]
    (name,) = tags["images"]
    assert [each.step for each in events.Images(name)] == [0, 2]
    assert "_hparams_/session_start_info" in events.summary_metadata


def test_wandb_writes_offline_runs_without_asking_anybody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb")
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))  # nobody's key
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    show(open_wandb(SPEC, tmp_path), tmp_path)
    trial, study = sorted(wandb_runs(tmp_path / "wandb" / "pencil"), key=lambda run: run["id"])
    assert (trial["id"], study["id"]) == ("identity-0", "identity-study")
    assert trial["group"] == "pencil" and trial["project"] == "pencil" and trial["exit"] == 0
    losses = {row["training_step"]: row["train/loss"] for row in trial["history"] if "train/loss" in row}
    assert losses == {step: pytest.approx(step_report(step).loss) for step in (1, 2, 3)}
    assert any(row.get("eval/score") == pytest.approx(evaluation_at(2).score) for row in trial["history"])
    assert trial["summary"]["status"] == "finished"


def wandb_runs(folder: Path) -> list[dict[str, Any]]:
    """What offline runs hold, by W&B's own messages."""
    from wandb.proto.wandb_internal_pb2 import Record

    found = []
    for file in sorted(folder.rglob("*.wandb")):
        run: dict[str, Any] = {"history": [], "summary": {}}
        for data in logged(file.read_bytes()):
            each = Record()
            each.ParseFromString(data)
            if each.HasField("run"):
                run |= {"id": each.run.run_id, "group": each.run.run_group, "project": each.run.project}
            elif each.HasField("history"):
                items = each.history.item
                run["history"].append({(i.key or "/".join(i.nested_key)): json.loads(i.value_json) for i in items})
            elif each.HasField("summary"):
                items = each.summary.update
                run["summary"] |= {(i.key or "/".join(i.nested_key)): json.loads(i.value_json) for i in items}
            elif each.HasField("exit"):
                run["exit"] = each.exit.exit_code
        found.append(run)
    return found


def logged(data: bytes) -> Iterator[bytes]:
    """The records of a file in the format of LevelDB's log, behind W&B's header of seven bytes.

    Blocks of 32 KiB hold pieces: checksum (4), length (2), kind (1: whole, 2: first, 3: middle, 4: last), content.
    """
    at, record = 7, b""
    while at + 7 <= len(data):
        if 32768 - at % 32768 < 7:  # a block's end, filled up
            at += 32768 - at % 32768
            continue
        length, kind = struct.unpack_from("<HB", data, at + 4)
        record += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):
            yield record
            record = b""


def test_one_that_fails_is_a_line_and_the_truth_is_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first = Notes(tmp_path)

    def refuse(*_: object) -> Any:
        raise OSError("no such service")

    opened = {
        "mlflow": lambda *_: BoardTracker(lambda *_: first),
        "tensorboard": lambda *_: BoardTracker(refuse),
        "wandb": refuse,
    }
    monkeypatch.setattr("sweeper.tracking.TRACKERS", opened)
    spec = TrackingSpec(experiment="pencil", model="pencil", also=("tensorboard", "wandb"))
    tracker = open_tracker(spec, tmp_path)
    show(tracker, tmp_path)
    assert tracker.num_lost == 0 and first.points
    assert (
        "Weights & Biases cannot be opened (no such service); the study goes on without it" in capsys.readouterr().out
    )


@pytest.mark.parametrize("name", ["tensorboard", "wandb"])
def test_one_that_is_not_installed_is_a_line_before_anything_starts(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("torch.utils.tensorboard", "wandb"):
        monkeypatch.setitem(__import__("sys").modules, module, None)
    with pytest.raises(ConfigError, match=rf"pip install 'sweeper\[{name}\]'"):
        TRACKERS[name](SPEC, tmp_path)


def test_the_first_is_not_named_again() -> None:
    with pytest.raises(ValueError, match="tracking.also must name others"):
        TrackingSpec(experiment="a", model="a", also=("mlflow",))
