"""The courses of the trials: each checkpoint's evaluation by the judge beside its truth, kept as JSON lines."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import optuna
from mlflow import MlflowClient
from optuna.trial import FrozenTrial

from benchmarks.judge_trials.truth import Inspector, Truth
from eval.evaluation import Evaluation
from foundation.files.durable import append_line
from sweeper.records.history import read_evaluations
from sweeper.records.paths import checkpoint_of, trial_of
from sweeper.records.urls import sqlite_url

_DIGITS: Final = 5


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One evaluated checkpoint."""

    evaluation: Evaluation
    truth: Truth
    train_loss: float
    """Mean training loss since the checkpoint before."""


@dataclass(frozen=True, slots=True)
class Course:
    """A trial that ran to its end."""

    set: str
    trial: int
    params: Mapping[str, Any]
    base: float
    """The base's own quality on the set's scenes."""
    checkpoints: Sequence[Checkpoint]

    @property
    def last_step(self) -> int:
        """Steps of the whole trial."""
        return self.checkpoints[-1].evaluation.step

    @property
    def best(self) -> float:
        """The truly best quality that any of its checkpoints has."""
        return max(point.truth.quality for point in self.checkpoints)


def inspect_study(study: Path, inspector: Inspector, file: Path) -> None:
    """Add the course of each finished trial in the study's folder to `file`, but for those that stand there."""
    known = {(course.set, course.trial) for course in read_courses(file)}
    left = [trial for trial in _finished_trials(study) if (study.name, trial.number) not in known]
    if not left:
        return
    losses, base = _train_losses(study), inspector.inspect(None).quality
    for trial in left:
        points = list(_checkpoints(trial_of(study, trial.number), losses[trial.number], inspector))
        append_course(file, Course(study.name, trial.number, trial.params, base, points))


def read_courses(file: Path) -> list[Course]:
    """What `inspect_study` wrote; nothing where there is no such file."""
    lines = file.read_text().splitlines() if file.exists() else []
    return [_course(json.loads(line)) for line in lines]


def append_course(file: Path, course: Course) -> None:
    """Add a course to those in `file`."""
    points = [
        {"evaluation": each.evaluation.to_json(), "truth": asdict(each.truth), "train_loss": each.train_loss}
        for each in course.checkpoints
    ]
    line = {name: getattr(course, name) for name in ("set", "trial", "params", "base")} | {"checkpoints": points}
    append_line(file, json.dumps(_round(line)))


def _course(line: Mapping[str, Any]) -> Course:
    points = [
        Checkpoint(
            evaluation=Evaluation.from_json(point["evaluation"]),
            truth=Truth(**{**point["truth"], "each": tuple(point["truth"]["each"])}),
            train_loss=point["train_loss"],
        )
        for point in line["checkpoints"]
    ]
    return Course(line["set"], line["trial"], line["params"], line["base"], points)


def _checkpoints(folder: Path, losses: Mapping[int, float], inspector: Inspector) -> Iterator[Checkpoint]:
    before = 0
    for evaluation in read_evaluations(folder):
        steps = range(before + 1, evaluation.step + 1)
        before = evaluation.step
        yield Checkpoint(
            evaluation=evaluation,
            truth=inspector.inspect(checkpoint_of(folder, evaluation.step)),
            train_loss=sum(losses[step] for step in steps) / len(steps),
        )


def _finished_trials(study: Path) -> list[FrozenTrial]:
    stored = optuna.load_study(study_name=study.name, storage=sqlite_url(study.parent / "studies.db"))
    return [trial for trial in stored.get_trials(deepcopy=False) if trial.state == optuna.trial.TrialState.COMPLETE]


def _train_losses(study: Path) -> dict[int, dict[int, float]]:
    """For each trial its training loss by step, as the study showed it."""
    client = MlflowClient(sqlite_url(study.parent / "mlflow.db"))
    experiments = [each.experiment_id for each in client.search_experiments()]
    runs = client.search_runs(experiments, f"tags.study = '{study.name}' and tags.role = 'trial'", max_results=1000)
    return {
        int(run.data.tags["trial"]): {
            metric.step: metric.value for metric in client.get_metric_history(run.info.run_id, "train/loss")
        }
        for run in runs
    }


def _round(value: Any) -> Any:
    """Numbers to the digits that mean anything, so that the file stays small."""
    if isinstance(value, float):
        return float(f"{value:.{_DIGITS}g}")
    if isinstance(value, Mapping):
        return {key: _round(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_round(item) for item in value]
    return value
