"""What was chosen of a study, as its `best/` says."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eval.evaluation import Evaluation
from foundation.config.plain import number
from foundation.files.documents import read_json
from sweeper.page.view import ChoiceView
from sweeper.records.paths import best_of
from sweeper.records.trainings import number_of
from sweeper.results.file_names import BY_HAND, SCORES


@dataclass(frozen=True, kw_only=True, slots=True)
class Scores:
    """What scores.json says."""

    choice: ChoiceView
    evaluation: Evaluation
    finalists: dict[int, float] = field(default_factory=dict)
    """Training by number to its score with fresh seeds."""
    within_noise: str = ""
    lead: str = ""
    refit: str = ""
    made_of: str = ""
    """Of an average, of which checkpoints."""


def read_scores(study: Path) -> Scores | None:
    """Return what `best/scores.json` of a study's folder says; None where there is none, or a damaged one."""
    try:
        stored: dict[str, Any] = read_json(best_of(study) / SCORES)
        evaluation = Evaluation.from_json(stored["evaluation"])
        return Scores(
            choice=ChoiceView(
                trial=int(stored["trial"]),
                training=str(stored.get("training", stored["trial"])),
                step=int(stored["step"]),
                strength=float(stored["strength"]),
                score=evaluation.score,
                metrics=dict(evaluation.metrics),
                by_hand=BY_HAND in stored,
            ),
            evaluation=evaluation,
            finalists={number_of(name): number(score) for name, score in stored["finalists"].items()},
            within_noise=str(stored.get("within_noise", "")),
            lead=str(stored.get("lead", "")),
            refit=str(stored.get("refit", "")),
            made_of=str(stored.get("made_of", "")),
        )
    except (OSError, ValueError, ArithmeticError, LookupError, TypeError, AttributeError):
        return None
