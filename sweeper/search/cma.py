"""Optuna's CMA-ES without pickles: its state is made anew of the study's trials."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Mapping
from typing import Any, Final

import optuna
from optuna._transform import _SearchSpaceTransform
from optuna.distributions import BaseDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.trial import FrozenTrial

GENERATION: Final = "cma:generation"
"""The attribute in which a trial keeps of which generation it is; all else follows from the trials."""


class ReplayedCma(optuna.samplers.CmaEsSampler):
    """CMA-ES over the numbers that always count; what else there is `others` draws.

    Optuna keeps the state as a pickle in the database, and nothing that lies in a file is unpickled here. The state
    follows from the trials of each generation, in their order, so it is computed again for every draw: some
    milliseconds for hundreds of trials. A pruned trial counts with the last score that it had.
    """

    def __init__(self, seed: int, others: optuna.samplers.BaseSampler) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)  # that pruned trials count
            super().__init__(
                seed=seed, independent_sampler=others, warn_independent_sampling=False, consider_pruned_trials=True
            )
        self._seen: tuple[optuna.Study, Mapping[str, BaseDistribution]] | None = None

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Optuna's, which asks `_restore_optimizer` for the state."""
        self._seen = study, search_space
        return super().sample_relative(study, trial, search_space)

    def _restore_optimizer(self, completed_trials: list[FrozenTrial]) -> Any:
        """The state after all whole generations, as `sample_relative` would have left it."""
        assert self._seen is not None
        study, space = self._seen
        transform = _SearchSpaceTransform(dict(space), transform_step=True, transform_0_1=True)
        optimizer = self._init_optimizer(transform, study.direction)
        sign = 1 if study.direction == optuna.study.StudyDirection.MINIMIZE else -1
        while True:
            told = self._get_solution_trials(completed_trials, optimizer.generation)[: optimizer.population_size]
            if len(told) < optimizer.population_size:
                return optimizer
            optimizer.tell([(transform.transform(each.params), sign * (each.value or 0.0)) for each in told])


def is_installed() -> bool:
    """Whether the library is there that Optuna's CMA-ES needs."""
    return importlib.util.find_spec("cmaes") is not None
