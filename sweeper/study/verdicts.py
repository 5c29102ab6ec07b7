"""What the study says after an evaluation: the trial goes on, or ends now, as what and why."""

from __future__ import annotations

from collections.abc import Iterable

from sweeper.records.config import Config
from sweeper.records.trainings import Training
from sweeper.records.trials import Status, Trial, has_diverged
from sweeper.study.pruning import why_hopeless


def verdict_on(trial: Trial, trials: Iterable[Trial], config: Config) -> tuple[Status, str] | None:
    """Why `trial`, one of the study's `trials`, should end after its last evaluation, and as what; None to go on.

    As `paused` it leaves its slot and may go on later.
    """
    last = trial.evaluations[-1]
    if last.step >= trial.spec.train.last_step or Training.of(trial.number).is_refit:
        return None  # a refit learns from what it would be judged by
    if last.overfit:
        return ("finished" if trial.has_clean_checkpoint else "pruned"), f"looks overfit: {last.words}"
    if last.past_best and trial.has_clean_checkpoint:
        return "finished", f"past its best: {last.words}"
    if has_diverged(trial.evaluations, config.eval.warmup_evaluations):
        return "pruned", "diverged: validation loss above the base's own"
    if hopeless := why_hopeless(trial, trials, config):
        return ("paused" if config.study.pruner.thaw else "pruned"), f"hopeless: {hopeless}"
    return None
