"""What a study is about to take, before it starts: what the config says, and what earlier studies on its base took."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from foundation.errors import ConfigError
from sweeper.forecast.at_most import forecast_words, num_trainings
from sweeper.holdings import size_of
from sweeper.page.time_left import seconds_a_step
from sweeper.page.view import StudyView
from sweeper.records.config import Config
from sweeper.records.paths import trainings_of
from sweeper.search.space import Plan

CAPTIONS: Final = 8
"""Captions that stand in for prompts, at most (`sweeper.study.prompts`)."""
_GB: Final = 1e9


@dataclass(frozen=True, kw_only=True, slots=True)
class Pace:
    """What an earlier study took."""

    study: str
    seconds_a_step: float
    """By the clock, with all its slots at work: training and judging."""
    bytes_a_trial: float
    gigabytes: float


def pace_of(view: StudyView, study: Path) -> Pace | None:
    """Return the pace of a study whose folder is `study`; None where nothing was judged in it yet."""
    pace = seconds_a_step(view.trials, view.timeline)
    trainings = trainings_of(study).values()
    if pace is None or not trainings:
        return None
    size = size_of(trainings) / len(trainings)
    return Pace(study=study.name, seconds_a_step=pace, bytes_a_trial=size, gigabytes=view.gigabytes)


def forecast(plan: Plan, captions: int, pace: Pace | None, studies: Path) -> list[str]:
    """Return what is to be said before a study starts, in lines.

    `captions` is how many pictures of the data have one; `pace` that of an earlier study on the same base.
    """
    config = _with_captions(plan.config, captions)
    if config.train.steps is None:
        return [f"trials train for {config.train.epochs:g} epochs; how many steps these are is said when it starts"]
    return [forecast_words(config), *_times(config, pace), _room(config, pace, studies)]


def _times(config: Config, pace: Pace | None) -> Iterator[str]:
    study = config.study
    if pace is None:
        yield f"no study on base {config.base.name} has run in this folder: it says after the first evaluation how long"
        return
    trial_s = pace.seconds_a_step * config.train.num_steps
    whole_s = trial_s * num_trainings(study)
    yield f"at the pace of study {pace.study}: {_duration(whole_s)} at most, and then the finalists"
    if study.hours is not None:
        fit = int(study.hours * 3600 / trial_s)
        yield f"{study.hours:g} h are enough for {min(fit, study.num_trials)} of {study.num_trials} whole trials"
    if pace.gigabytes:
        yield f"memory: study {pace.study} took {pace.gigabytes:.1f} GB at most"


def _room(config: Config, pace: Pace | None, studies: Path) -> str:
    free = f"{shutil.disk_usage(_there(studies)).free / _GB:.0f} GB are free"
    if pace is None:
        return f"disk: {free}"
    wanted = pace.bytes_a_trial * num_trainings(config.study)
    return f"disk: about {_size(wanted)}, as a trial of study {pace.study} has {_size(pace.bytes_a_trial)}; {free}"


def _with_captions(config: Config, captions: int) -> Config:
    """The config with as many prompts as captions will stand in for, so that pictures are counted."""
    if config.eval.prompts:
        return config
    names = tuple(f"caption {number}" for number in range(min(CAPTIONS, captions)))
    try:
        return replace(config, eval=replace(config.eval, prompts=names))
    except (ConfigError, ValueError):
        return config


def captions_of(config: Config, counted: Iterable[int]) -> int:
    """How many captions the data has: as `counted`, or as many as are drawn."""
    return sum(counted) or config.data.num_train + config.data.num_validation


def _there(folder: Path) -> Path:
    """The folder, or the first above it that is there."""
    return next(each for each in (folder.resolve(), *folder.resolve().parents) if each.is_dir())


def _duration(seconds: float) -> str:
    if seconds >= 5400:
        return f"about {seconds / 3600:.1f} h"
    return f"about {max(1, round(seconds / 60))} min"


def _size(size: float) -> str:
    return f"{size / _GB:.1f} GB" if size >= _GB else f"{max(1, round(size / 1e6))} MB"
