"""A study in Optuna's database: created, opened again, refused when it is another one, or read by a later study."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeAlias, cast

import optuna
from optuna.exceptions import OptunaError, StorageInternalError
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from foundation.config.home import at_home
from foundation.errors import StudyError, UserError, first_line
from foundation.files.sqlite_file import create_whole, refuse_damaged
from foundation.secrets import redact
from sweeper.records.config import Config, default_fields
from sweeper.records.paths import STUDIES
from sweeper.records.study_spec import StudySpec
from sweeper.records.urls import sqlite_url
from sweeper.search.dimension import Params, Space
from sweeper.search.evidence import Evidence
from sweeper.search.held_storage import HeldStorage
from sweeper.search.server import Server
from sweeper.search.sole_storage import SoleWriterStorage

Database: TypeAlias = Path | Server
"""An SQLite file, or a database on a server."""
SCORE: Final = "score"
"""Where a trial of several objectives keeps its score, which need not be among them."""
DATABASE_ERRORS: Final = (SQLAlchemyError, StorageInternalError)
"""What Optuna's calls raise when the database is gone, locked for too long, or its disk is full."""
_REQUEST: Final = "asked"
"""The attribute of a study that holds its space, config and pictures; older studies have this name for it."""
_FIRST: Final = "first"
_EARLIER: Final = "earlier"
_DIFFERENCES_SHOWN: Final = 3


def database_of(spec: StudySpec, say: Callable[[str], None]) -> Database:
    """Where a study is kept; nothing is opened. `say` hears when a server is waited for."""
    return Path(spec.folder) / STUDIES if spec.storage is None else Server(spec.storage, say)


def open_study(
    config: Config, space: Space, database: Database | None, pictures: Mapping[str, str], first: Sequence[Params]
) -> optuna.Study:
    """Create the study `config.study.name`, or open it again, with Optuna's own sampler yet to be replaced.

    One that holds no trial binds nobody: it is made anew, for this command.

    Raises:
        StudyError: the study exists with another config, space or data, or the database is none of Optuna's.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)  # its warnings tell of what is waited for, or seen to, here
    spec = config.study
    with _readable(database):
        storage = None if database is None else HeldStorage(_storage_in(database))
        study = optuna.create_study(
            storage=storage, study_name=spec.name, directions=spec.directions, load_if_exists=True
        )
        if not study.get_trials(deepcopy=False) and _REQUEST in study.user_attrs:
            optuna.delete_study(study_name=spec.name, storage=study._storage)
            study = optuna.create_study(storage=storage, study_name=spec.name, directions=spec.directions)
        request = {"space": space.fingerprint(), "config": config.fingerprint(), "pictures": dict(pictures)}
        _refuse_another(spec.name, study.user_attrs.get(_REQUEST, request), request)
        if _REQUEST not in study.user_attrs:
            study.set_user_attr(_FIRST, [dict(params) for params in first])
        study.set_user_attr(_REQUEST, request)
    return study


def first_of(study: optuna.Study) -> list[Params]:
    """The values that the first trials of a study take."""
    return [dict(params) for params in study.user_attrs.get(_FIRST, [])]


def keep_earlier(study: optuna.Study, names: Sequence[str], found: Sequence[Evidence]) -> list[Evidence]:
    """What earlier studies of these names say: as the study noted it when they were first named, else as `found`.

    So a study that goes on draws as one that was never interrupted, whatever has become of the earlier ones.
    """
    noted = study.user_attrs.get(_EARLIER, {})
    if noted.get("names") == list(names):
        return [Evidence.from_json(each) for each in noted["studies"]]
    if names or noted:
        study.set_user_attr(_EARLIER, {"names": list(names), "studies": [each.to_json() for each in found]})
    return list(found)


def ranking_of(name: str, database: Database, direction: str) -> list[Params]:
    """The parameters of another study's finished trials, best score first.

    Raises:
        StudyError: there is no such study, or none of its trials finished.
    """
    _, trials = past_study(name, database, "study.narrow_from")
    sign = -1 if direction == "maximize" else 1
    finished = [each for each in trials if each.state == TrialState.COMPLETE]
    if not finished:
        raise StudyError(f"study.narrow_from: study {name} has no finished trial to start from")
    return [dict(each.params) for each in sorted(finished, key=lambda each: sign * cast(float, score_of(each)))]


def past_study(name: str, database: Database, setting: str = "") -> tuple[Mapping[str, str], list[FrozenTrial]]:
    """The config that another study was made with, as `config_of`, and all its trials; `setting` names it.

    Raises:
        StudyError: there is no such study, or the database cannot be read.
    """
    with _readable(database):
        is_there = isinstance(database, Server) or database.exists()
        there = optuna.get_all_study_names(_storage_in(database)) if is_there else []
        if name not in there:
            known = f"; there are {', '.join(sorted(there))}" if there else ""
            place = database if isinstance(database, Server) else database.parent
            why = f"{setting}: " if setting else ""
            raise StudyError(f"{why}{place} holds no study {name}{known}")
        study = optuna.load_study(study_name=name, storage=_storage_in(database))
        return study.user_attrs.get(_REQUEST, {}).get("config", {}), study.get_trials(deepcopy=False)


def config_of(name: str, database: Database) -> Mapping[str, str]:
    """The config that another study was made with, dotted names to values, as `Config.fingerprint` wrote it."""
    return past_study(name, database, "study.narrow_from")[0]


def load_study(name: str, database: Database) -> optuna.Study | None:
    """A study to be read and not written to; None where there is none.

    Raises:
        StudyError: the database cannot be read.
    """
    if isinstance(database, Path) and not database.is_file():
        return None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with _readable(database):
        storage = _storage_in(database)
        if name not in optuna.get_all_study_names(storage):
            return None
        return optuna.load_study(study_name=name, storage=storage)


def score_of(trial: FrozenTrial) -> float | None:
    """An ended trial's score; of a pruned trial of one objective the last that was reported. None without any."""
    if SCORE in trial.user_attrs:
        return float(trial.user_attrs[SCORE])
    return trial.value


def _storage_in(database: Database) -> optuna.storages.RDBStorage:
    return database.storage() if isinstance(database, Server) else _sqlite(database)


def _sqlite(database: Path) -> optuna.storages.RDBStorage:
    create_whole(database, "studies", lambda file: _storage(file).engine.dispose())
    refuse_damaged(database)
    return _storage(database)


def _storage(file: Path) -> optuna.storages.RDBStorage:
    return SoleWriterStorage(sqlite_url(file), engine_kwargs={"connect_args": {"timeout": 60}})


@contextmanager
def _readable(database: Database | None) -> Iterator[None]:
    try:
        yield
    except (UserError, OSError):
        raise
    except Exception as error:  # a damaged row may be anything to Optuna: a missing key, a class that is none, no JSON
        first: BaseException = error
        while first.__cause__ is not None:  # Optuna's own words for any failed write are about length
            first = first.__cause__
        reason = first_line(first)
        if not isinstance(error, SQLAlchemyError | OptunaError | sqlite3.Error | RuntimeError):
            reason = f"what it holds is damaged ({type(first).__name__}: {reason})"
        way = "bring back a copy of it, or move it away to begin anew under another study.name"
        if isinstance(database, Server):
            way = "put that right, or name another database by study.storage"
        raise StudyError(f"{database} cannot be used as the study's database: {redact(reason)}; {way}") from error


def _refuse_another(name: str, was: Mapping[str, Mapping[str, str]], now: Mapping[str, Mapping[str, str]]) -> None:
    # A study of an older program did without what is new: its pictures noted, or fields that had no effect then.
    older = {"config": default_fields()}
    before = {part: {**older.get(part, {}), **was[part]} for part in now if part in was}
    before = {part: {key: at_home(value) for key, value in values.items()} for part, values in before.items()}
    differences = [
        f"{key} was {before[part].get(key, 'absent')}, is now {now[part].get(key, 'absent')}"
        for part in before
        for key in {**was[part], **now[part]}
        if before[part].get(key) != now[part].get(key)
    ]
    if differences:
        more = f" and {len(differences) - _DIFFERENCES_SHOWN} more" if len(differences) > _DIFFERENCES_SHOWN else ""
        raise StudyError(
            f"study {name} exists and is another one: {'; '.join(differences[:_DIFFERENCES_SHOWN])}{more}; "
            "set study.name to a new name, or ask for what it was to resume it"
        )
