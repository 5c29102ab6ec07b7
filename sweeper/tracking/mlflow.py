"""MLflow as a `Tracker`. Not thread-safe, and its errors come out: `BackgroundTracker` is what a study talks to."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Final

from mlflow import MlflowClient
from mlflow.entities import Experiment, Run
from mlflow.exceptions import MlflowException
from mlflow.store.db.utils import _initialize_tables
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID, MLFLOW_RUN_NOTE, MLFLOW_SOURCE_NAME
from sqlalchemy import create_engine
from sqlalchemy.exc import SQLAlchemyError

from eval.aims import AIMS
from eval.evaluation import Evaluation, Validation
from foundation.adapters.files import WEIGHTS_FILE
from foundation.errors import StudyError
from foundation.files.sums import digest
from foundation.secrets import in_full
from sweeper.records.costs import Costs
from sweeper.records.trainings import Training, name_of
from sweeper.records.urls import folder_url, sqlite_file, sqlite_url
from sweeper.tracking import ARTIFACTS, DATABASE
from sweeper.tracking.files import make_sqlite
from sweeper.tracking.metrics import of_evaluation, of_step, of_validation
from sweeper.tracking.names import images_by_key, run_name
from sweeper.tracking.note import note
from sweeper.tracking.port import Images, StudyEnd, TrialEnd, TrialRecord
from sweeper.tracking.reasons import reason_of
from sweeper.tracking.registry import CHAMPION, register_version
from sweeper.tracking.run import MlflowRun
from sweeper.tracking.server import check_artifacts, check_server, is_server
from sweeper.tracking.spec import TrackingSpec
from sweeper.tracking.view import FIRST_METRIC, UNFOLDED, pictures_view, trials_view
from train.reports import StepReport

_DIGEST: Final = "shown"
"""The tag of a trial that was shown whole: `TrialRecord.digest`."""
_ROLES: Final = ("trial", "rerun")
"""What children are: of the search, or beside it."""
_STATUS: Final = {"finished": "FINISHED", "pruned": "KILLED", "interrupted": "KILLED", "failed": "FAILED"}
_LEVELS: Final = {"mlflow": logging.CRITICAL, "alembic": logging.WARNING, "urllib3.connectionpool": logging.ERROR}
"""Errors come out as exceptions, and are said once; MLflow would log each with its trace, urllib3 each new try."""
_CRASHED = "its process ended without saying why; found when the study was resumed"
_OPEN = "the study ended first; it goes on when the study is resumed"


def open_mlflow(spec: TrackingSpec, study_folder: Path) -> MlflowTracker:
    """Open or create the store; see `open_tracker`."""
    for name, level in _LEVELS.items():
        logging.getLogger(name).setLevel(level)
    folder = study_folder.resolve()
    uri = spec.uri or sqlite_url(folder / DATABASE)
    address = in_full(uri)
    remote = is_server(address) or uri.startswith("databricks")  # keeps artifacts itself
    artifacts = None if remote else folder_url(folder / ARTIFACTS)
    try:
        if is_server(address):
            check_server(address, uri)
        file = sqlite_file(uri)
        if file is not None and (spec.uri is None or not file.exists()):  # what is there already may be another's
            make_sqlite(file, _create_tables)
        client = MlflowClient(address, address)
        experiment = _experiment(client, spec.experiment, artifacts)
        if is_server(address):
            check_artifacts(experiment.artifact_location, address, uri, spec.experiment)
        return MlflowTracker(client, str(experiment.experiment_id), spec.model)
    except (MlflowException, SQLAlchemyError, sqlite3.Error, OSError, ImportError) as error:  # ImportError: its driver
        reason = reason_of(error)
        way = "; move it away, and a study shows its evaluations anew" if spec.uri is None else ""
        raise StudyError(f"tracking.uri {uri} cannot be opened: {reason}{way}") from error


class MlflowTracker:
    """One study in an MLflow experiment. Child runs are known by the tags `mlflow.parentRunId` and `trial`."""

    def __init__(self, client: MlflowClient, experiment_id: str, model: str) -> None:
        self._client = client
        self._experiment_id = experiment_id
        self._model = model
        self._name, self._identity = "", ""
        self._parent: MlflowRun | None = None
        self._trials: dict[int, MlflowRun] = {}
        self._open: set[int] = set()
        self._base: Mapping[str, Path] = {}
        self._shows_base: MlflowRun | None = None
        """A run that has them."""

    @property
    def num_lost(self) -> int:
        return 0

    def start_study(self, name: str, identity: str, params: Mapping[str, object], config: str) -> None:
        self._name, self._identity = name, identity
        for tag in (trials_view(_aim(params)), FIRST_METRIC):
            self._client.set_experiment_tag(self._experiment_id, *tag)
        found = next(self._search(f"tags.role = 'study' and tags.study_id = '{identity}'"), None)
        parent = self._run(found, name, {"role": "study", MLFLOW_SOURCE_NAME: "sweeper"}, params, config)
        self._trials = {
            training.number: MlflowRun(self._client, run, is_new=False)
            for role in _ROLES
            for run in self._search(_children(parent, role))
            if (training := Training.of_name(run.data.tags["trial"]))
        }
        self._parent = parent

    def start_trial(
        self, number: int, params: Mapping[str, object], config: str, steps: Iterable[StepReport] = ()
    ) -> None:
        run = self._start(number, params, config)
        run.set_tags({"attempt": str(int(run.tag("attempt") or 0) + 1)})
        self._open.add(number)
        self._show_base(run)
        self.log_steps(number, steps)

    def show_base(self, images: Images) -> None:
        self._base = images_by_key(images)
        self._show_pictures(0)
        for number in self._open:
            self._show_base(self._trials[number])

    def _show_base(self, run: MlflowRun) -> None:
        """The base's pictures, which all trials show: on this machine's disk they lie once."""
        run.add_images(0, self._base, as_in=self._shows_base)
        if self._base:
            self._shows_base = run

    def log_steps(self, number: int, reports: Iterable[StepReport]) -> None:
        run = self._trial(number)
        run.add_points((report.step, of_step(report)) for report in reports if report.failure is None)

    def log_evaluation(
        self,
        number: int,
        evaluation: Evaluation,
        images: Images,
        costs: Costs | None = None,
        chosen: Mapping[str, float] | None = None,
    ) -> None:
        run = self._trial(number)
        run.add_points([(evaluation.step, of_evaluation(evaluation, costs))])
        run.set_tags({"verdict": f"step {evaluation.step}: {evaluation.words}"})
        run.set_values(_with_names("chosen", chosen or {}))
        run.add_images(evaluation.step, images_by_key(images))

    def log_validation(self, number: int, validation: Validation) -> None:
        self._trial(number).add_points([(validation.step, of_validation(validation))])

    def end_trial(self, trial: TrialRecord) -> None:
        known = self._trials.get(trial.number)
        if known and _shows_whole(known, trial):
            return
        run = self._start(trial.number, trial.params, trial.config)
        try:
            self._show_base(run)
            run.add_points((report.step, of_step(report)) for report in trial.steps if report.failure is None)
            run.add_points((each.step, of_validation(each)) for each in trial.validations)
            run.add_points((each.step, of_evaluation(each, costs)) for each, _, costs in trial.evaluations)
            if trial.evaluations:
                last = trial.evaluations[-1][0]
                run.set_tags({"verdict": f"step {last.step}: {last.words}"})
            run.set_values(_with_names("chosen", trial.chosen))
            for each, images, _ in trial.evaluations:
                run.add_images(each.step, images_by_key(images))
            for name, folder in trial.kept.items():
                run.put_folder(folder, f"checkpoints/{name}", linked=True)
            run.set_tags({_DIGEST: trial.digest})  # last: it says that all of the above is there
        finally:
            self._open.discard(trial.number)
            _end(run, trial.status, trial.reason)

    def log_study(self, values: Mapping[str, float]) -> None:
        self._study().set_values(values)

    def register_champion(
        self,
        best_folder: Path,
        number: int,
        metrics: Mapping[str, float],
        fresh: Mapping[int, Mapping[str, float]],
        description: str,
        *,
        register: bool = True,
    ) -> str | None:
        parent, weights = self._study(), best_folder / WEIGHTS_FILE
        # A later winner must not overwrite what an older version points to.
        place = f"best/trial-{Training.of(number).folder}"
        parent.put_folder(best_folder, place)
        parent.set_values(_with_names("best", metrics))
        card = note(best_folder, parent.id, place)
        parent.set_tags({"best_trial": name_of(number), **({MLFLOW_RUN_NOTE: card} if card else {})})
        self._show_pictures(int(metrics.get("step", 0)))
        for finalist in fresh.keys() & self._trials.keys():
            self._trials[finalist].set_values(_with_names("fresh", fresh[finalist]))
        winner = self._trials.get(number)
        if winner:
            winner.set_values(_with_names("best", metrics))
        if not register:
            return None
        tags = {"study": self._name, "study_id": self._identity, "trial": name_of(number), "sha256": digest(weights)}
        if "strength" in metrics:  # whoever takes the champion must know it
            tags["strength"] = f"{metrics['strength']:g}"
        source = f"{parent.artifact_uri}/{place}"
        version = register_version(
            self._client, self._model, source, parent.id, tags, f"{description}\n\n{card}".strip()
        )
        if winner:
            winner.set_tags({CHAMPION: f"{self._model} version {version}"})
        return version

    def end_study(self, status: StudyEnd, reason: str = "") -> None:
        self._end_running(frozenset(), _OPEN)
        _end(self._study(), status, reason)

    def reconcile(self, running: AbstractSet[int]) -> None:
        self._end_running(running, _CRASHED)

    def close(self, timeout_s: float = 60.0, hurried: Callable[[], bool] = lambda: False) -> None:
        """Nothing is held back here."""

    def _show_pictures(self, step: int) -> None:
        if self._base:
            self._client.set_experiment_tag(self._experiment_id, *pictures_view(list(self._base), step))

    def _study(self) -> MlflowRun:
        if self._parent is None:
            raise StudyError("the study's run could not be opened")
        return self._parent

    def _trial(self, number: int) -> MlflowRun:
        if number not in self._trials:
            raise StudyError(f"trial {name_of(number)} has no run: its start could not be shown")
        return self._trials[number]

    def _search(self, condition: str) -> Iterator[Run]:
        token = None
        while True:
            page = self._client.search_runs([self._experiment_id], condition, page_token=token)
            yield from page
            token = page.token
            if not token:
                return

    def _start(self, number: int, params: Mapping[str, object], config: str) -> MlflowRun:
        role = _ROLES[Training.of(number).is_rerun]
        tags = {"role": role, "trial": name_of(number), MLFLOW_PARENT_RUN_ID: self._study().id, **UNFOLDED}
        run = self._run(self._trials.get(number), run_name(number, params), tags, params, config)
        self._trials[number] = run
        return run

    def _run(
        self,
        found: MlflowRun | Run | None,
        name: str,
        tags: Mapping[str, str],
        params: Mapping[str, object],
        config: str,
    ) -> MlflowRun:
        """Reopen what was found, or create a run."""
        tags = {**tags, "study": self._name, "study_id": self._identity}
        if found is None:
            created = self._client.create_run(self._experiment_id, tags=tags, run_name=name)
            run = MlflowRun(self._client, created, is_new=True)
        else:
            run = found if isinstance(found, MlflowRun) else MlflowRun(self._client, found, is_new=False)
            run.reopen()
            run.drop_tags("ended", "reason")
            run.set_tags(tags)
        run.set_params(params)
        run.put_text(config, "config.yaml")
        return run

    def _end_running(self, but: AbstractSet[int], reason: str) -> None:
        for number, run in self._trials.items():
            if run.status == "RUNNING" and number not in but:
                _end(run, "interrupted", reason)


def _children(parent: MlflowRun, role: str) -> str:
    return f"tags.`{MLFLOW_PARENT_RUN_ID}` = '{parent.id}' and tags.role = '{role}'"


def _end(run: MlflowRun, status: TrialEnd | StudyEnd, reason: str) -> None:
    try:
        run.set_tags({"ended": status, **({"reason": reason, MLFLOW_RUN_NOTE: reason} if reason else {})})
    finally:
        run.end(_STATUS[status])


def _shows_whole(run: MlflowRun, trial: TrialRecord) -> bool:
    images = {(key, each.step) for each, images, _ in trial.evaluations for key in images_by_key(images)}
    is_shown = (run.status, run.tag(_DIGEST)) == (_STATUS[trial.status], trial.digest)
    return is_shown and run.has_files(images, [f"checkpoints/{name}" for name in trial.kept])


def _aim(params: Mapping[str, object]) -> str:
    """The metric that says how far trials of this study came."""
    return next((aim.metric for kind, aim in AIMS.items() if kind == params.get("data.kind")), AIMS["style"].metric)


def _with_names(group: str, values: Mapping[str, float]) -> dict[str, float]:
    return {f"{group}/{name}": value for name, value in values.items()}


def _create_tables(file: Path) -> None:
    """Do as MLflow does with a new database."""
    engine = create_engine(sqlite_url(file))
    try:
        _initialize_tables(engine)  # type: ignore[no-untyped-call]
    finally:
        engine.dispose()


def _experiment(client: MlflowClient, name: str, artifacts: str | None) -> Experiment:
    found = client.get_experiment_by_name(name)
    if found is None:
        # The kind spares the reader MLflow's question whether this is machine learning or generative AI.
        tags = {"mlflow.experimentKind": "custom_model_development"}
        found = client.get_experiment(client.create_experiment(name, artifact_location=artifacts, tags=tags))
    if found.lifecycle_stage == "deleted":
        client.restore_experiment(found.experiment_id)
    return found
