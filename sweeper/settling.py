"""What is left of a trial that has ended: on disk, and for those who are told of it."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from eval.evaluation import Evaluation
from sweeper.config import Config, Keep
from sweeper.drawing import sheets
from sweeper.history import costs_of, read_evaluations, read_steps, read_validations
from sweeper.objectives import measured
from sweeper.places import state_of
from sweeper.tracking.port import Ended, Shown, TrialEnd
from sweeper.trials import Trial


def tidy(trial: Trial, keep: Keep) -> dict[str, Path]:
    """Delete the training state and, unless all are to stay, all checkpoints but two; where best and last one lie."""
    shutil.rmtree(state_of(trial.folder), ignore_errors=True)
    if trial.best is None:
        return {}
    kept = {"best": trial.checkpoint(trial.best.step), "last": trial.checkpoint(trial.evaluations[-1].step)}
    for folder in (trial.folder / "checkpoints").glob("step-*"):
        if keep == "best" and folder not in kept.values():
            shutil.rmtree(folder)
    return {name: folder for name, folder in kept.items() if folder.exists()}


def chosen(trial: Trial, config: Config) -> dict[str, float]:
    """Step, score and objectives of the checkpoint that counts for a trial; nothing without one."""
    best = trial.best
    if best is None:
        return {}
    return {"step": float(best.step), "score": best.score, **measured(best, config.study.objectives)}


def shown(trial: Trial, evaluations: Sequence[Evaluation], config: Config) -> list[Shown]:
    """A trial's first evaluations, all up to the last of these, as a tracker shows them."""
    pictures = [sheets(config.eval, config.data.trigger, trial.pictures(each.step)) for each in evaluations]
    return list(zip(evaluations, pictures, costs_of(trial.folder, evaluations), strict=True))


def left_behind(trial: Trial, status: TrialEnd, config: Config) -> Ended:
    """All that an earlier process may not have come to show, or to delete, of a trial that it ended."""
    return Ended(
        number=trial.number,
        params=trial.params,
        config=(trial.folder / "config.yaml").read_text(),
        steps=read_steps(trial.folder),
        evaluations=shown(trial, read_evaluations(trial.folder), config),
        validations=tuple(read_validations(trial.folder)),
        status=status,
        reason=trial.reason,
        kept=tidy(trial, config.study.keep),
        chosen=chosen(trial, config),
    )


def in_words(trial: Trial, reason: str) -> str:
    """What the terminal adds to the reason of its end: the best checkpoint, and what its course looks like.

    Without the grounds of the diagnosis where the reason has told them.
    """
    best, diagnosis = trial.best, trial.diagnosis
    told = f", best at step {best.step} with score {best.score:.1f}" if best else ""
    if diagnosis is None:
        return told
    grounds = "" if reason.endswith(trial.evaluations[-1].words) else f": {diagnosis.because}"
    return f"{told}; {diagnosis.kind}{grounds}"
