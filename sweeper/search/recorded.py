"""What Optuna's database tells of a study to whoever shows it. Nothing is written, and no study need have ended."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

import optuna
from optuna.exceptions import OptunaError
from optuna.trial import FrozenTrial, TrialState

from eval.metrics.registry import Direction
from sweeper.search.database import Database, load_study, score_of
from sweeper.search.dimension import Value

RecordedStatus = Literal["running", "paused", "finished", "pruned", "failed"]
_STATUS: Final[Mapping[TrialState, RecordedStatus]] = {
    TrialState.COMPLETE: "finished",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
}
_REASON: Final = "reason"
_PAUSED: Final = "paused"
_VOID: Final = "void"
"""Marks trials of an older program that count for nothing."""
FEW: Final = 20
"""Finished trials below which importances are said to be little sure: the evaluator holds the best tenth against all
(`PedAnovaImportanceEvaluator`, target_quantile), and that is a trial or two then."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordedTrial:
    """One trial."""

    number: int
    params: Mapping[str, Value]
    """By the names of the space's dimensions."""
    status: RecordedStatus
    """Running is also what an interrupted study has left; paused is a trial that waits though slots are free."""
    score: float | None
    reason: str
    """Why it ended, or is paused; empty else."""
    began: float | None
    """Seconds since 1970."""
    ended: float | None
    """The same; None before."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Importances:
    """How much of the differences in score each parameter explains."""

    shares: Mapping[str, float]
    """Dimension's name to share, the largest first; they add up to 1. None where they cannot be told."""
    note: str
    """How far to trust them; empty where nothing is to be said."""


def recorded_trials(name: str, database: Database) -> list[RecordedTrial]:
    """Every trial of a study in order of number; none where there is no such study.

    Raises:
        StudyError: the database cannot be read.
    """
    study = load_study(name, database)
    return [_record_of(each) for each in study.get_trials(deepcopy=False) if _is_real(each)] if study else []


def importances_of(name: str, database: Database, direction: Direction) -> Importances:
    """Optuna's importances (PED-ANOVA) over the finished trials, by their scores, of which `direction` is the better.

    Raises:
        StudyError: the database cannot be read.
    """
    study = load_study(name, database)
    ended = [each for each in study.get_trials(deepcopy=False) if _counts(each)] if study else []
    if len(ended) < 2:
        return Importances(shares={}, note="importances want two finished trials or more")
    copy = optuna.create_study(direction=direction)
    copy.add_trials([_alone(each) for each in ended])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            shares = optuna.importance.get_param_importances(copy)
    except (OptunaError, ValueError, RuntimeError) as error:  # all scores alike, or parameters that no two trials share
        return Importances(shares={}, note=f"importances cannot be told: {error}")
    few = f"{len(ended)} finished trials are few: from {FEW} on the order begins to be sure"
    return Importances(shares=shares, note=few if len(ended) < FEW else "")


def _record_of(trial: FrozenTrial) -> RecordedTrial:
    waits = str(trial.user_attrs.get(_PAUSED, "")) if trial.state == TrialState.RUNNING else ""
    return RecordedTrial(
        number=trial.number,
        params=dict(trial.params),
        status="paused" if waits else _STATUS.get(trial.state, "running"),
        score=score_of(trial),
        reason=waits or str(trial.user_attrs.get(_REASON, "")),
        began=_seconds(trial.datetime_start),
        ended=_seconds(trial.datetime_complete),
    )


def _is_real(trial: FrozenTrial) -> bool:
    return _VOID not in trial.user_attrs


def _counts(trial: FrozenTrial) -> bool:
    return _is_real(trial) and trial.state == TrialState.COMPLETE and score_of(trial) is not None


def _alone(trial: FrozenTrial) -> FrozenTrial:
    """The trial with its score for its one value, whatever the study's objectives."""
    return optuna.trial.create_trial(params=trial.params, distributions=trial.distributions, value=score_of(trial))


def _seconds(moment: datetime | None) -> float | None:
    """Optuna writes the machine's local time."""
    return None if moment is None else moment.timestamp()
