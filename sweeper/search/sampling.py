"""Who proposes the next trial, and how it proposes a value of a dimension."""

from __future__ import annotations

import warnings

import numpy as np
import optuna
from optuna.exceptions import ExperimentalWarning

from foundation.errors import StudyError
from sweeper.records.study_spec import StudySpec
from sweeper.search.dimension import Choices, Dimension, Space, Value


def sampler_of(spec: StudySpec, number: int, again: int = 0) -> optuna.samplers.BaseSampler:
    """Return Optuna's sampler for the trial with this number; `again` counts its draws that were no new ones.

    A grid is walked by `Search` itself.
    """
    words = [spec.seed, number, again] if again else [spec.seed, number]
    seed = int(np.random.SeedSequence(words).generate_state(1)[0])
    if spec.sampler != "tpe":
        return optuna.samplers.RandomSampler(seed=seed)
    with warnings.catch_warnings():
        # Grouped TPE is marked experimental; its version is pinned with Optuna's.
        warnings.simplefilter("ignore", ExperimentalWarning)
        # group: parameters that depend on an option are modelled with that option. constant_liar: trials that run
        # at the same time count as bad until their result is there, so that they are not drawn beside each other.
        return optuna.samplers.TPESampler(
            seed=seed, n_startup_trials=spec.startup_trials, multivariate=True, group=True, constant_liar=True
        )


def refuse_endless_grid(spec: StudySpec, space: Space) -> None:
    """Raise StudyError for a grid in a space that has no end."""
    if spec.sampler == "grid" and not space.is_finite():
        continuous = ", ".join(each.name for each in space.dimensions if each.domain.values() is None)
        raise StudyError(f"study.sampler=grid takes no continuous dimension, got {continuous}; use choice or range")


def suggest(trial: optuna.Trial, dimension: Dimension) -> Value:
    """Have the sampler draw a dimension's value for a trial."""
    name, domain = dimension.name, dimension.domain
    if isinstance(domain, Choices):
        return trial.suggest_categorical(name, domain.of)
    if domain.integer:
        return trial.suggest_int(name, int(domain.low), int(domain.high), step=int(domain.step or 1), log=domain.log)
    return trial.suggest_float(name, domain.low, domain.high, step=domain.step, log=domain.log)
