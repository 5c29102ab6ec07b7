"""Does what `sweeper choose` wants: the best of a study and the champion by a person's choice, or the judge's again."""

from __future__ import annotations

from pathlib import Path

from foundation.console import say
from foundation.errors import StudyError
from foundation.files.documents import read_json, read_mapping
from foundation.json_output import give
from sweeper.best import result_of
from sweeper.holdings import find_studies
from sweeper.page.file import write_report
from sweeper.records.config import parse_config
from sweeper.records.hand_choice import HandChoice
from sweeper.records.lease import supervising
from sweeper.records.paths import STUDIES
from sweeper.records.trainings import name_of
from sweeper.results.by_hand import choose_by_hand, undo_choice
from sweeper.results.file_names import SCORES
from sweeper.results.report import read_chosen
from sweeper.search.recorded import recorded_trials
from sweeper.study.finished import note_best
from sweeper.tracking import open_tracker


def choose(name: str, folder: Path, choice: HandChoice | None) -> list[str]:
    """Choose for the study of this name in a folder of studies, or undo the last choice; what was done, in lines.

    Raises:
        UserError: there is no such study or checkpoint, or the study runs.
    """
    (study,) = find_studies(folder, [name])
    with supervising(study, say, wait_s=0.0):  # so that no study writes its best meanwhile
        if choice is None:
            best = undo_choice(study)
        else:
            best = choose_by_hand(study, choice, recorded_trials(study.name, study.parent / STUDIES))
        note_best(study)
        stored = read_json(best / SCORES)
        what = f"trial {stored['training']} at step {stored['step']}"
        made = f", {stored['made_of']}" if stored.get("made_of") else ""
        said = f"the best of {study.name} is {what}{made}: {best}"
        lines = [said, *_crown(study, best)]
    give(**result_of(study))
    page = write_report(study, study.parent / STUDIES)
    return [*lines, f"the whole study on one page: {page}"]


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
        words = chosen.made_of or f"trial {name_of(chosen.number)}, step {chosen.step}"
        version = tracker.register_champion(best, chosen.number, numbers, {}, words, register=register)
        tracker.end_study("finished")
    finally:
        tracker.close()
    if version:
        return [f"champion is version {version} of {config.tracking.model}"]
    return [f"{config.tracking.title} could not show it; the files are complete"] if tracker.num_lost else []
