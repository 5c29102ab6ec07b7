"""Shows a study from its files where its runs are shown, after that was away. Nothing is trained."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from foundation.console import say
from foundation.errors import ConfigError, DataError, StudyError
from foundation.files.documents import as_mapping, read_mapping
from foundation.json_output import give
from foundation.secrets import HIDDEN
from sweeper.holdings import find_studies
from sweeper.records.config import TRIAL_GROUPS, Config, parse_config, parse_part, trial_config
from sweeper.records.history import read_base_images, read_base_names, read_config_values, read_evaluations
from sweeper.records.lease import supervising
from sweeper.records.paths import best_of, trainings_of
from sweeper.records.trainings import Training, name_of
from sweeper.records.trials import Trial
from sweeper.results.champion import becomes_champion, show_best
from sweeper.results.report import read_chosen
from sweeper.search.database import database_of
from sweeper.search.port import EndedTrial
from sweeper.search.server import Server
from sweeper.search.study import stored_trials
from sweeper.study.audit import audit
from sweeper.study.prompts import with_drawn_prompts
from sweeper.study.reruns import ended_reruns
from sweeper.study.stages import read_stages
from sweeper.study.study_file import STUDY_FILE
from sweeper.study.trial_end import record_of
from sweeper.tracking import open_tracker
from sweeper.tracking.port import StudyEnd, Tracker

_BEHIND: Final = 3
"""The exit code of a study, too, that is done and not shown in full."""


def track(name: str, folder: Path, addresses: Mapping[str, str]) -> int:
    """Show what a study's tracker lacks of study `name` in `folder`; 0, or 3 where it could not show all of it.

    `addresses` are the tracker's and the database's by their keys, where they are others than the study was made with.

    Raises:
        UserError: there is no such study or it is running, or its tracker cannot be opened.
    """
    (study,) = find_studies(folder, [name])
    config = _config_of(study, addresses)
    with ExitStack() as stack:
        database = database_of(config.study, say)
        if isinstance(database, Server):
            stack.enter_context(database.use())
        tracker = open_tracker(config.tracking, folder)
        stack.callback(tracker.close)
        if isinstance(database, Server):
            stack.enter_context(database.supervising(study.name))
        stack.enter_context(supervising(study, say, wait_s=0.0))
        ended, running = stored_trials(study.name, database)
        count = _show(tracker, study, config, ended, running)
        tracker.close()
        give(study=study.name, trainings=count, missing=tracker.num_lost)
        if tracker.num_lost:
            say(f"{tracker.num_lost} records could not be shown in {config.tracking.title}; try again once it answers")
            return _BEHIND
    say(f"{config.tracking.title} shows study {study.name} with {count} ended trainings, as its files have them")
    return 0


def _config_of(study: Path, addresses: Mapping[str, str]) -> Config:
    """The config that a study was made with, as it was written, with addresses that are given anew."""
    file = study / STUDY_FILE
    found = {
        name: dict(as_mapping(part, str(file))) for name, part in _part(read_mapping(file), "config", file).items()
    }
    for key, value in addresses.items():
        group, _, field = key.partition(".")
        found[group][field] = value
    found["study"]["folder"] = str(study.parent)  # where it lies now
    for key in ("tracking.uri", "study.storage"):
        group, _, field = key.partition(".")
        if HIDDEN in str(found[group].get(field)):
            raise ConfigError([f"{key} of study {study.name} has a password, which is kept nowhere; give it by {key}="])
    return with_drawn_prompts(parse_config(found), read_base_names(study))


def _show(tracker: Tracker, study: Path, config: Config, ended: Sequence[EndedTrial], running: Sequence[int]) -> int:
    """Show all of a study that has an end; how many trainings that are."""
    about = read_mapping(study / STUDY_FILE)
    space = {"data.kind": config.data.kind, **_part(about, "space", study / STUDY_FILE)}
    try:
        identity = uuid.UUID(str(about["id"])).hex
    except (KeyError, ValueError) as error:
        raise DataError(
            f"{study / STUDY_FILE} does not tell who the study is; its own command writes it again"
        ) from error
    tracker.start_study(study.name, identity, space, (study / STUDY_FILE).read_text())
    tracker.show_base(read_base_images(study))
    params = {each.number: each.params for each in ended}
    trials = [_trial(study, each, config) for each in (*ended, *ended_reruns(study, params))]
    for trial in trials:
        assert trial.status in ("finished", "pruned", "failed")
        tracker.end_trial(record_of(trial, trial.status, trial.reason, config))
    tracker.reconcile(frozenset())
    chosen = read_chosen(best_of(study))
    status: StudyEnd = "interrupted"
    if chosen and not running:
        status = "finished"
        settings = next(each.settings for each in trials if each.number == Training.of(chosen.number).trial)
        register = becomes_champion(chosen, config.tracking.register)
        show_best(tracker, best_of(study), chosen, settings, register=register)
        audited = audit(trials, config.study.sign)
        tracker.log_study({**read_stages(study).metrics(), **(audited.metrics() if audited else {})})
    tracker.end_study(status, "" if status == "finished" else "shown from its files; its own command goes on with it")
    return len(trials)


def _trial(study: Path, ended: EndedTrial, config: Config) -> Trial:
    """A training as its folder has it.

    Raises:
        StudyError: the folder is gone or damaged.
    """
    folder = trainings_of(study).get(ended.number)
    values = read_config_values(folder) if folder else {}
    if folder is None or not values:
        raise StudyError(f"trial {name_of(ended.number)} has lost its folder; the study's own command sees to it")
    spec = trial_config({group: parse_part(group, values.get(group)) for group in TRIAL_GROUPS})
    clean = config.eval.thresholds.clean
    trial = Trial(number=ended.number, params=ended.params, spec=spec, folder=folder, clean=clean)
    trial.take_up(ended.status, ended.reason, read_evaluations(folder))
    return trial


def _part(values: Mapping[str, object], name: str, file: Path) -> Mapping[str, object]:
    return as_mapping(values.get(name), f"{file}: {name}")
