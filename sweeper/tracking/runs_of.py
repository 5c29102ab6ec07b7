"""Which of MLflow's runs are a study's, read from its database alone: MLflow itself takes seconds to import."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

from sweeper.records.trainings import Training
from sweeper.tracking import DATABASE

_TRIALS: Final = """\
SELECT trial.value, trial.run_uuid FROM tags AS trial
JOIN tags AS role ON role.run_uuid = trial.run_uuid AND role.key = 'role' AND role.value IN ('trial', 'rerun')
JOIN tags AS study ON study.run_uuid = trial.run_uuid AND study.key = 'study' AND study.value = ?
WHERE trial.key = 'trial'"""
_LAST: Final = """\
SELECT trial.value, last.step, last.value FROM latest_metrics AS last
JOIN tags AS trial ON trial.run_uuid = last.run_uuid AND trial.key = 'trial'
JOIN tags AS study ON study.run_uuid = last.run_uuid AND study.key = 'study' AND study.value = ?
WHERE last.key = 'train/loss' AND last.is_nan = 0"""
_EXPERIMENT: Final = """\
SELECT DISTINCT runs.experiment_id FROM runs
JOIN tags AS study ON study.run_uuid = runs.run_uuid AND study.key = 'study' AND study.value = ?"""
_ALL: Final = "SELECT run_uuid FROM tags WHERE key = 'study' AND value = ?"


def trial_runs(folder: Path, study: str) -> dict[int, str]:
    """The run of each trial and rerun of a study, by number; none where the store is elsewhere or cannot be read."""
    found = ((Training.of_name(str(name)), run) for name, run in _find(folder, _TRIALS, study))
    return {training.number: run for training, run in found if training and Path(run).name == run}


def study_runs(folder: Path, study: str) -> list[str]:
    """All runs of a study, its own and its trials'; see `trial_runs`."""
    return [run for (run,) in _find(folder, _ALL, study) if Path(run).name == run]


def last_steps(folder: Path, study: str) -> dict[int, tuple[int, float]]:
    """The last step of each trial and rerun that MLflow was told, and its loss: newer than a trial's own files, which
    are written when it is judged. None where the store is elsewhere.
    """
    found = ((Training.of_name(str(name)), step, loss) for name, step, loss in _find(folder, _LAST, study))
    return {training.number: (int(step), float(loss)) for training, step, loss in found if training}


def experiment_of(folder: Path, study: str) -> str:
    """The experiment that a study's runs are in; empty where the store is elsewhere, or there is none or more."""
    found = [str(number) for (number,) in _find(folder, _EXPERIMENT, study)]
    return found[0] if len(found) == 1 else ""


def _find(folder: Path, query: str, study: str) -> list[tuple[str, ...]]:
    database = folder / DATABASE
    if not database.is_file():
        return []
    try:
        with closing(sqlite3.connect(database)) as connection:
            return connection.execute(query, (study,)).fetchall()
    except sqlite3.Error:
        return []
