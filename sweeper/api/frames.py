"""A study's trials, evaluations and checkpoints as data frames."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pandas as pd

from sweeper.page.view import Judged, StudyView, TrialView
from sweeper.records.history import read_evaluations
from sweeper.records.paths import checkpoint_of, trainings_of
from sweeper.records.trainings import name_of

_TRIALS: Final = (
    *("trial", "status", "reason", "diagnosis", "step", "chosen_step", "score", "score_se", "overfit_index"),
    *("training_s", "judging_s", "is_rerun"),
)
_EVALUATIONS: Final = ("trial", "step", "score", "score_se", "overfit_index", "words")
_CHECKPOINTS: Final = ("trial", "step", "score", "is_chosen", "path")


def trials_frame(view: StudyView) -> pd.DataFrame:
    """Return a row for each training, see `Study.trials`."""
    names = [f"params.{each.name}" for each in view.params]
    return _frame([_trial_row(each) for each in view.trials], [*_TRIALS, *names])


def evaluations_frame(study: Path) -> pd.DataFrame:
    """Return a row for each judgement, see `Study.evaluations`; what was not measured is NaN."""
    rows = [
        {
            "trial": name_of(number),
            "step": each.step,
            "score": each.score,
            "score_se": each.score_se,
            "overfit_index": each.overfit_index,
            "words": each.words,
            **each.metrics,
        }
        for number, folder in sorted(trainings_of(study).items())
        for each in read_evaluations(folder)
    ]
    return _frame(rows, _EVALUATIONS)


def checkpoints_frame(study: Path, view: StudyView) -> pd.DataFrame:
    """Return a row for each checkpoint whose folder is there, see `Study.checkpoints`."""
    folders = trainings_of(study)
    rows = [
        {
            "trial": each.name,
            "step": judged.step,
            "score": judged.score,
            "is_chosen": judged.step == each.chosen,
            "path": str(path),
        }
        for each in view.trials
        for judged in each.evaluations
        if each.number in folders and (path := checkpoint_of(folders[each.number], judged.step)).is_dir()
    ]
    return _frame(rows, _CHECKPOINTS)


def _trial_row(trial: TrialView) -> dict[str, Any]:
    chosen = next((each for each in trial.evaluations if each.step == trial.chosen), None)
    return {
        "trial": trial.name,
        "status": trial.status,
        "reason": trial.ended_because,
        "diagnosis": trial.diagnosis,
        "step": trial.step,
        "chosen_step": trial.chosen,
        **_numbers(chosen),
        "training_s": trial.training_s,
        "judging_s": trial.judging_s,
        "is_rerun": trial.is_rerun,
        **{f"params.{name}": value for name, value in trial.params.items()},
    }


def _numbers(chosen: Judged | None) -> dict[str, float]:
    if chosen is None:
        return {"score": math.nan, "score_se": math.nan, "overfit_index": math.nan}
    return {"score": chosen.score, "score_se": chosen.score_se, "overfit_index": chosen.overfit}


def _frame(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> pd.DataFrame:
    """A frame with these columns first, whether there are rows or not."""
    found = pd.DataFrame(list(rows))
    others = [name for name in found.columns if name not in columns]
    return found.reindex(columns=[*columns, *others])
