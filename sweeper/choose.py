"""`sweeper choose`: a person makes a checkpoint the best of a study and the champion, or takes that back."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from foundation.command import run_main, run_with_usage
from foundation.config.keyed import is_keyed, read_keyed
from foundation.console import say
from foundation.errors import ConfigError, StudyError
from foundation.files.documents import read_json, read_mapping
from sweeper.holdings import find_studies
from sweeper.page.file import write_report
from sweeper.records.config import parse_config
from sweeper.records.lease import supervising
from sweeper.records.paths import STUDIES
from sweeper.records.trainings import Training, name_of, number_of
from sweeper.results.by_hand import HandChoice, choose_by_hand, undo_choice
from sweeper.results.file_names import SCORES
from sweeper.results.report import read_chosen
from sweeper.search.recorded import recorded_trials
from sweeper.study.finished import note_best
from sweeper.tracking import open_tracker

USAGE: Final = """\
sweeper choose STUDY trial=N step=N [strength=1] [folder=multirun]     your eye decides, not the judge
sweeper choose STUDY undo=true [folder=multirun]                       back to what the judge chose

  STUDY      its name
  trial=     the trial, 7, or a training of its again, 7.1
  step=      which of its checkpoints; of an ended trial its best and its last are kept (study.keep=all keeps all)
  strength=  the LoRA scale to use it at (default: 1, as it was trained)
  folder=    where studies are (default: multirun)

best/ holds it from then on, noted as chosen by hand, and MLflow's champion is it. The judge's best stays in
best_before/ until undo=true brings it back. A study that goes on with more trials chooses anew.

  sweeper choose pencil trial=7 step=80
  sweeper choose pencil undo=true"""
KEYS: Final = ("folder", "step", "strength", "trial", "undo")
_STRONGEST: Final = 4.0


@dataclass(frozen=True, kw_only=True, slots=True)
class ChooseRequest:
    """What is wanted."""

    study: str
    folder: Path
    choice: HandChoice | None
    """None: the last one is undone."""


def main(arguments: Sequence[str]) -> int:
    """Run the command; 0, or 2 with one clear line for each mistake a person can put right."""
    return run_with_usage(USAGE, lambda: say(*choose(parse(arguments))), arguments, needs_arguments=True)


def choose(request: ChooseRequest) -> list[str]:
    """Do what is wanted; what was done, in lines.

    Raises:
        UserError: there is no such study or checkpoint, or the study runs.
    """
    (study,) = find_studies(request.folder, [request.study])
    with supervising(study, say, wait_s=0.0):  # so that no study writes its best meanwhile
        if request.choice is None:
            best = undo_choice(study)
        else:
            best = choose_by_hand(study, request.choice, recorded_trials(study.name, study.parent / STUDIES))
        note_best(study)
        stored = read_json(best / SCORES)
        said = f"the best of {study.name} is trial {stored['training']} at step {stored['step']}: {best}"
        lines = [said, *_crown(study, best)]
    page = write_report(study, study.parent / STUDIES)
    return [*lines, f"the whole study on one page: {page}"]


def parse(arguments: Sequence[str]) -> ChooseRequest:
    """Read what is wanted.

    Raises:
        ConfigError: with every mistake at once.
    """
    words = [argument for argument in arguments if not is_keyed(argument)]
    keys, problems = read_keyed([argument for argument in arguments if is_keyed(argument)], KEYS, (), ("folder",))
    if len(words) != 1:
        problems.append(f"name one study, got {', '.join(words) or 'none'}")
    undo = keys.get("undo", "false")
    if undo not in ("true", "false"):
        problems.append(f"undo must be true or false, got {undo}")
    choice = None
    if undo == "true":
        problems += [f"undo=true takes no {name}=" for name in ("trial", "step", "strength") if name in keys]
    else:
        choice, wrong = _choice(keys)
        problems += wrong
    if problems:
        raise ConfigError(problems)
    return ChooseRequest(study=words[0], folder=Path(keys.get("folder", "multirun")), choice=choice)


def _choice(keys: dict[str, str]) -> tuple[HandChoice | None, list[str]]:
    problems = []
    trial, step, strength = keys.get("trial", ""), keys.get("step", ""), _number(keys.get("strength", "1"))
    if Training.of_name(trial) is None:
        problems.append(f"trial must be the number of one, 7 or 7.1, got {trial or 'none'}")
    if not (step.isascii() and step.isdecimal() and len(step) < 10):
        problems.append(f"step must be a whole number, got {step or 'none'}")
    if not 0 < strength <= _STRONGEST:
        problems.append(f"strength must be above 0 and at most {_STRONGEST:g}, got {keys['strength']}")
    if problems:
        return None, problems
    when = time.strftime("%Y-%m-%d")
    return HandChoice(number=number_of(trial), step=int(step), strength=strength, when=when), []


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _crown(study: Path, best: Path) -> list[str]:
    """Have the tracker show the best, and register it as champion; what came of it, in lines."""
    about = read_mapping(study / "study.yaml")
    config = parse_config(about["config"])
    stored = read_json(best / SCORES)
    chosen = read_chosen(best, stored["chosen_from"])
    if chosen is None:
        raise StudyError(f"{best} is damaged")
    tracker = open_tracker(config.tracking, study.parent)
    try:
        params = {"data.kind": config.data.kind, **about["space"]}
        tracker.start_study(study.name, about["id"], params, (study / "study.yaml").read_text("utf-8"))
        numbers = {**chosen.evaluation.numbers, "strength": chosen.strength}
        register = config.tracking.register != "never"
        words = f"trial {name_of(chosen.number)}, step {chosen.step}"
        version = tracker.register_champion(best, chosen.number, numbers, {}, words, register=register)
        tracker.end_study("finished")
    finally:
        tracker.close()
    if version:
        return [f"champion is version {version} of {config.tracking.model}"]
    return [f"{config.tracking.title} could not show it; the files are complete"] if tracker.num_lost else []


if __name__ == "__main__":
    sys.exit(run_main(main, sys.argv[1:]))
