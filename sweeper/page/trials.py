"""A study's trainings as the page shows them, from their folders and from what the search recorded."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from eval.diagnosis import diagnose
from eval.evaluation import Evaluation
from foundation.errors import DataError
from foundation.files.documents import read_mapping
from sweeper.page.curves import StepCurves, step_curves, validation_curve
from sweeper.page.params import read_rate, trial_params
from sweeper.page.pictures import picture_sets
from sweeper.page.study_file import StudyFile
from sweeper.page.timeline import TOGETHER_S, Course
from sweeper.page.view import Judged, PictureSet, Point, TrialStatus, TrialView
from sweeper.records.costs import Costs
from sweeper.records.history import StepFile, costs_of, read_evaluations, read_validations
from sweeper.records.paths import pictures_of
from sweeper.records.trainings import Training, name_of
from sweeper.records.trials import best_checkpoint
from sweeper.records.turns import TURNS, Turn, read_turns
from sweeper.search.recorded import RecordedTrial

METRICS: Final = ("style", "likeness", "identity", "prompt_match", "prompt_kept", "copy_rate", "diversity", "drift")
"""Of what was measured; the validation ratio is a curve of its own."""
_WATCHED: Final = ("steps.jsonl", "evaluations.jsonl", "validations.jsonl", "costs.jsonl", TURNS, "end.json", "samples")
"""What changes in a training's folder when there is something to show."""
Stamp = tuple[object, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialFiles:
    """What a training's folder holds, read once for as long as it stays as it is."""

    stamp: Stamp
    evaluations: list[Evaluation]
    validations: list[Point]
    curves: StepCurves
    costs: list[Costs]
    """Up to each evaluation, behind the one before."""
    pictures: list[PictureSet]
    judged_at: list[float | None]
    """When each evaluation's pictures were written, seconds since 1970."""
    end: Mapping[str, Any]
    """How a rerun ended; empty before, and of a trial."""
    rate: float | None
    turns: list[Turn]
    """When it had a slot; empty where an older program ran it."""
    began: float | None
    """When its folder was made, as far as its config tells."""


def stamp_of(folder: Path) -> Stamp:
    """Return what is another value when a training's folder holds something new."""
    stamps: list[object] = []
    for name in _WATCHED:
        try:
            stat = (folder / name).stat()
            stamps.append((stat.st_size, stat.st_mtime_ns))
        except OSError:
            stamps.append(None)
    return tuple(stamps)


def read_files(folder: Path, studies: Path) -> TrialFiles:
    """Return what a training's folder holds; `studies` is the folder of studies that its pictures count from."""
    stamp = stamp_of(folder)  # before it is read: what comes meanwhile is read the next time
    evaluations = read_evaluations(folder)
    try:
        end = read_mapping(folder / "end.json")
    except (OSError, DataError):
        end = {}
    return TrialFiles(
        stamp=stamp,
        evaluations=evaluations,
        validations=validation_curve(evaluations, read_validations(folder)),
        curves=step_curves(StepFile(folder)),
        costs=costs_of(folder, evaluations),
        pictures=picture_sets(folder, studies),
        judged_at=[_time_of(pictures_of(folder, each.step)) for each in evaluations],
        end=end,
        rate=read_rate(folder),
        turns=read_turns(folder),
        began=_time_of(folder / "config.yaml"),
    )


def trial_view(
    number: int,
    files: TrialFiles,
    recorded: RecordedTrial | None,
    names: Mapping[str, str],
    about: StudyFile,
    fresh: float | None,
    *,
    is_running: bool,
) -> TrialView:
    """Return a training as the page shows it.

    `number` is the training's, `files` what its folder holds, `recorded` what the search knows of it or, of a rerun,
    of its trial; `names` are short names of dimensions, `about` is the study's file, `fresh` its score with fresh
    seeds; `is_running` tells whether the study does.
    """
    training = Training.of(number)
    best = best_checkpoint(files.evaluations, about.clean)
    diagnosis = diagnose(files.evaluations, about.clean)
    status, reason = _end_of(training, files, recorded, is_running)
    params = trial_params(recorded.params if recorded else {}, names, files.rate)
    total = sum(files.costs, start=Costs())
    return TrialView(
        number=number,
        name=name_of(number),
        status=status,
        ended_because=reason,
        diagnosis=diagnosis.kind if diagnosis else "",
        because=diagnosis.because if diagnosis else "",
        advice=diagnosis.advice if diagnosis else "",
        params=params,
        chosen=best.step if best else None,
        step=max(files.curves.step, files.evaluations[-1].step if files.evaluations else 0),
        loss=files.curves.loss,
        slot=files.curves.slot,
        evaluations=[_evaluation_view(each) for each in files.evaluations],
        losses=files.curves.losses,
        rates=files.curves.rates,
        validations=files.validations,
        training_s=total.training.seconds,
        judging_s=total.judging.seconds,
        gigabytes=max(total.training.gigabytes, total.judging.gigabytes),
        fresh=fresh if fresh is not None and math.isfinite(fresh) else None,
        is_rerun=training.is_rerun,
        pictures=files.pictures,
    )


def courses_of(view: TrialView, files: TrialFiles, recorded: RecordedTrial | None, now: float) -> list[Course]:
    """Return when a training did what, for the timeline, a course each time it had a slot; none if that is unknown.

    One that is running goes on until `now`; one that a killed study left ends with its last evaluation. A study of an
    older program tells of no turns: there a training has one, from its beginning to its end.
    """
    judged = [
        (moment, cost.judging.seconds) for moment, cost in zip(files.judged_at, files.costs, strict=True) if moment
    ]
    if view.slot is None:
        return []
    turns = [(turn.worker, turn.began, turn.ended) for turn in files.turns] or _only_turn(view, files, recorded)
    courses = []
    for number, (worker, began, ended) in enumerate(turns, start=1):
        until = turns[number][1] if number < len(turns) else now if view.status == "running" else math.inf
        latest = until if ended is None else ended + TOGETHER_S
        own = [(moment, seconds) for moment, seconds in judged if began <= moment <= latest]
        if ended is None:
            lasts = number == len(turns) and view.status == "running"
            ended = now if lasts else max((moment for moment, _ in own), default=began)
        courses.append(
            Course(name=view.name, device=worker, slot=view.slot, began=began, ended=max(ended, began), judged=own)
        )
    return courses


def _only_turn(
    view: TrialView, files: TrialFiles, recorded: RecordedTrial | None
) -> list[tuple[int | None, float, float | None]]:
    of = recorded if recorded and not view.is_rerun else None
    began = of.began if of else files.began
    return [] if began is None else [(None, began, of.ended if of else None)]


def _end_of(
    training: Training, files: TrialFiles, recorded: RecordedTrial | None, is_running: bool
) -> tuple[TrialStatus, str]:
    """Its status and why it ended."""
    open_status: TrialStatus = "running" if is_running else "waiting"
    if training.is_rerun:
        status = files.end.get("status")
        known = status in ("finished", "pruned", "failed")
        return (status, str(files.end.get("reason", ""))) if known else (open_status, "")  # type: ignore[return-value]
    if recorded is None:
        return open_status, ""
    return (open_status, "") if recorded.status == "running" else (recorded.status, recorded.reason)


def _evaluation_view(evaluation: Evaluation) -> Judged:
    return Judged(
        step=evaluation.step,
        score=evaluation.score,
        score_se=evaluation.score_se,
        overfit=evaluation.overfit_index,
        words=evaluation.words,
        metrics={name: evaluation.metrics[name] for name in METRICS if name in evaluation.metrics},
    )


def _time_of(path: Path) -> float | None:
    try:
        return path.stat().st_mtime
    except OSError:
        return None
