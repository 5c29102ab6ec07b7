"""Which of MLflow's runs are a study's, read from its database alone: MLflow itself takes seconds to import."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

from sweeper.tracking import DATABASE

_TRIALS: Final = """\
SELECT trial.value, trial.run_uuid FROM tags AS trial
JOIN tags AS role ON role.run_uuid = trial.run_uuid AND role.key = 'role' AND role.value = 'trial'
JOIN tags AS study ON study.run_uuid = trial.run_uuid AND study.key = 'study' AND study.value = ?
WHERE trial.key = 'trial'"""


def trial_runs(folder: Path, study: str) -> dict[int, str]:
    """The run of each trial of a study, by its number; none where the store is elsewhere or cannot be read."""
    database = folder / DATABASE
    if not database.is_file():
        return {}
    try:
        with closing(sqlite3.connect(database)) as connection:
            found = connection.execute(_TRIALS, (study,)).fetchall()
    except sqlite3.Error:
        return {}
    return {int(trial): run for trial, run in found if str(trial).isdecimal() and Path(run).name == run}
