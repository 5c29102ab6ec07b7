"""A person's choice: any checkpoint that is still there becomes the best, and the judge's is kept to go back to."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from PIL import Image

from eval.diagnosis import diagnose
from eval.evaluation import Evaluation
from eval.prompts import with_trigger
from foundation.bases.folder import base_location
from foundation.errors import StudyError
from foundation.files.documents import read_json, read_mapping
from foundation.files.durable import new_folder
from foundation.files.sums import damage
from foundation.pictures.sheets import Row, contact_sheet
from sweeper.records.config import Config, parse_config
from sweeper.records.hand_choice import HandChoice
from sweeper.records.history import (
    read_base_images,
    read_base_names,
    read_config,
    read_config_values,
    read_evaluations,
)
from sweeper.records.paths import best_of, checkpoint_of, pictures_of, trial_of
from sweeper.records.pictures import PROMPT, open_picture, picture_name
from sweeper.records.trainings import Training, name_of
from sweeper.records.trials import best_checkpoint
from sweeper.results.file_names import BY_HAND, SCORES, WEIGHTS
from sweeper.results.report import write_best
from sweeper.results.winner import TrialSummary, Winner
from sweeper.search.recorded import RecordedTrial
from sweeper.study.reruns import made_of
from train.spec.layer_lr import LAYER_LR

BEFORE: Final = "best_before"
"""In a study's folder: what was best before a person chose, until that is undone."""
_SHEET_PROMPTS: Final = 6


def choose_by_hand(study: Path, choice: HandChoice, recorded: Sequence[RecordedTrial]) -> Path:
    """Make a checkpoint the best of the study in a folder; that folder of the best.

    What was best before is kept beside it, but for what was chosen by hand, too. `recorded` are the study's trials.

    Raises:
        StudyError: the checkpoint is not there, or was not judged.
        UserError: the study's own files are damaged.
    """
    trial, best = trial_of(study, choice.number), best_of(study)
    evaluation = next((each for each in read_evaluations(trial) if each.step == choice.step), None)
    checkpoint = checkpoint_of(trial, choice.step)
    if not (checkpoint / WEIGHTS).is_file():
        there = sorted(int(path.name.rpartition("-")[2]) for path in (trial / "checkpoints").glob("step-*"))
        steps = f"; there are steps {', '.join(map(str, there))}" if there else ""
        who = f"trial {name_of(choice.number)} of {study.name}"
        raise StudyError(f"{who} has no checkpoint of step {choice.step}{steps}")
    if evaluation is None:
        raise StudyError(f"step {choice.step} of trial {name_of(choice.number)} was not judged")
    if words := damage(checkpoint):
        raise StudyError(words)
    stored = _stored_scores(best)
    winner = _winner(study, choice, evaluation, stored, recorded)
    if (best / SCORES).is_file() and BY_HAND not in stored:
        with new_folder(study / BEFORE) as fresh:
            shutil.copytree(best, fresh, dirs_exist_ok=True)
    return write_best(best, winner)


def undo_choice(study: Path) -> Path:
    """Make what was best before a person chose the best again; its folder.

    Raises:
        StudyError: nobody chose by hand.
    """
    before, best = study / BEFORE, best_of(study)
    if not (before / SCORES).is_file():
        raise StudyError(f"nobody chose a checkpoint of {study.name} by hand, so there is nothing to undo")
    with new_folder(best) as fresh:
        shutil.copytree(before, fresh, dirs_exist_ok=True)
    shutil.rmtree(before)
    return best


def _stored_scores(best: Path) -> dict[str, Any]:
    try:
        stored = read_json(best / SCORES)
    except (OSError, ValueError):
        return {}
    return stored if isinstance(stored, dict) else {}


def _winner(
    study: Path,
    choice: HandChoice,
    evaluation: Evaluation,
    stored: Mapping[str, Any],
    recorded: Sequence[RecordedTrial],
) -> Winner:
    """All that the card tells of the choice."""
    trial = trial_of(study, choice.number)
    config = parse_config(read_mapping(study / "study.yaml")["config"])
    own = next((each for each in recorded if each.number == Training.of(choice.number).trial), None)
    judged = ""
    if "training" in stored and BY_HAND not in stored:
        judged = f"; the judge had chosen trial {stored['training']} at step {stored['step']}"
    by_votes = f", by {choice.votes} votes between pairs of pictures" if choice.votes else ""
    names, made = _prompts(study, config), made_of(study, choice.number)
    of_what = "those with fresh seeds, beside the finalists" if made else "those of its own trial"
    return Winner(
        study=study.name,
        number=choice.number,
        step=choice.step,
        checkpoint=checkpoint_of(trial, choice.step),
        config=read_config(trial),
        evaluation=evaluation,
        base_metrics={name: value for name, value in stored.get("base", {}).items() if isinstance(value, int | float)},
        metrics=config.eval.metrics,
        chosen_from=str(stored.get("chosen_from", "")),
        made_of=made,
        how_chosen=f"A person chose it on {choice.when}{by_votes}{judged}. The scores are {of_what}.",
        contact_sheet=_sheet(study, choice, names),
        base=base_location(config.base),
        trigger=config.data.trigger,
        prompt=names[0] if names else config.data.trigger,
        resolution=config.base.resolution,
        sample_steps=config.base.sample_steps,
        guidance_scale=config.base.guidance_scale,
        params=_settings(study, own) if own else {},
        trials=[_summary(study, each, config.eval.thresholds.clean) for each in recorded],
        strength=choice.strength,
        by_hand=choice.when,
    )


def _prompts(study: Path, config: Config) -> list[str]:
    """What the trials' pictures are of."""
    named = [name.partition("/")[2].partition(" ")[2] for name in read_base_names(study) if name.startswith("samples/")]
    return named or [with_trigger(prompt, config.data.trigger) for prompt in config.eval.prompts]


def _sheet(study: Path, choice: HandChoice, prompts: Sequence[str]) -> Image.Image:
    """The base's pictures beside the checkpoint's, with the first seed; a blank one where they are gone."""
    own = pictures_of(trial_of(study, choice.number), choice.step)
    base = next((file.parent for _, file in read_base_images(study)), None)
    rows = []
    for number, prompt in enumerate(prompts[:_SHEET_PROMPTS]):
        name = picture_name(PROMPT, number, 0)
        if base is not None and (own / name).is_file() and (base / name).is_file():
            rows.append(Row(prompt=prompt, base=[open_picture(base / name)], best=[open_picture(own / name)]))
    title = f"{study.name}: trial {name_of(choice.number)}, step {choice.step}, chosen by hand"
    return contact_sheet(title, "as its trial drew it, at strength 1", [0], rows) if rows else Image.new("RGB", (1, 1))


def _summary(study: Path, trial: RecordedTrial, clean: float) -> TrialSummary:
    evaluations = read_evaluations(trial_of(study, trial.number))
    best = best_checkpoint(evaluations, clean)
    return TrialSummary(
        number=trial.number,
        params=_settings(study, trial),
        status=trial.status,
        score=best.score if best else None,
        step=best.step if best else None,
        reason=trial.reason,
        diagnosis=diagnose(evaluations, clean),
    )


def _settings(study: Path, trial: RecordedTrial) -> dict[str, object]:
    """Its parameters as people set them: see `records.trials.Trial.settings`."""
    if not any(name.endswith(LAYER_LR) for name in trial.params):
        return dict(trial.params)
    rate = (read_config_values(trial_of(study, trial.number)).get("optimizer") or {}).get("lr")
    return {
        name.replace(LAYER_LR, "lr"): rate if name.endswith(LAYER_LR) else value for name, value in trial.params.items()
    }
