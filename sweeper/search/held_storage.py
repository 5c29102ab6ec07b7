"""Optuna's storage for a process that alone writes to a study: what it has read and written it need not read again.

Optuna's own cache reads all trials that have not ended anew at each question, since others may write to them; here
the lease sees to it that nobody does. With that, what a trial costs does not grow with the trials before it.
"""

from __future__ import annotations

import json
from collections.abc import Container, Sequence
from copy import deepcopy
from datetime import datetime
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.storages import RDBStorage
from optuna.storages._cached_storage import _CachedStorage
from optuna.trial import FrozenTrial, TrialState

from foundation.files.documents import parse_json


class HeldStorage(_CachedStorage):
    """A cache of `backend` that holds all trials of a study once it was asked for them. For one thread.

    Trials that are handed out without `deepcopy` are its own, and change as they are written to.
    """

    def __init__(self, backend: RDBStorage) -> None:
        super().__init__(backend)
        self._held: dict[int, list[FrozenTrial]] = {}
        self._by_id: dict[int, FrozenTrial] = {}

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        """See Optuna; without `states` and `deepcopy` the list is new, and the trials are not."""
        held = self._trials(study_id)
        found = list(held) if states is None else [each for each in held if each.state in states]
        return _copies(found) if deepcopy else found

    def get_trial(self, trial_id: int) -> FrozenTrial:
        """See Optuna."""
        held = self._by_id.get(trial_id)
        return super().get_trial(trial_id) if held is None else deepcopy(held)

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        """See Optuna."""
        held = self._trials(study_id)
        trial_id = super().create_new_trial(study_id, template_trial)
        made = self._studies[study_id].trials[len(held)]
        held.append(made)
        self._by_id[trial_id] = made
        return trial_id

    def delete_study(self, study_id: int) -> None:
        """See Optuna."""
        for trial in self._held.pop(study_id, []):
            del self._by_id[trial._trial_id]
        super().delete_study(study_id)

    def set_trial_param(
        self, trial_id: int, param_name: str, param_value_internal: float, distribution: BaseDistribution
    ) -> None:
        """See Optuna."""
        self._must_run(trial_id)
        super().set_trial_param(trial_id, param_name, param_value_internal, distribution)
        if trial := self._by_id.get(trial_id):
            value = distribution.to_external_repr(param_value_internal)
            trial.params = {**trial.params, param_name: value}
            trial.distributions = {**trial.distributions, param_name: distribution}

    def set_trial_state_values(self, trial_id: int, state: TrialState, values: Sequence[float] | None = None) -> bool:
        """See Optuna."""
        self._must_run(trial_id)
        is_set = super().set_trial_state_values(trial_id, state, values)
        trial = self._by_id.get(trial_id)
        if trial is not None and is_set:
            trial.state = state
            trial.values = trial.values if values is None else list(values)
            trial.datetime_complete = datetime.now() if state.is_finished() else None
        return is_set

    def set_trial_intermediate_value(self, trial_id: int, step: int, intermediate_value: float) -> None:
        """See Optuna."""
        self._must_run(trial_id)
        super().set_trial_intermediate_value(trial_id, step, intermediate_value)
        if trial := self._by_id.get(trial_id):
            trial.intermediate_values[step] = intermediate_value

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        """See Optuna."""
        self._must_run(trial_id)
        super().set_trial_user_attr(trial_id, key, value)
        if trial := self._by_id.get(trial_id):
            trial.user_attrs = {**trial.user_attrs, key: _as_stored(value)}

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        """See Optuna."""
        self._must_run(trial_id)
        super().set_trial_system_attr(trial_id, key, value)
        if trial := self._by_id.get(trial_id):
            trial.system_attrs = {**trial.system_attrs, key: _as_stored(value)}

    def _must_run(self, trial_id: int) -> None:
        """Refuse to write to a trial that has ended, as Optuna's storages do.

        Raises:
            UpdateFinishedTrialError: it has.
        """
        if (trial := self._by_id.get(trial_id)) is not None:
            self.check_trial_is_updatable(trial_id, trial.state)

    def _trials(self, study_id: int) -> list[FrozenTrial]:
        if study_id not in self._held:
            held = super().get_all_trials(study_id, deepcopy=False)
            self._held[study_id] = held
            self._by_id |= {trial._trial_id: trial for trial in held}
        return self._held[study_id]


def _copies(trials: list[FrozenTrial]) -> list[FrozenTrial]:
    return deepcopy(trials)


def _as_stored(value: Any) -> Any:
    """As it comes back from a database: tuples are lists there, and keys are texts."""
    return parse_json(json.dumps(value), "an attribute")
