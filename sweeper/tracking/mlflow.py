"""MLflow as a `Tracker`. Not thread-safe, and its errors come out: `BackgroundTracker` is what a study talks to."""

from __future__ import annotations

import logging
import math
import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar, get_args

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, Run, RunTag
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID, MLFLOW_RUN_NOTE, MLFLOW_SOURCE_NAME
from sqlalchemy.exc import SQLAlchemyError

from eval.evaluation import Evaluation, Validation
from foundation.errors import ConfigError, StudyError
from foundation.images import read_rgb
from foundation.secrets import in_full, redacted
from sweeper.config import TrackingSpec
from sweeper.costs import Costs
from sweeper.tracking import ARTIFACTS, DATABASE
from sweeper.tracking.files import must_be_sqlite, weights_digest
from sweeper.tracking.metrics import of_evaluation, of_step, of_validation
from sweeper.tracking.names import entity_name, image_keys
from sweeper.tracking.port import Ended, StudyEnd, TrialEnd
from sweeper.urls import folder_url, sqlite_url
from train.reports import StepReport

CHAMPION: Final = "champion"
"""The registered model's alias of the winner."""

_MAX_METRICS, _MAX_PARAMS, _MAX_VALUE, _MAX_TAG = 1000, 100, 6000, 8000  # mlflow.utils.validation
_IMAGES: Final = "samples"
"""The section of MLflow's charts that pictures stand in."""
_BASE_SHOWN: Final = "base_pictures"
_STATUS: Final = {"finished": "FINISHED", "pruned": "KILLED", "interrupted": "KILLED", "failed": "FAILED"}
_CRASHED = "its process ended without saying why; found when the study was resumed"
_OPEN = "the study ended first; it goes on when the study is resumed"

T = TypeVar("T")


def open_mlflow(spec: TrackingSpec, study_folder: Path) -> MlflowTracker:
    """Open or create the store; see `open_tracker`."""
    if set(spec.model) & set("/:'\""):
        raise ConfigError([f"tracking.model must not hold '/', ':' or quotes, got {spec.model!r}"])
    for name in ("mlflow", "alembic"):  # again, for when another library has imported mlflow before
        logging.getLogger(name).setLevel(os.environ["MLFLOW_LOGGING_LEVEL"].upper())
    folder = study_folder.resolve()
    uri = spec.uri or sqlite_url(folder / DATABASE)
    remote = uri.startswith(("http://", "https://", "databricks"))  # keeps artifacts itself
    artifacts = None if remote else folder_url(folder / ARTIFACTS)
    try:
        if spec.uri is None:
            must_be_sqlite(folder / DATABASE)
        address = in_full(uri)
        client = MlflowClient(address, address)
        return MlflowTracker(client, _experiment(client, spec.experiment, artifacts), spec.model)
    except (MlflowException, SQLAlchemyError, sqlite3.Error, OSError, ImportError) as error:  # ImportError: its driver
        reason = redacted((str(error).strip() or type(error).__name__).splitlines()[0])
        way = "; move it away, and a study shows its evaluations anew" if spec.uri is None else ""
        raise StudyError(f"tracking.uri {uri} cannot be opened: {reason}{way}") from error


class MlflowTracker:
    """One study in an MLflow experiment. Child runs are known by the tags `mlflow.parentRunId` and `trial`."""

    def __init__(self, client: MlflowClient, experiment_id: str, model: str) -> None:
        self._client = client
        self._experiment_id = experiment_id
        self._model = model
        self._study = ""
        self._parent: str | None = None
        self._trials: dict[int, _Trial] = {}
        self._base: Sequence[tuple[str, Path]] = ()

    @property
    def lost(self) -> int:
        return 0

    def start_study(self, name: str, params: Mapping[str, object], config: str) -> None:
        found = next(self._search(f"tags.role = 'study' and tags.study = '{name}'"), None)
        tags = {"role": "study", "study": name, MLFLOW_SOURCE_NAME: "python -m sweeper"}
        self._study = name
        self._parent = self._open(found, name, tags, params, config)
        for run in self._search(self._children()):
            ended = run.info.status != "RUNNING" and run.data.tags.get("ended") in get_args(TrialEnd)
            self._trials[int(run.data.tags["trial"])] = _Trial(run.info.run_id, open=False, ended=ended)

    def start_trial(
        self, number: int, params: Mapping[str, object], config: str, steps: Iterable[StepReport] = ()
    ) -> None:
        known = self._trials.get(number)
        found = self._client.get_run(known.run_id) if known else None
        tags = {"role": "trial", "study": self._study, "trial": str(number), MLFLOW_PARENT_RUN_ID: self._parent_id()}
        tags["attempt"] = str(int(found.data.tags.get("attempt", "0")) + 1 if found else 1)
        run_id = self._open(found, f"trial {number:04d}", tags, params, config)
        trial = self._trials[number] = _Trial(run_id)
        if found:
            trial.step = self._last_step(run_id, "train/lr")
            trial.evaluation = self._last_step(run_id, "eval/overfit")
            trial.validation = self._last_step(run_id, "eval/val_ratio")
            trial.has_base = _BASE_SHOWN in found.data.tags
        self._show_base(trial)
        self.log_steps(number, steps)

    def show_base(self, images: Sequence[tuple[str, Path]]) -> None:
        self._base = images
        for trial in self._trials.values():
            if trial.open:
                self._show_base(trial)

    def log_steps(self, number: int, reports: Iterable[StepReport]) -> None:
        trial, metrics = self._trial(number), []
        for report in reports:
            if report.step > trial.step and report.failure is None:
                metrics += _metrics(of_step(report), report.step)
                trial.step = report.step
        self._log_metrics(trial.run_id, metrics)

    def log_evaluation(
        self, number: int, evaluation: Evaluation, images: Sequence[tuple[str, Path]], costs: Costs | None = None
    ) -> None:
        trial = self._trial(number)
        if evaluation.step <= trial.evaluation:
            return
        self._log_metrics(trial.run_id, _metrics(of_evaluation(evaluation, costs), evaluation.step))
        self._tag(trial.run_id, {"verdict": f"step {evaluation.step}: {evaluation.words}"})
        trial.evaluation = evaluation.step
        self._log_images(trial.run_id, evaluation.step, images)

    def log_validation(self, number: int, validation: Validation) -> None:
        trial = self._trial(number)
        if validation.step > trial.validation:
            self._log_metrics(trial.run_id, _metrics(of_validation(validation), validation.step))
            trial.validation = validation.step

    def end_trial(
        self, number: int, status: TrialEnd, reason: str, kept: Mapping[str, Path], chosen: Mapping[str, float]
    ) -> None:
        trial = self._trial(number)
        run_id, trial.open = trial.run_id, False
        try:
            self._log_metrics(run_id, _metrics({f"chosen/{name}": value for name, value in chosen.items()}, 0))
            for name, folder in kept.items():
                if not folder.is_dir():  # MLflow would pass over it
                    raise StudyError(f"the checkpoint {folder} is gone")
                self._client.log_artifacts(run_id, str(folder), f"checkpoints/{name}")
        finally:
            self._end(run_id, status, reason)

    def recover(self, trial: Ended) -> None:
        if trial.number in self._trials and self._trials[trial.number].ended:
            return
        self.start_trial(trial.number, trial.params, trial.config, trial.steps)
        for validation in trial.validations:
            self.log_validation(trial.number, validation)
        for evaluation, images, costs in trial.evaluations:
            self.log_evaluation(trial.number, evaluation, images, costs)
        self.end_trial(trial.number, trial.status, trial.reason, trial.kept, trial.chosen)

    def crown(
        self, best_folder: Path, number: int, metrics: Mapping[str, float], description: str, *, register: bool = True
    ) -> str | None:
        parent = self._parent_id()
        place = f"best/trial-{number:04d}"  # a later winner must not overwrite what an older version points to
        self._client.log_artifacts(parent, str(best_folder), place)
        self._log_metrics(parent, _metrics({f"best/{name}": value for name, value in metrics.items()}, 0))
        self._tag(parent, {"best_trial": str(number)})
        if not register:
            return None
        version = self._register(
            f"{self._client.get_run(parent).info.artifact_uri}/{place}",
            {"study": self._study, "trial": str(number), "sha256": weights_digest(best_folder)},
            description,
        )
        if "strength" in metrics:  # whoever takes the champion must know it
            self._client.set_model_version_tag(self._model, version, "strength", f"{metrics['strength']:g}")
        if number in self._trials:
            self._tag(self._trials[number].run_id, {CHAMPION: f"{self._model} version {version}"})
        return version

    def end_study(self, status: StudyEnd, reason: str = "") -> None:
        self._end_running(frozenset(), "interrupted", _OPEN)
        self._end(self._parent_id(), status, reason)

    def reconcile(self, running: AbstractSet[int]) -> None:
        self._end_running(running, "interrupted", _CRASHED)

    def close(self, timeout_s: float = 60.0, hurried: Callable[[], bool] = lambda: False) -> None:
        """Nothing is held back here."""

    def _parent_id(self) -> str:
        if self._parent is None:
            raise StudyError("the study's run could not be opened")
        return self._parent

    def _trial(self, number: int) -> _Trial:
        if number not in self._trials:
            raise StudyError(f"trial {number} has no run: its start could not be shown")
        return self._trials[number]

    def _children(self) -> str:
        return f"tags.`{MLFLOW_PARENT_RUN_ID}` = '{self._parent_id()}' and tags.role = 'trial'"

    def _search(self, condition: str) -> Iterator[Run]:
        token = None
        while True:
            page = self._client.search_runs([self._experiment_id], condition, page_token=token)
            yield from page
            token = page.token
            if not token:
                return

    def _open(
        self, found: Run | None, name: str, tags: Mapping[str, str], params: Mapping[str, object], config: str
    ) -> str:
        """Reopen `found` or create the run; its id."""
        if found:
            run_id: str = found.info.run_id
            self._client.update_run(run_id, status="RUNNING")
            for tag in {"ended", "reason", MLFLOW_RUN_NOTE} & set(found.data.tags):
                self._client.delete_tag(run_id, tag)
            self._tag(run_id, tags)
        else:
            run_id = self._client.create_run(self._experiment_id, tags=dict(tags), run_name=name).info.run_id
        before = dict(found.data.params) if found else {}
        texts = {entity_name(key): str(value)[:_MAX_VALUE] for key, value in params.items()}
        for batch in _batches([Param(key, text) for key, text in texts.items() if key not in before], _MAX_PARAMS):
            self._client.log_batch(run_id, params=batch)
        # MLflow's parameters are written once; a resumed study may have more trials, another pruner …
        self._tag(run_id, {f"now/{key}": text for key, text in texts.items() if before.get(key, text) != text})
        self._client.log_text(run_id, config, "config.yaml")
        return run_id

    def _end(self, run_id: str, status: TrialEnd | StudyEnd, reason: str) -> None:
        try:
            why = {"reason": reason, MLFLOW_RUN_NOTE: reason} if reason else {}
            self._tag(run_id, {"ended": status, **why})
        finally:
            self._client.set_terminated(run_id, _STATUS[status])

    def _end_running(self, but: AbstractSet[int], status: StudyEnd, reason: str) -> None:
        for run in list(self._search(f"{self._children()} and attributes.status = 'RUNNING'")):
            if int(run.data.tags["trial"]) not in but:
                self._end(run.info.run_id, status, reason)

    def _tag(self, run_id: str, tags: Mapping[str, str]) -> None:
        entities = [RunTag(entity_name(key), text[:_MAX_TAG]) for key, text in tags.items()]
        for batch in _batches(entities, _MAX_PARAMS):
            self._client.log_batch(run_id, tags=batch)

    def _log_metrics(self, run_id: str, metrics: Sequence[Metric]) -> None:
        for batch in _batches(metrics, _MAX_METRICS):
            self._client.log_batch(run_id, metrics=batch)

    def _show_base(self, trial: _Trial) -> None:
        if self._base and not trial.has_base:
            self._log_images(trial.run_id, 0, self._base)
            self._tag(trial.run_id, {_BASE_SHOWN: "step 0"})
            trial.has_base = True

    def _log_images(self, run_id: str, step: int, images: Sequence[tuple[str, Path]]) -> None:
        for key, (_, path) in zip(image_keys(name for name, _ in images), images, strict=True):
            self._client.log_image(run_id, read_rgb(path), key=f"{_IMAGES}/{key}", step=step)

    def _last_step(self, run_id: str, key: str) -> int:
        return max((metric.step for metric in self._client.get_metric_history(run_id, key)), default=-1)

    def _register(self, source: str, tags: Mapping[str, str], description: str) -> str:
        """The version of the registered model with these tags, new or as it was, now the champion.

        No model of MLflow's own kinds is made of it: those hold pickles. The version points to the folder.
        """
        if not self._client.search_registered_models(f"name = '{self._model}'"):
            self._client.create_registered_model(self._model, description="Winners of studies, newest last.")
        known = self._client.search_model_versions(f"name = '{self._model}'")
        same = [str(version.version) for version in known if tags.items() <= version.tags.items()]
        if same:
            version = same[0]
            self._client.update_model_version(self._model, version, description)
        else:
            version = str(
                self._client.create_model_version(
                    self._model, source, run_id=self._parent_id(), tags=dict(tags), description=description
                ).version
            )
        self._client.set_registered_model_alias(self._model, CHAMPION, version)
        return version


@dataclass(slots=True)
class _Trial:
    """A trial's run, how far it was shown, whether this process has it open, and whether it was shown to its end."""

    run_id: str
    step: int = -1
    evaluation: int = -1
    validation: int = -1
    has_base: bool = False
    open: bool = True
    ended: bool = False


def _experiment(client: MlflowClient, name: str, artifacts: str | None) -> str:
    found = client.get_experiment_by_name(name)
    if found is None:
        # The kind spares the reader MLflow's question whether this is machine learning or generative AI.
        tags = {"mlflow.experimentKind": "custom_model_development"}
        return str(client.create_experiment(name, artifact_location=artifacts, tags=tags))
    if found.lifecycle_stage == "deleted":
        client.restore_experiment(found.experiment_id)
    return str(found.experiment_id)


def _metrics(values: Mapping[str, float], step: int) -> list[Metric]:
    now = int(time.time() * 1000)
    return [Metric(entity_name(key), float(value), now, step) for key, value in values.items() if math.isfinite(value)]


def _batches(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    return (items[start : start + size] for start in range(0, len(items), size))
