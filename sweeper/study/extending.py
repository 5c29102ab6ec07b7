"""A trial that still rises at its end, and may become the best, gets more steps where its curve allows that.

A curve that falls to its end is made for so many steps, and has nothing left after them. A flat one may go on from any
step.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from eval.evaluation import OF_THE_BASE, value_of
from sweeper.records.config import Config
from sweeper.records.trials import Trial
from sweeper.study.pruning import standing
from train.spec import TrialSpec


def as_long_as(spec: TrialSpec, step: int) -> TrialSpec:
    """The spec of a trial that has come to this step, which it may have been given beyond those that it began with."""
    return spec if step <= spec.train.last_step else replace(spec, train=replace(spec.train, steps=step))


def steps_beyond(trial: Trial, trials: Iterable[Trial], config: Config) -> int | None:
    """The step of the evaluation to which `trial`, beside the study's `trials`, goes on past its end; None for nowhere.

    It goes on where its last checkpoint is its best, is better than the one before by `study.pruner.min_improvement`
    points, and with such a gain once more the trial would be the best of those that have finished; up to
    `study.extend` times the steps that the study gives.
    """
    spec, last = trial.spec, trial.evaluations[-1]
    steps = last.step + config.eval.every
    if spec.lr_scheduler.falls or spec.adapter.name == "adalora" or spec.train.stop_after is not None:
        return None
    if steps > config.study.extend * config.train.num_steps or last.past_best or not _rises(trial, config):
        return None
    sign = config.study.sign
    best = [sign * value_of(each.best) for each in trials if each.status == "finished" and each.best is not None]
    return None if best and standing(trial, config) < max(best) else steps


def _rises(trial: Trial, config: Config) -> bool:
    """Whether the last checkpoint is clean, and better than all before by what counts as an improvement."""
    *before, last = trial.evaluations
    best = max((config.study.sign * value_of(each) for each in before if trial.is_clean(each)), default=OF_THE_BASE)
    gain = config.study.sign * value_of(last) - best
    return trial.is_clean(last) and gain >= config.study.pruner.min_improvement
