"""What the study says after an evaluation: the trial goes on, leaves its slot for a while, or ends, and why."""

from __future__ import annotations

from collections.abc import Iterable

from sweeper.records.config import Config
from sweeper.records.trainings import Training
from sweeper.records.trials import Status, Trial, has_diverged
from sweeper.study.audit import as_if_ended, is_audited, spare
from sweeper.study.extending import steps_beyond
from sweeper.study.pruning import why_hopeless


def verdict_on(
    trial: Trial, trials: Iterable[Trial], config: Config, spent: str | None = None
) -> tuple[Status, str] | None:
    """As what `trial`, one of the study's `trials`, leaves its slot after its last evaluation, and why; None to go on.

    As `paused` and `waiting` it may go on later: once it is hopeless no more, or with more steps than it had. `spent`
    is why the study has no time left, if so. One that is audited goes on though it is hopeless; what would have ended
    it is noted in its folder.
    """
    last = trial.evaluations[-1]
    if Training.of(trial.number).is_refit:
        return None  # it learns from what it would be judged by
    if last.step >= trial.spec.train.last_step:
        steps = None if spent else steps_beyond(trial, trials, config)
        return None if steps is None else ("waiting", f"still rises, and goes on to step {steps}")
    kept: Status = "finished" if trial.has_clean_checkpoint else "pruned"
    if last.overfit:
        return kept, f"looks overfit: {last.words}"
    if last.past_best and trial.has_clean_checkpoint:
        return "finished", f"past its best: {last.words}"
    if has_diverged(trial.evaluations, config.eval.warmup_evaluations):
        return "pruned", "diverged: validation loss above the base's own"
    if hopeless := why_hopeless(trial, as_if_ended(trials, config.study), config):
        if not is_audited(trial.number, config.study):
            return ("paused" if config.study.pruner.thaw and not spent else "pruned"), f"hopeless: {hopeless}"
        spare(trial, f"hopeless: {hopeless}")
    return (kept, spent) if spent else None
