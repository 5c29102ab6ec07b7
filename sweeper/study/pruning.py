"""When a running trial is hopeless beside the others. Rules over what was judged: no Optuna, no disk, no clock.

The rules are those of Optuna's pruners, and the tests hold them to these decision by decision. Optuna's own say only
yes or no, while a person is owed the reason; they refuse studies of several objectives, and halving keeps notes in its
storage (docs/decisions/006-pruning-by-courses.md). Here a trial is always held against others by its score.
"""

from __future__ import annotations

import math
import statistics
from binascii import crc32
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from eval.aims import aim_of
from eval.evaluation import OF_THE_BASE, Evaluation, value_of
from sweeper.records.config import Config
from sweeper.records.trials import Trial


def why_hopeless(trial: Trial, trials: Iterable[Trial], config: Config) -> str | None:
    """Why `trial` should end after its last evaluation, beside all of the study's `trials`; None when it should go on.

    None by any rule before `study.pruner.startup_trials` have finished, and at least one; by none but the halvings,
    which count steps, while its optimizer still seeks its step size.
    """
    spec = config.study.pruner
    waits = spec.name in ("median", "wilcoxon") and _may_still_rise(trial, config)
    if not trial.evaluations or waits:
        return None  # before the others are looked at, who may be thousands
    trials = list(trials)
    finished = [each for each in trials if each.status == "finished" and each.evaluations]
    if len(finished) < max(1, spec.startup_trials):
        return None
    match spec.name:
        case "median":
            return _below_median(trial, finished, config)
        case "wilcoxon":
            return _behind_best(trial, finished, config)
        case "asha":
            return _is_halved(trial, trials, 0, config)
        case "hyperband":
            number = bracket(trial.number, config)
            rivals = [each for each in trials if bracket(each.number, config) == number]
            reason = _is_halved(trial, rivals, number, config)
            return reason and f"{reason} in its bracket"
        case "none":
            return None


def standing(trial: Trial, config: Config) -> float:
    """What a trial is held against others by after its last evaluation, more being better."""
    if config.study.pruner.name in ("asha", "hyperband"):
        return config.study.sign * value_of(trial.evaluations[-1])
    return _soon(trial, config) + _doubt(trial, config)


def rivals_of(trial: Trial, config: Config) -> int:
    """Which trials it is held against: hyperband's bracket, one for all by any other rule."""
    return bracket(trial.number, config) if config.study.pruner.name == "hyperband" else 0


def _may_still_rise(trial: Trial, config: Config) -> bool:
    """Whether a comparison must wait: the trial warms up, seeks its rate, or had a new best within its patience."""
    spec, scores = config.study.pruner, _scores(trial, config)
    if len(scores) <= spec.warmup_evaluations or trial.seeks_rate:
        return True
    if spec.patience is None:
        return False
    before, lately = scores[: -spec.patience - 1], scores[-spec.patience - 1 :]
    return not before or max(lately) - max(before) >= spec.min_improvement


def _below_median(trial: Trial, finished: Sequence[Trial], config: Config) -> str | None:
    step, sign = trial.evaluations[-1].step, config.study.sign
    others = [sign * value_of(seen) for each in finished for seen in each.evaluations if seen.step == step]
    best, soon = max(_scores(trial, config)), _soon(trial, config)
    if not others or soon + _doubt(trial, config) >= statistics.median(others):
        return None
    side, median = "below" if sign > 0 else "above", sign * statistics.median(others)
    pace = f" (soon {sign * soon:.4g}, at its pace)" if soon > best else ""
    return f"best score {sign * best:.4g}{pace} is {side} the median {median:.4g} of {len(others)} at step {step}"


def _behind_best(trial: Trial, finished: Sequence[Trial], config: Config) -> str | None:
    """The trial at its best so far against the study's best trial at this step, or where that ended before.

    Paired by prompts, since some are harder than others. How far it came is not the score, so that
    must be behind, too.

    Source: Wilcoxon 1945, Individual comparisons by ranking methods; zeros split as in Optuna's WilcoxonPruner.
    """
    step, sign = trial.evaluations[-1].step, config.study.sign
    best = max(finished, key=lambda each: _rank(each, sign))
    there = [seen for seen in best.evaluations if seen.step <= step]
    if not there or _soon(trial, config) >= max(sign * value_of(seen) for seen in there):
        return None
    theirs = _aims(there[-1])
    comparable = [aims for aims in map(_aims, trial.evaluations) if len(aims) == len(theirs) > 0]
    if not comparable:
        return None
    own = max(comparable, key=lambda aims: float(aims.mean()))
    difference = own - theirs
    from scipy.stats import wilcoxon  # takes seconds to import, which a study that does not ask for it need not wait

    p = float(wilcoxon(difference, alternative="less", zero_method="zsplit").pvalue)
    if p >= config.study.pruner.p_threshold or difference.mean() >= 0:
        return None
    aim, fewer = aim_of(there[-1].metrics).metric, int((difference < 0).sum())
    behind = f"{aim} is behind trial {best.number}'s in {fewer} of {len(own)} prompts"
    return f"{behind} at step {there[-1].step}, p = {p:.2g}"


def _is_halved(trial: Trial, rivals: Sequence[Trial], number: int, config: Config) -> str | None:
    """Whether the trial came to a rung now and is not among the best share of those that came there so far.

    Source: Li et al. 2020, A system for massively parallel hyperparameter tuning (ASHA), arXiv:1810.05934.
    """
    spec, sign = config.study.pruner, config.study.sign
    step, before = trial.evaluations[-1].step, trial.evaluations[-2].step if len(trial.evaluations) > 1 else 0
    own = sign * value_of(trial.evaluations[-1])
    for rung in _rungs(config)[number:]:
        if before < rung <= step:
            there = [next((seen for seen in each.evaluations if seen.step >= rung), None) for each in rivals]
            scores = sorted((sign * value_of(seen) for seen in there if seen is not None), reverse=True)
            places = max(1, len(scores) // spec.reduction_factor)
            if own < scores[places - 1]:
                return (
                    f"score {sign * own:.4g} is not among the best {places} of {len(scores)} that came to step {rung}"
                )
    return None


def bracket(number: int, config: Config) -> int:
    """Return hyperband's bracket of a trial: its first halving is at rung so-and-so. Drawn by the numbers' hash.

    Source: Li et al. 2018, Hyperband, JMLR 18(185); shares and hash as in Optuna's HyperbandPruner.
    """
    factor, count = config.study.pruner.reduction_factor, len(_rungs(config))
    shares = [math.ceil(count * factor ** (count - 1 - each) / (count - each)) for each in range(count)]
    place = crc32(f"{config.study.name}_{number}".encode()) % sum(shares)
    return next(each for each in range(count) if place < sum(shares[: each + 1]))


def _rungs(config: Config) -> list[int]:
    """The steps at which trials are halved; at least one."""
    spec, every, steps = config.study.pruner, config.eval.every, config.train.num_steps
    rungs = [min(max(spec.warmup_evaluations * every, every), steps)]
    while rungs[-1] * spec.reduction_factor <= steps:
        rungs.append(rungs[-1] * spec.reduction_factor)
    return rungs


def _scores(trial: Trial, config: Config) -> list[float]:
    """The trial's scores in order of steps, higher being better."""
    return [config.study.sign * value_of(seen) for seen in trial.evaluations]


def _soon(trial: Trial, config: Config) -> float:
    """The trial's best score, and on top of it what its last gain brings if it goes on for the study's lookahead.

    The first gain is over the base's score.
    """
    *before, last = _scores(trial, config)
    gain = last - max(before, default=OF_THE_BASE)
    return max([*before, last]) + config.study.pruner.lookahead * max(0.0, gain)


def _doubt(trial: Trial, config: Config) -> float:
    """Points by which the trial's last score may lie too low: so many of its standard errors as the study grants."""
    error = trial.evaluations[-1].score_se
    return config.study.pruner.margin * (error if math.isfinite(error) else 0.0)


def _rank(trial: Trial, sign: int) -> tuple[bool, float, int]:
    """Best last: by its chosen checkpoint, of equals the earlier."""
    assert trial.best is not None
    return trial.is_clean(trial.best), sign * value_of(trial.best), -trial.number


def _aims(evaluation: Evaluation) -> NDArray[np.float64]:
    """(P,) how far each prompt's pictures came; (0,) where any could not be measured."""
    aims = np.array(evaluation.prompt_aims, dtype=np.float64)
    return aims if np.isfinite(aims).all() else aims[:0]
