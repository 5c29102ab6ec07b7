"""What a study has chosen, as whoever uses the study from outside wants it: a notebook, a batch, a program."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sweeper.page.choice import read_scores
from sweeper.records.paths import best_of


@dataclass(frozen=True, kw_only=True, slots=True)
class Best:
    """The checkpoint that a study has chosen."""

    folder: Path
    """Its LoRA as diffusers loads it, its card, sheets and `report.html`."""
    trial: int
    training: str
    """The name of the training: the trial's, `7`, of a repeat of it, `7.1`, or of an average, `7 mean`."""
    step: int
    strength: float
    """The LoRA scale to use it at."""
    score: float
    score_se: float
    """Standard error of the score; NaN where it could not be estimated."""
    overfit_index: float
    metrics: Mapping[str, float]
    """Everything that was measured, by name."""
    by_hand: bool
    """Whether a person chose it (`sweeper choose`)."""
    within_noise: str
    """What is to be said where others are no worse; empty else."""

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {**asdict(self), "folder": str(self.folder)}


def read_best(study: Path) -> Best | None:
    """Return what the study in a folder has chosen; None before that, or where it cannot be read."""
    scores = read_scores(study)
    if scores is None:
        return None
    return Best(
        folder=best_of(study),
        trial=scores.choice.trial,
        training=scores.choice.training,
        step=scores.choice.step,
        strength=scores.choice.strength,
        score=scores.evaluation.score,
        score_se=scores.evaluation.score_se,
        overfit_index=scores.evaluation.overfit_index,
        metrics=dict(scores.evaluation.metrics),
        by_hand=scores.choice.by_hand,
        within_noise=scores.within_noise,
    )


def result_of(study: Path) -> dict[str, Any]:
    """Return what a command about the study in a folder gives as its result (`--json`)."""
    best = read_best(study)
    return {"study": study.name, "folder": str(study), "best": best.to_json() if best else None}
