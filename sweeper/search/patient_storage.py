"""Optuna's storage on a server: each of its transactions is made once, however often its connection is cut."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from functools import wraps
from typing import Any, Final

from optuna.exceptions import DuplicatedStudyError, UpdateFinishedTrialError
from optuna.storages._rdb import models
from optuna.storages._rdb.storage import _create_scoped_session
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial
from sqlalchemy import event
from sqlalchemy.engine import Connection
from sqlalchemy.orm import Session

from sweeper.search.patience import Patience
from sweeper.search.sole_storage import SoleWriterStorage

_REPEATABLE: Final = (
    *("get_study_id_from_name", "get_study_name_from_id", "get_study_directions", "get_all_studies"),
    *("get_study_user_attrs", "get_study_system_attrs", "get_trial", "get_trial_id_from_study_id_trial_number"),
    *("_get_trials", "_get_best_trial_id"),
    # These write one row each, found by its key: the second time it is there as it should be.
    *("set_study_user_attr", "set_study_system_attr", "set_trial_user_attr", "set_trial_system_attr"),
    *("_set_trial_param", "set_trial_intermediate_value"),
)
"""Methods of Optuna's storage that come to the same when they are made twice; all others are below."""
CREATED_BY: Final = "created by"
"""The system attribute by which a trial that was made, but not heard of, is known again."""


class PatientStorage(SoleWriterStorage):
    """`SoleWriterStorage` that waits for its server.

    `engine_kwargs` go to SQLAlchemy; without `creates_tables` they must be there.
    """

    def __init__(self, url: str, patience: Patience, engine_kwargs: Mapping[str, Any], *, creates_tables: bool) -> None:
        self._patience = patience
        super().__init__(url, dict(engine_kwargs), skip_table_creation=not creates_tables)

    def guard(self, check: Callable[[Connection], None]) -> None:
        """Have each transaction begin with `check`, which raises where it must not be made."""

        def begin(_session: Session, _transaction: object, connection: Connection) -> None:
            check(connection)

        event.listen(self.scoped_session, "after_begin", begin)

    def create_new_study(self, directions: Sequence[StudyDirection], study_name: str | None = None) -> int:
        """See Optuna."""

        def create(again: bool) -> int:
            try:
                return super(PatientStorage, self).create_new_study(directions, study_name)
            except DuplicatedStudyError:
                if again and study_name is not None:
                    return self.get_study_id_from_name(study_name)
                raise

        return self._patience.until_done(create)

    def delete_study(self, study_id: int) -> None:
        """See Optuna."""

        def delete(again: bool) -> None:
            try:
                super(PatientStorage, self).delete_study(study_id)
            except KeyError:
                if not again:
                    raise

        self._patience.until_done(delete)

    def set_trial_state_values(self, trial_id: int, state: TrialState, values: Sequence[float] | None = None) -> bool:
        """See Optuna."""

        def end(again: bool) -> bool:
            try:
                return super(PatientStorage, self).set_trial_state_values(trial_id, state, values)
            except UpdateFinishedTrialError:
                there = self.get_trial(trial_id)
                if again and there.state == state and (values is None or list(values) == there.values):
                    return True
                raise

        return self._patience.until_done(end)

    def _create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> FrozenTrial:
        """As Optuna's, whose own five attempts might make several trials: here all of them make one."""
        template = deepcopy(template_trial) if template_trial else create_trial(state=TrialState.RUNNING)
        template.system_attrs = {**template.system_attrs, CREATED_BY: uuid.uuid4().hex}
        return self._patience.until_done(lambda again: self._create_once(study_id, template, again))

    def _create_once(self, study_id: int, template: FrozenTrial, again: bool) -> FrozenTrial:
        with _create_scoped_session(self.scoped_session) as session:
            # Whoever is still about to commit an earlier attempt has this lock, too.
            models.StudyModel.find_or_raise_by_id(study_id, session, for_update=True)
            found = self._find_created(session, study_id, template) if again else None
            trial = found or self._get_prepared_new_trial(study_id, template, session)
            created = deepcopy(template)
            created.number, created._trial_id = int(trial.number), int(trial.trial_id)
            return created

    @staticmethod
    def _find_created(session: Session, study_id: int, template: FrozenTrial) -> models.TrialModel | None:
        trials = session.query(models.TrialModel).filter(models.TrialModel.study_id == study_id)
        attribute = models.TrialSystemAttributeModel
        trials = trials.join(attribute, attribute.trial_id == models.TrialModel.trial_id)
        value = f'"{template.system_attrs[CREATED_BY]}"'
        return trials.filter(attribute.key == CREATED_BY, attribute.value_json == value).one_or_none()


def _until_done(name: str) -> Callable[..., Any]:
    once = getattr(SoleWriterStorage, name)

    @wraps(once)
    def method(self: PatientStorage, *arguments: Any, **named: Any) -> Any:
        return self._patience.until_done(lambda _: once(self, *arguments, **named))

    return method


for _name in _REPEATABLE:
    setattr(PatientStorage, _name, _until_done(_name))
