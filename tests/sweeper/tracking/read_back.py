"""What tests of the tracker write, and what MLflow's own client reads back."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from mlflow import MlflowClient
from mlflow.entities import Run
from PIL import Image

from eval.evaluation import Evaluation
from sweeper.records.trainings import Training
from sweeper.records.urls import sqlite_url
from sweeper.tracking.port import TrialRecord
from sweeper.tracking.spec import TrackingSpec
from train.reports import StepReport

SPEC = TrackingSpec(experiment="pencil", model="pencil")


def client_of(folder: Path) -> MlflowClient:
    return MlflowClient(sqlite_url(folder / "mlflow.db"))


def runs_of(folder: Path) -> dict[str, Run]:
    """The study by its name, its trials as `trial 0007`."""
    client = client_of(folder)
    found = {}
    for run in client.search_runs([experiment_of(client)]):
        number = run.data.tags.get("trial")
        found[run.data.tags["study"] if number is None else f"trial {Training.of_name(number).folder}"] = run
    return found


def experiment_of(client: MlflowClient) -> str:
    found = client.get_experiment_by_name("pencil")
    assert found is not None
    return str(found.experiment_id)


def step_report(step: int, loss: float = 0.5) -> StepReport:
    return StepReport(slot=0, step=step, loss=loss, lr=1e-3, grad_norm=2.0)


def evaluation_at(step: int, **changes: Any) -> Evaluation:
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


def local(address: str) -> Path:
    """The folder that a percent-encoded address means."""
    return Path(unquote(urlsplit(address).path))


def record(number: int, **changes: Any) -> TrialRecord:
    """A trial that has ended, of which there is nothing to see but what is asked for."""
    values: dict[str, Any] = {
        "number": number,
        "params": {},
        "config": "",
        "steps": (),
        "evaluations": (),
        "validations": (),
        "status": "finished",
        "reason": "",
        "kept": {},
        "chosen": {},
        "digest": "a",
    }
    return TrialRecord(**(values | changes))


def history_of(folder: Path, run: Run, key: str) -> list[tuple[int, float]]:
    points = client_of(folder).get_metric_history(run.info.run_id, key)
    return sorted((point.step, point.value) for point in points)


def paths_of(folder: Path, run: Run, path: str | None = None) -> list[str]:
    found = []
    for entry in client_of(folder).list_artifacts(run.info.run_id, path):
        found += paths_of(folder, run, entry.path) if entry.is_dir else [entry.path]
    return found


def picture_at(path: Path) -> Path:
    Image.new("RGB", (64, 64), "red").save(path)
    return path


def weights_in(folder: Path, content: bytes) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "pytorch_lora_weights.safetensors").write_bytes(content)
    return folder
