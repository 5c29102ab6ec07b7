"""What old studies hold is shown, and what nobody needs of it is freed; nothing else, and nothing unasked."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest

from foundation.errors import ConfigError, StudyError
from foundation.files.cache_use import mark_used, noting_uses, uses_of
from foundation.files.durable import write_json, write_text
from sweeper.clean import clean, clear_after_kills, main
from sweeper.holdings import size_of
from sweeper.records.history import append_evaluation
from sweeper.records.lease import supervising
from sweeper.records.paths import checkpoint_of, pictures_of, trial_of
from tests.hostile_path import HOSTILE
from tests.sweeper.fake_worker import evaluation

LONG_AGO = 1_000_000_000


def aged(path: Path) -> Path:
    os.utime(path, (LONG_AGO, LONG_AGO))
    return path


def weights(folder: Path, size: int = 1_000_000) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pytorch_lora_weights.safetensors").write_bytes(os.urandom(size))
    return folder


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A finished one: trial 0 is best at step 16 and went on to 24; a leftover of a kill; its notes of the cache."""
    folder = tmp_path / HOSTILE / "pencil"
    write_text(folder / "study.yaml", "config: {eval: {thresholds: {clean: 0.5}}}\n")
    write_json(folder / "finished.json", {"trials": {}})
    weights(folder / "best")
    trial = trial_of(folder, 0)
    write_text(trial / "config.yaml", "a: 1\n")
    for step, score in ((8, 10.0), (16, 50.0), (24, 20.0)):
        append_evaluation(trial, evaluation(step, score))
        weights(checkpoint_of(trial, step))
        write_text(pictures_of(trial, step) / "prompt00.png", "what was drawn")
    weights(trial / "state")
    aged(weights(trial / ".checkpoints.x.partial"))
    with noting_uses(folder):
        mark_used(folder.parent / "cache" / "latents-a.safetensors")
    for name in ("latents-a.safetensors", "latents-b.safetensors"):
        write_text(folder.parent / "cache" / name, "x" * 500_000)
        aged(folder.parent / "cache" / name)
    return folder


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_nothing_is_deleted_unasked_and_all_is_counted(study: Path) -> None:
    before = files(study.parent)
    lines = clean([f"folder={study.parent}"])
    assert files(study.parent) == before
    row = next(line for line in lines if line.startswith("pencil"))
    assert row.split()[1:8] == ["finished", "6.0", "MB", "3.0", "MB", "0.0", "MB"]
    assert "of which no study uses 0.5 MB" in lines[-2]
    assert (
        lines[-1] == "4.5 MB can be freed; nothing was deleted: delete=true does it"
    )  # 2 checkpoints, state, leftover


def test_what_killed_writers_left_is_cleared_at_the_next_start(study: Path) -> None:
    shared = study.parent / "cache"
    for name in (".latents.x.partial", ".hub.x/a"):
        write_text(shared / name, "")
    aged(shared / ".latents.x.partial")
    write_text(study.parent / "mlartifacts" / "run" / "artifacts" / ".artifact.uploading.a" / "b", "")
    aged(study.parent / "mlartifacts" / "run" / "artifacts" / ".artifact.uploading.a")
    kept = {
        name
        for name in files(study.parent)
        if not {".partial", ".artifact.uploading."}
        & {each for each in (".partial", ".artifact.uploading.") if each in name}
    }
    clear_after_kills(study)
    assert files(study.parent) == kept  # what is young in the shared cache may be in the making


def test_what_a_killed_upload_left_in_a_studys_own_run_goes_though_it_is_young(study: Path) -> None:
    with sqlite3.connect(study.parent / "mlflow.db") as connection:
        connection.execute("CREATE TABLE tags (key, value, run_uuid)")
        for run, role, name in (
            ("own", "study", "pencil"),
            ("trial", "trial", "pencil"),
            ("other", "study", "another"),
        ):
            rows = [("role", role, run), ("study", name, run)]
            connection.executemany(
                "INSERT INTO tags VALUES (?, ?, ?)", [*rows, *[("trial", "0", run)][role == "study" :]]
            )
    for run in ("own", "trial", "other"):
        write_text(study.parent / "mlartifacts" / run / "artifacts" / "best" / ".artifact.uploading.a", "")
    clear_after_kills(study)
    assert files(study.parent / "mlartifacts") == {"other/artifacts/best/.artifact.uploading.a"}


def test_each_trials_best_its_records_and_the_winner_stay(study: Path) -> None:
    before = files(study)
    assert clean([f"folder={study.parent}", "delete=true"])[-1] == "4.5 MB freed"
    gone = {name for name in before if name not in files(study)}
    assert {name.split("/")[-2] for name in gone} == {"step-000008", "step-000024", "state", ".checkpoints.x.partial"}
    assert checkpoint_of(trial_of(study, 0), 16).is_dir()
    assert {path.name for path in (study.parent / "cache").iterdir()} == {"latents-a.safetensors"}
    assert clean([f"folder={study.parent}"])[-1].startswith("0.0 MB can be freed")


def test_with_the_winner_alone_kept_records_stay(study: Path) -> None:
    clean([f"folder={study.parent}", "study=pencil", "keep=winner", "delete=true"])
    assert {"best", "trials", "study.yaml", "finished.json"} <= {path.name for path in study.iterdir()}
    left = {name.split("/", 2)[2] for name in files(study) if name.startswith("trials/")}
    assert left == {"config.yaml", "evaluations.jsonl"}
    assert (study.parent / "cache" / "latents-b.safetensors").is_file()  # one study was named, and this is shared


def test_what_mlflow_shows_of_a_checkpoint_goes_with_it(study: Path) -> None:
    with sqlite3.connect(study.parent / "mlflow.db") as connection:
        connection.execute("CREATE TABLE tags (key, value, run_uuid)")
        for run, name in (("mine", "pencil"), ("other", "another")):
            rows = [("role", "trial", run), ("study", name, run), ("trial", "0", run)]
            connection.executemany("INSERT INTO tags VALUES (?, ?, ?)", rows)
    for run in ("mine", "other"):
        for place in ("checkpoints/best", "checkpoints/last", "images"):
            weights(study.parent / "mlartifacts" / run / "artifacts" / place, 10)
    clean([f"folder={study.parent}", "delete=true"])
    left = {name.rpartition("/")[0] for name in files(study.parent / "mlartifacts")}
    own = {f"mine/artifacts/{place}" for place in ("checkpoints/best", "images")}
    assert left == own | {f"other/artifacts/{place}" for place in ("checkpoints/best", "checkpoints/last", "images")}


@pytest.mark.parametrize("keep", ["best", "winner"])
def test_what_a_dry_run_tells_is_what_the_disk_gains(study: Path, keep: str) -> None:
    trial = trial_of(study, 0)
    shown = study.parent / "mlartifacts" / "mine" / "artifacts"
    weights(pictures_of(trial, 24))
    shown.mkdir(parents=True)
    for name in ("images", "checkpoints"):
        (shown / name).mkdir()
    os.link(pictures_of(trial, 24) / "pytorch_lora_weights.safetensors", shown / "images" / "a.png")  # it stays there
    (shown / "checkpoints" / "last").mkdir()
    last = "pytorch_lora_weights.safetensors"
    os.link(checkpoint_of(trial, 24) / last, shown / "checkpoints" / "last" / last)  # it goes in both places
    with sqlite3.connect(study.parent / "mlflow.db") as connection:
        connection.execute("CREATE TABLE tags (key, value, run_uuid)")
        rows = [("role", "trial", "mine"), ("study", "pencil", "mine"), ("trial", "0", "mine")]
        connection.executemany("INSERT INTO tags VALUES (?, ?, ?)", rows)
    asked = [f"folder={study.parent}", f"keep={keep}"]
    told = clean(asked)[-1].partition(" can")[0]
    before = size_of([study.parent])
    assert clean([*asked, "delete=true"])[-1] == f"{told} freed"
    assert f"{(before - size_of([study.parent])) / 1e6:.1f} MB" == told


def test_a_study_that_runs_or_is_not_finished_keeps_all_it_needs(study: Path) -> None:
    before = files(study)
    with supervising(study, lambda line: None):
        lines = clean([f"folder={study.parent}", "keep=winner", "delete=true"])
        assert "running" in next(line for line in lines if line.startswith("pencil"))
    assert before <= files(study)
    (study / "finished.json").unlink()
    clean([f"folder={study.parent}", "keep=winner", "delete=true"])
    assert {name for name in before - files(study) if ".partial" not in name} == {"finished.json"}


def test_links_are_neither_followed_nor_deleted(study: Path, tmp_path: Path) -> None:
    outside = weights(tmp_path / "outside")
    checkpoint_of(trial_of(study, 0), 32).symlink_to(outside)
    (study / "trials" / "0001").symlink_to(outside.parent / "outside")
    clean([f"folder={study.parent}", "keep=winner", "delete=true"])
    assert files(outside) == {"pytorch_lora_weights.safetensors"}


def test_of_a_study_without_notes_the_whole_cache_stays(study: Path) -> None:
    (study / "cache_used.txt").unlink()
    lines = clean([f"folder={study.parent}", "delete=true"])
    assert "pencil noted none of what they use, so all of the cache stays" in "".join(lines)
    assert len(list((study.parent / "cache").iterdir())) == 2


def test_uses_are_noted_once_also_those_from_before_the_study_was_known(tmp_path: Path) -> None:
    mark_used(tmp_path / "cache" / "drawn")
    with noting_uses(tmp_path / "pencil", and_before=True):
        for name in ("a", "b", "a"):
            mark_used(tmp_path / "cache" / name)
    mark_used(tmp_path / "cache" / "later")
    assert (tmp_path / "pencil" / "cache_used.txt").read_text().split()[-3:] == ["drawn", "a", "b"]
    assert uses_of(tmp_path) is None


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["keep=all"], "keep must be one of best, winner, got all"),
        (["delete=yes"], "delete must be true or false, got yes"),
        (["del=true"], "did you mean delete=?"),
        (["study=crayon"], "there is no study crayon in "),
        (["folder=/nowhere"], "there is no study in /nowhere"),
    ],
)
def test_mistakes_are_said_in_a_line(
    arguments: list[str], said: str, study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises((ConfigError, StudyError)):
        clean([*([] if "folder=" in arguments[0] else [f"folder={study.parent}"]), *arguments])
    assert main([*([] if "folder=" in arguments[0] else [f"folder={study.parent}"]), *arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
