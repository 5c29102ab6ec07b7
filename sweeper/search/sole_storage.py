"""Optuna's storage for a process that alone writes to a study: the same rows by fewer questions.

Optuna asks before each row whether the trial may be written to, whether the row is there, and of a parameter whether
earlier trials drew it from the like; for each it makes an object to be compared with the row. Who alone writes needs
none of this: `HeldStorage` knows which trials have ended, the study's fingerprint what they are drawn from. So a row
is put in, or replaced, by one statement.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from optuna.distributions import BaseDistribution, distribution_to_json
from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session


class SoleWriterStorage(RDBStorage):
    """`RDBStorage` in SQLite or PostgreSQL whose writes of a trial look nothing up. All rows are as Optuna's."""

    def _set_trial_param_without_commit(
        self,
        session: Session,
        trial_id: int,
        param_name: str,
        param_value_internal: float,
        distribution: BaseDistribution,
        previous_distribution: BaseDistribution | None = None,
    ) -> None:
        told = distribution_to_json(distribution)
        key = {"trial_id": trial_id, "param_name": param_name}
        row = {"param_value": param_value_internal, "distribution_json": told}
        session.add(models.TrialParamModel(**key, **row))  # of a new trial, with its others in one statement

    def _set_trial_value_without_commit(
        self, session: Session, trial: models.TrialModel, objective: int, value: float
    ) -> None:
        stored, kind = models.TrialValueModel.value_to_stored_repr(value)
        key = {"trial_id": trial.trial_id, "objective": objective}
        self._put(session, models.TrialValueModel, key, {"value": stored, "value_type": kind})

    def _set_trial_intermediate_value_without_commit(
        self, session: Session, trial_id: int, step: int, intermediate_value: float
    ) -> None:
        model = models.TrialIntermediateValueModel
        stored, kind = model.intermediate_value_to_stored_repr(intermediate_value)
        row = {"intermediate_value": stored, "intermediate_value_type": kind}
        self._put(session, model, {"trial_id": trial_id, "step": step}, row)

    def _set_trial_attr_without_commit(
        self,
        session: Session,
        model_cls: type[models.TrialUserAttributeModel | models.TrialSystemAttributeModel],
        trial_id: int,
        key: str,
        value: Any,
    ) -> None:
        self._put(session, model_cls, {"trial_id": trial_id, "key": key}, {"value_json": json.dumps(value)})

    def _put(self, session: Session, model: Any, key: Mapping[str, Any], row: Mapping[str, Any]) -> None:
        """Insert a row, or replace what is there under its key."""
        insert: Any = postgresql.insert if self.engine.name == "postgresql" else sqlite.insert
        put = insert(model.__table__).values(**key, **row)
        session.execute(put.on_conflict_do_update(index_elements=[*key], set_=dict(row)))
