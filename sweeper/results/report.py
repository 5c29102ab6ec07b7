"""What a study hands over: the folder `best/` with the winning LoRA, its config, scores, pictures and a card."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

from eval.evaluation import Evaluation
from foundation.config.plain import named_numbers, number, plain
from foundation.errors import StudyError
from foundation.files.documents import read_json
from foundation.files.durable import new_folder, write_json, write_text
from foundation.files.sums import damage, write_sums
from sweeper.records.trainings import Training, name_of, number_of
from sweeper.results.card import card
from sweeper.results.file_names import (
    BY_HAND,
    CARD,
    CONFIG_FILE,
    FINALISTS_SHEET,
    PARETO,
    SCORES,
    SHEET,
    STRENGTH_SHEET,
    WEIGHTS,
)
from sweeper.results.web_ui_file import hand_over
from sweeper.results.winner import Chosen, Winner, base_metrics


def write_best(folder: Path, winner: Winner) -> Path:
    """Write everything about the winner to `folder`, in place of what was there, whole or not at all; its path.

    Raises:
        StudyError: the winner's checkpoint holds no LoRA, or a damaged one.
    """
    weights = winner.checkpoint / WEIGHTS
    if not weights.is_file():
        raise StudyError(
            f"the winning checkpoint {winner.checkpoint} has no {WEIGHTS}; run the study again to train it"
        )
    if words := damage(winner.checkpoint):
        raise StudyError(f"{words}; run the study again to train it")
    with new_folder(folder) as fresh:
        shutil.copyfile(weights, fresh / WEIGHTS)
        files = hand_over(winner, fresh)
        write_text(fresh / CONFIG_FILE, winner.config)
        write_json(fresh / SCORES, scores(winner))
        winner.contact_sheet.save(fresh / SHEET)
        if winner.front:
            winner.front.picture.save(fresh / PARETO)
        if winner.finalists_sheet:
            winner.finalists_sheet.save(fresh / FINALISTS_SHEET)
        if winner.strength_sheet:
            winner.strength_sheet.save(fresh / STRENGTH_SHEET)
        write_text(fresh / CARD, card(winner, folder, files))
        write_sums(fresh)
    return folder


def read_chosen(folder: Path, chosen_from: str | None = None) -> Chosen | None:
    """What `write_best` left in `folder`; None where it was chosen from something else, or is not as it was left.

    Without a digest of what it was `chosen_from` it is taken whatever that was.
    """
    try:
        stored = read_json(folder / SCORES)
        if chosen_from not in (None, stored["chosen_from"]) or not (folder / WEIGHTS).is_file() or damage(folder):
            return None
        settings = {int(trial): named_numbers(each) for trial, each in stored.get("settings", {}).items()}
        return Chosen(
            number_of(str(stored.get("training", stored["trial"]))),
            int(stored["step"]),
            float(stored["strength"]),
            Evaluation.from_json(stored["evaluation"]),
            {number_of(name): number(score) for name, score in stored["finalists"].items()},
            str(stored["within_noise"]),
            settings,
            str(stored.get("lead", "")),
            str(stored.get("made_of", "")),
        )
    except (OSError, ValueError, ArithmeticError, LookupError, TypeError, AttributeError):
        return None


def scores(winner: Winner) -> dict[str, object]:
    """Return the winner's numbers for JSON: the evaluation that decided, the base's, the finalists'."""
    return {
        "study": winner.study,
        "chosen_from": winner.chosen_from,
        "trial": Training.of(winner.number).trial,
        "training": name_of(winner.number),
        "step": winner.step,
        **({"made_of": winner.made_of} if winner.made_of else {}),
        "strength": winner.strength,
        "params": {name: _plain(value) for name, value in winner.params.items()},
        "within_noise": winner.within_noise,
        "evaluation": winner.evaluation.to_json(),
        "base": {name: _finite(value) for name, value in base_metrics(winner).items()},
        "finalists": {name_of(number): _finite(value) for number, value in winner.finalists.items()},
        "settings": {str(each.trial): plain(each.numbers) for each in winner.settings if len(each.scores) > 1},
        "lead": winner.lead,
        "refit": winner.refit_words,
        "strengths": {f"{strength:g}": evaluation.to_json() for strength, evaluation in winner.tried.items()},
        **({BY_HAND: winner.by_hand} if winner.by_hand else {}),
    }


def _plain(value: object) -> object:
    if isinstance(value, float):
        return _finite(value)
    return value if value is None or isinstance(value, bool | int | str) else str(value)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
