"""The real command, as a person runs it: a small study to its end, a stop by Ctrl-C and what comes after, a failure."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import quote, quote_plus

import numpy as np
import optuna
import pytest
import torch
import yaml
from diffusers import StableDiffusionPipeline
from mlflow import MlflowClient

from eval.metrics.registry import measured_of
from sweeper.records.history import StepFile
from sweeper.records.paths import trial_of
from sweeper.records.urls import sqlite_url
from sweeper.results.winner import measures
from tests.hostile_path import HOSTILE, quoted

ROOT = Path(__file__).parents[2]
SMALL = [
    "+experiment=pencil",
    "data.num_train=6",
    "data.num_validation=3",
    "train.batch_size=1",
    "eval.prompts=['a red cup on grass, {trigger}','a blue star at night, {trigger}','a green box on sand, {trigger}']",
    "eval.unrelated_prompts=['a red ball on grass, in photo style','a purple box at night, in photo style']",
    "eval.seeds=[0]",
    "eval.sample_steps=2",
    "eval.timestep_bins=2",
    "eval.noises_per_bin=1",
    "eval.validate_every=1",
    "study.slots=2",
    "study.finalists=2",
    "study.strengths=[0.6]",
    "tracking.register=always",  # so few steps teach nothing for sure
]
SECRET = "hunter2/ö pass"
SECRET_FORMS = [
    form.encode() for form in (SECRET, quote(SECRET), quote(SECRET, safe=""), quote_plus(SECRET), "hunter2")
]
FINISHED = ["study.name=small", "train.steps=4", "eval.every=2", "tracking.uri=${oc.env:TRACKER}"]


def command(folder: Path, *overrides: str) -> list[str]:
    return [sys.executable, "-m", "sweeper", *SMALL, f"study.folder={quoted(folder)}", *overrides]


def start(folder: Path, *overrides: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
    return subprocess.Popen(
        command(folder, *overrides),
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        preexec_fn=hear_ctrl_c,
    )


def hear_ctrl_c() -> None:
    """A shell without a terminal starts its background jobs deaf to Ctrl-C, and so would all that they start be."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def run(folder: Path, *overrides: str) -> tuple[int, str]:
    process = start(folder, *overrides)
    try:
        output, _ = process.communicate(timeout=600)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    return process.returncode, output


def optuna_study(folder: Path, name: str) -> optuna.Study:
    return optuna.load_study(study_name=name, storage=sqlite_url(folder / "studies.db"))


def mlflow_runs(folder: Path, name: str) -> tuple[MlflowClient, dict[str, list]]:
    client = MlflowClient(sqlite_url(folder / "mlflow.db"))
    experiment = client.get_experiment_by_name(name)
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    children = [each for each in runs if "mlflow.parentRunId" in each.data.tags]
    return client, {"parents": [each for each in runs if each not in children], "children": children}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A study of four trials that ran to its end, and what it said."""
    folder = tmp_path_factory.mktemp("multirun") / HOSTILE
    os.environ["TRACKER"] = f"{sqlite_url(folder / 'mlflow.db')}?password={quote(SECRET)}"
    process = start(folder, *FINISHED, "study.num_trials=4")
    assert process.stdout is not None
    lines, commands = [], set()
    for line in process.stdout:
        lines.append(line)
        commands |= {file.read_bytes() for file in Path("/proc").glob("[0-9]*/cmdline") if file.exists()}
    output = "".join(lines)
    assert process.wait(timeout=600) == 0, output
    assert not any(form in command for command in commands for form in SECRET_FORMS)
    return folder, output


def test_no_byte_of_a_password_is_written_or_said(finished: tuple[Path, str]) -> None:
    folder, output = finished
    assert "password=***" in (folder / "small" / "study.yaml").read_text()
    assert "password=***" in (folder / "small" / "best" / "config.yaml").read_text()
    files = [file for file in folder.parent.rglob("*") if file.is_file()]
    assert len(files) > 100
    assert [file for file in files if any(form in file.read_bytes() for form in SECRET_FORMS)] == []
    assert not any(form in output.encode() for form in SECRET_FORMS)


def test_small_study_ends_well_and_says_what_won_and_where(finished: tuple[Path, str]) -> None:
    folder, output = finished
    assert "best: trial" in output
    assert re.search(
        r"training took \d+ s and at most \d+\.\d GB, judging \d+ s and at most", output.replace("\n", " ")
    )
    assert "trying trial" in output and "at strengths 0.6" in output
    assert f"it is in {folder / 'small' / 'best'}" in output.replace("\n", "")
    assert "Traceback" not in output
    assert not list(folder.glob("small/trials/*/state"))


def test_optuna_holds_every_trial_with_its_end(finished: tuple[Path, str]) -> None:
    folder, _ = finished
    trials = optuna_study(folder, "small").trials
    assert len(trials) == 4
    assert {trial.state.name for trial in trials} <= {"COMPLETE", "PRUNED"}
    assert all(trial.user_attrs["reason"] for trial in trials)
    lines = (folder / "small/trials/0000/evaluations.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == list(trials[0].intermediate_values)
    between = [json.loads(line) for line in (folder / "small/trials/0000/validations.jsonl").read_text().splitlines()]
    assert [each["step"] for each in between] == [step - 1 for step in trials[0].intermediate_values]
    assert set(measured_of("style")) <= set(json.loads(lines[0])["metrics"])  # what may be an objective is measured


def test_the_winners_row_in_mlflow_has_the_cards_figures(finished: tuple[Path, str]) -> None:
    folder, _ = finished
    card = (folder / "small/best/card.md").read_text()
    _, runs = mlflow_runs(folder, "small")
    winner = next(
        run for run in runs["children"] if run.data.tags["trial"] == runs["parents"][0].data.tags["best_trial"]
    )
    rows = [[cell.strip(" *") for cell in line.strip("|").split("|")] for line in card.splitlines() if line[:1] == "|"]
    measured = {row[0]: row for row in rows if row[0] in measures()}
    assert {"score", "style", "prompt_match", "val_ratio", "overfit_index"} <= set(measured)
    for name, (_, fresh, in_trial, *_) in measured.items():
        for group, shown in (("best", fresh.partition(" ")[0]), ("chosen", in_trial)):
            if shown != "–":
                assert float(shown) == pytest.approx(winner.data.metrics[f"{group}/{name}"], rel=6e-3, abs=1e-9)
        if fresh != "–":
            assert runs["parents"][0].data.metrics[f"best/{name}"] == winner.data.metrics[f"best/{name}"]
    (row,) = (row for row in rows if row[0] == winner.data.tags["trial"] and len(row) > 5)
    score, step, with_fresh_seeds = row[-6:-3]  # then what it took, and how it ended
    assert float(score) == pytest.approx(winner.data.metrics["chosen/score"], rel=6e-3)
    assert float(step) == winner.data.metrics["chosen/step"]
    assert float(with_fresh_seeds) == pytest.approx(winner.data.metrics["fresh/score"], rel=6e-3)
    assert runs["parents"][0].data.tags["mlflow.note.content"].startswith(card.partition("\n")[0])


def test_mlflow_holds_a_parent_a_child_per_trial_metrics_images_and_the_champion(finished: tuple[Path, str]) -> None:
    folder, _ = finished
    client, runs = mlflow_runs(folder, "small")
    assert len(runs["parents"]) == 1
    assert len(runs["children"]) == 4
    assert "RUNNING" not in {each.info.status for each in [*runs["parents"], *runs["children"]]}
    child = runs["children"][0].info.run_id
    losses = [(point.step, point.value) for point in client.get_metric_history(child, "train/loss")]
    assert [step for step, _ in losses][:2] == [1, 2]
    trial = trial_of(folder / "small", int(runs["children"][0].data.tags["trial"]))
    assert [(each.step, each.loss) for each in StepFile(trial)] == losses
    assert client.get_metric_history(child, "eval/score")[0].step == 2
    for what in ("training", "judging"):
        assert client.get_metric_history(child, f"usage/{what}_seconds")[0].value > 0
        assert 0.1 < client.get_metric_history(child, f"usage/{what}_gigabytes")[0].value < 100
    assert [point.step for point in client.get_metric_history(child, "eval/val_ratio")][:2] == [1, 2]
    kept = {artifact.path for artifact in client.list_artifacts(child, "checkpoints")}
    assert {"checkpoints/best"} <= kept <= {"checkpoints/best", "checkpoints/last"}  # one, where they are the same
    assert client.list_artifacts(child, "images")
    champion = client.get_model_version_by_alias("small", "champion")
    assert champion.tags["study"] == "small"
    assert float(champion.tags["strength"]) in (0.6, 1.0)


def test_best_folder_loads_in_plain_diffusers_and_changes_the_picture(finished: tuple[Path, str]) -> None:
    folder, _ = finished
    best = folder / "small" / "best"
    assert {path.name for path in best.iterdir()} == {
        "card.md",
        "checksums.sha256",
        "config.yaml",
        "contact_sheet.png",
        "finalists.png",
        "pytorch_lora_weights.safetensors",
        "report.html",
        "scores.json",
        "small.safetensors",
        "strength_sheet.png",
    }
    strengths = json.loads((best / "scores.json").read_text())["strengths"]
    assert list(strengths) == ["0.6", "1"]
    assert strengths["0.6"]["validation_losses"] != strengths["1"]["validation_losses"]
    assert yaml.safe_load((best / "config.yaml").read_text())["train"]["steps"] == 4
    pipeline = StableDiffusionPipeline.from_pretrained(ROOT / "train/pocket/weights/pipeline", dtype=torch.float32)
    before = picture(pipeline)
    pipeline.load_lora_weights(str(best))
    assert np.abs(picture(pipeline) - before).max() > 0


def picture(pipeline: StableDiffusionPipeline) -> np.ndarray:
    pipeline.set_progress_bar_config(disable=True)
    generator = torch.Generator().manual_seed(0)
    prompt = "a red cup on grass, in pencil style"
    return np.asarray(pipeline(prompt, num_inference_steps=3, generator=generator, output_type="np").images[0])


def test_run_again_only_what_is_left_is_done(finished: tuple[Path, str]) -> None:
    folder, _ = finished
    code, output = run(folder, *FINISHED, "study.num_trials=5")
    assert code == 0, output
    assert "resuming: 4 trials have ended, 0 go on, 1 are new" in output
    assert len(optuna_study(folder, "small").trials) == 5
    _, runs = mlflow_runs(folder, "small")
    assert len(runs["parents"]) == 1
    assert len(runs["children"]) == 5
    code, output = run(folder, *FINISHED, "study.num_trials=5")
    assert code == 0, output
    assert output.startswith("study small is finished: the best of 5 trials is trial")
    assert "resuming" not in output
    code, output = run(folder, "study.name=small", "study.num_trials=3", "train.steps=4", "eval.every=2")
    assert code == 0, output
    said = " ".join(output.split())
    assert "study.num_trials=3 is less than the 5 that are there: all count" in said
    assert "nothing is new since the best was chosen" in said
    assert "slots" not in said  # no worker was started


def test_another_config_under_the_same_name_is_refused_in_one_line(finished: tuple[Path, str]) -> None:
    folder, _ = finished
    code, output = run(folder, "study.name=small", "study.num_trials=5", "train.steps=6", "eval.every=2")
    assert code == 2
    assert "study small exists and is another one: train.steps was 4, is now 6" in output
    assert "Traceback" not in output


def test_ctrl_c_keeps_everything_and_the_same_command_goes_on(tmp_path: Path) -> None:
    # Prodigy starts so gently that no trial looks overfit before the stop.
    asked = ["study.name=stopped", "study.num_trials=2", "train.steps=400", "eval.every=2", "optimizer=prodigy"]
    process = start(tmp_path, *asked)
    assert process.stdout is not None
    seen = []
    for line in process.stdout:
        seen.append(line)
        if " step 2: score" in line:
            process.send_signal(signal.SIGINT)
            break
    rest, _ = process.communicate(timeout=300)
    output = "".join(seen) + rest
    assert process.returncode == 130, output
    assert "the same command goes on from here" in output
    assert "Traceback" not in output
    _, runs = mlflow_runs(tmp_path, "stopped")
    assert "RUNNING" not in {each.info.status for each in [*runs["parents"], *runs["children"]]}
    left = optuna_study(tmp_path, "stopped").trials
    assert [trial.state.name for trial in left] == ["RUNNING"] * len(left)
    assert (tmp_path / "stopped/trials/0000/state/state.pt").is_file()

    again = start(tmp_path, *asked)
    assert again.stdout is not None
    deadline = time.monotonic() + 300
    for line in again.stdout:
        assert time.monotonic() < deadline
        if "trial 0 starts, goes on at step" in line:
            again.send_signal(signal.SIGTERM)  # ends as cleanly as Ctrl-C
            break
    again.communicate(timeout=300)
    assert again.returncode == 130
    _, after = mlflow_runs(tmp_path, "stopped")
    assert {run.info.run_id for run in after["children"]} >= {run.info.run_id for run in runs["children"]}
    assert len(after["children"]) == len(optuna_study(tmp_path, "stopped").trials)


def test_nan_loss_fails_its_trial_with_a_reason_and_a_study_of_such_alone(
    tmp_path: Path,
) -> None:
    asked = ["study.name=wild", "study.num_trials=2", "train.steps=4", "eval.every=2", "adapter.rank=choice(4,8)"]
    code, output = run(tmp_path, *asked, "optimizer=adamw", "optimizer.lr=1e30", "lr_scheduler=constant")
    trials = optuna_study(tmp_path, "wild").trials
    assert code == 1, output
    assert [trial.state.name for trial in trials] == ["FAIL", "FAIL"]
    assert all("loss is nan" in trial.user_attrs["reason"] for trial in trials)
    assert "no best; all 2 ended as trial 0: loss is nan" in " ".join(output.split())
    _, runs = mlflow_runs(tmp_path, "wild")
    assert {run.info.status for run in (*runs["parents"], *runs["children"])} == {"FAILED"}
