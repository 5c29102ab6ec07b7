"""Who proposes the next trial, and how it proposes a value of a dimension."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Final

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.trial import FrozenTrial, TrialState, create_trial

from eval.metrics.registry import Direction
from foundation.errors import ConfigError, StudyError
from sweeper.records.study_spec import StudySpec
from sweeper.search.cma import ReplayedCma, is_installed
from sweeper.search.dimension import Choices, Dimension, Numbers, Space, Value

_FEW: Final = 3
"""Dimensions that a line names."""


def sampler_of(spec: StudySpec, space: Space, number: int, again: int = 0) -> optuna.samplers.BaseSampler:
    """Return Optuna's sampler for the trial with this number; `again` counts its draws that were no new ones.

    A grid is walked by `Search` itself.
    """
    seed = _seed(spec, number, again)
    match sampler_taken(spec, space):
        case "tpe":
            return _tpe(seed, spec.startup_trials)
        case "gp":
            return optuna.samplers.GPSampler(
                seed=seed, n_startup_trials=spec.startup_trials, warn_independent_sampling=False
            )
        case "cmaes":
            return ReplayedCma(seed, optuna.samplers.TPESampler(seed=seed, n_startup_trials=spec.startup_trials))
        case _:
            return optuna.samplers.RandomSampler(seed=seed)


def sampler_by_earlier(spec: StudySpec, number: int, again: int, *, by_trials: bool) -> optuna.samplers.BaseSampler:
    """Return the sampler for a trial that would be drawn at random if there were no earlier studies.

    It models the trials that it is shown, however few, where they are those of an earlier study, `by_trials`.
    """
    seed = _seed(spec, number, again)
    return _tpe(seed, 0) if by_trials else optuna.samplers.RandomSampler(seed=seed)


def sampler_taken(spec: StudySpec, space: Space) -> str:
    """Return the sampler by name, and which one where the study leaves it open: see `StudySpec.sampler`."""
    if spec.sampler != "auto":
        return spec.sampler
    return "gp" if all(_is_plain_number(each) for each in space.dimensions) else "tpe"


def words_on_sampler(spec: StudySpec, space: Space) -> list[str]:
    """Say which sampler an open study takes, and why, or what CMA-ES leaves to another; nothing where that is plain."""
    if not space.dimensions:
        return []
    choices = [each.name for each in space.dimensions if not _is_plain_number(each)]
    few = [*choices[:_FEW], *([f"and {len(choices) - _FEW} more"] if len(choices) > _FEW else [])]
    several = "are no numbers that always count" if len(few) > 1 else "is no number that always counts"
    if spec.sampler == "cmaes" and choices:
        return [f"study.sampler=cmaes leaves to tpe what is no number that always counts: {', '.join(few)}"]
    if spec.sampler != "auto":
        return []
    why = f"since {', '.join(few)} {several}" if choices else "for numbers"
    return [f"study.sampler=auto takes {sampler_taken(spec, space)}, {why}"]


def with_lies(trials: Sequence[FrozenTrial], directions: Sequence[Direction]) -> list[FrozenTrial]:
    """Return the trials with each running one as if it had ended with the worst value so far of each objective.

    Optuna's Gaussian process does not see running trials, and would draw the same beside them again and again; its TPE
    has this by itself. Source: the constant liar of Ginsbourger et al. 2010, doi:10.1007/978-3-642-10701-6_6.
    """
    told = [each for each in trials if each.state == TrialState.COMPLETE]
    if not told:
        return list(trials)
    worst = [
        (min if direction == "maximize" else max)(each.values[place] for each in told)
        for place, direction in enumerate(directions)
    ]
    return [_as_if(each, worst) if each.state == TrialState.RUNNING else each for each in trials]


def _as_if(trial: FrozenTrial, values: Sequence[float]) -> FrozenTrial:
    return create_trial(params=trial.params, distributions=trial.distributions, values=values)


def _is_plain_number(dimension: Dimension) -> bool:
    return isinstance(dimension.domain, Numbers) and dimension.condition is None


def _tpe(seed: int, startup_trials: int) -> optuna.samplers.BaseSampler:
    with warnings.catch_warnings():
        # Grouped TPE is marked experimental; its version is pinned with Optuna's.
        warnings.simplefilter("ignore", ExperimentalWarning)
        # group: parameters that depend on an option are modelled with that option. constant_liar: trials that run
        # at the same time count as bad until their result is there, so that they are not drawn beside each other.
        return optuna.samplers.TPESampler(
            seed=seed, n_startup_trials=startup_trials, multivariate=True, group=True, constant_liar=True
        )


def refuse_unfit(spec: StudySpec, space: Space) -> None:
    """Refuse a sampler that cannot draw from the space.

    Raises:
        StudyError: a grid in a space that has no end, or CMA-ES in one without numbers that always count.
        ConfigError: the sampler's library is not installed.
    """
    if spec.sampler == "grid" and not space.is_finite():
        continuous = ", ".join(each.name for each in space.dimensions if each.domain.values() is None)
        raise StudyError(f"study.sampler=grid takes no continuous dimension, got {continuous}; use choice or range")
    if spec.sampler != "cmaes":
        return
    if not is_installed():
        raise ConfigError(["study.sampler=cmaes is not installed; run `pip install cmaes` or choose another"])
    if not any(map(_is_plain_number, space.dimensions)):
        names = ", ".join(each.name for each in space.dimensions) or "nothing"
        raise StudyError(
            "study.sampler=cmaes models numbers that count in every trial (interval, range), and there is none among "
            f"{names}; study.sampler=tpe models the others, too"
        )


def distribution_of(dimension: Dimension) -> BaseDistribution:
    """Return what Optuna knows a dimension as, the same as of a trial that `suggest` drew."""
    domain = dimension.domain
    if isinstance(domain, Choices):
        return CategoricalDistribution(domain.of)
    if domain.integer:
        return IntDistribution(int(domain.low), int(domain.high), log=domain.log, step=int(domain.step or 1))
    return FloatDistribution(domain.low, domain.high, log=domain.log, step=domain.step)


def suggest(trial: optuna.Trial, dimension: Dimension) -> Value:
    """Have the sampler draw a dimension's value for a trial."""
    name, domain = dimension.name, dimension.domain
    if isinstance(domain, Choices):
        return trial.suggest_categorical(name, domain.of)
    if domain.integer:
        return trial.suggest_int(name, int(domain.low), int(domain.high), step=int(domain.step or 1), log=domain.log)
    return trial.suggest_float(name, domain.low, domain.high, step=domain.step, log=domain.log)


def _seed(spec: StudySpec, number: int, again: int) -> int:
    words = [spec.seed, number, again] if again else [spec.seed, number]
    return int(np.random.SeedSequence(words).generate_state(1)[0])
