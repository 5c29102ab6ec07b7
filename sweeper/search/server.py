"""A study's database on a PostgreSQL server: its address checked, its tables made, its study held by one process."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from optuna.exceptions import OptunaError
from sqlalchemy import URL, create_engine, event, inspect, make_url, text
from sqlalchemy.exc import SQLAlchemyError

from foundation.errors import StudyError, first_line
from foundation.secrets import in_full, redact
from sweeper.search.patience import Patience, reason_of
from sweeper.search.patient_storage import PatientStorage
from sweeper.search.server_lease import Lease, leasing, making_tables

_DRIVER: Final = "postgresql+psycopg"
_CONNECTION: Final[Mapping[str, Any]] = {
    "application_name": "sweeper",
    "connect_timeout": 10,
    "keepalives_idle": 15,  # a network that is gone says nothing by itself
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
    "prepare_threshold": None,  # poolers between may hand each transaction to another server
}
"""How connections are opened, unless the address says otherwise (libpq, psycopg)."""
_SESSION: Final = (
    "SET idle_in_transaction_session_timeout = '60s'",  # locks of a connection that was cut are free again
    "SET lock_timeout = '30s'",
    "SET tcp_keepalives_idle = 15",
    "SET tcp_keepalives_interval = 5",
    "SET tcp_keepalives_count = 3",
)
_ENDED: Final = (
    "SELECT count(*) FROM trials JOIN studies USING (study_id) "
    "WHERE study_name = :name AND state NOT IN ('RUNNING', 'WAITING')"
)


class Server:
    """A database by its address as it may be shown; `str` is that.

    `patience` waits for it once it was opened, and says so.
    """

    def __init__(self, shown: str, say: Callable[[str], None]) -> None:
        self._shown = shown
        self.patience = Patience(say)
        self._storage: PatientStorage | None = None

    def __str__(self) -> str:
        return self._shown

    def check(self) -> None:
        """Connect, and compare the tables that are there; nothing is written.

        Raises:
            StudyError: there is no such database, it lets nobody in, or it belongs to another version of Optuna.
        """
        with self._openable():
            engine = create_engine(_address(self._shown), **_engine_settings(self._shown))
            try:
                with engine.connect() as connection:
                    connection.execute(text("SELECT 1"))
                if inspect(engine).has_table("studies"):
                    self._new_storage(creates_tables=False).engine.dispose()
            finally:
                engine.dispose()

    @contextmanager
    def use(self) -> Iterator[None]:
        """Check it, and close all connections in the end.

        Raises:
            StudyError: see `check`.
        """
        try:
            self.check()
            yield
        finally:
            self.close()

    def storage(self) -> PatientStorage:
        """Optuna's storage, its tables made where there are none.

        Raises:
            StudyError: see `check`.
        """
        if self._storage is None:
            with self._openable():
                engine = create_engine(_address(self._shown), **_engine_settings(self._shown))
                with making_tables(engine):
                    self._storage = self._new_storage(creates_tables=not inspect(engine).has_table("studies"))
                engine.dispose()
        return self._storage

    @contextmanager
    def supervising(self, study: str) -> Iterator[Lease]:
        """Hold a study for this process alone, on whatever machine others may be.

        Raises:
            StudyError: another process has it, or see `check`.
        """
        storage = self.storage()
        with leasing(storage.engine, study, self.patience) as lease:
            storage.guard(lease.check)
            yield lease

    def close(self) -> None:
        """Close all connections."""
        if self._storage is not None:
            self._storage.remove_session()
            self._storage.engine.dispose()

    def _new_storage(self, *, creates_tables: bool) -> PatientStorage:
        address = _address(self._shown).render_as_string(hide_password=False)
        settings = _engine_settings(self._shown)
        storage = PatientStorage(address, self.patience, settings, creates_tables=creates_tables)
        event.listen(storage.engine, "connect", _begin_session)
        return storage

    @contextmanager
    def _openable(self) -> Iterator[None]:
        try:
            yield
        except ImportError as error:
            raise StudyError("study.storage needs the driver psycopg: pip install 'sweeper[postgres]'") from error
        except (SQLAlchemyError, OptunaError, RuntimeError) as error:  # Runtime: tables of another version
            reason = _reason(error)
            raise StudyError(f"study.storage {self._shown} cannot be opened: {reason}") from error


def count_ended(shown: str, study: str) -> int:
    """How many trials of a study have ended; 0 where nobody can tell now."""
    try:
        engine = create_engine(_address(shown), **_engine_settings(shown))
        with engine.connect() as connection:
            return int(connection.execute(text(_ENDED), {"name": study}).scalar_one())
    except (SQLAlchemyError, ImportError):
        return 0


def _address(shown: str) -> URL:
    return make_url(in_full(shown)).set(drivername=_DRIVER)


def _engine_settings(shown: str) -> dict[str, Any]:
    given = _address(shown).query
    return {"connect_args": {name: value for name, value in _CONNECTION.items() if name not in given}}


def _begin_session(connection: Any, _record: object) -> None:
    before, connection.autocommit = connection.autocommit, True
    for statement in _SESSION:
        connection.execute(statement)
    connection.autocommit = before


def _reason(error: BaseException) -> str:
    cause = error
    while cause.__cause__ is not None and not isinstance(cause, SQLAlchemyError):
        cause = cause.__cause__
    if isinstance(cause, SQLAlchemyError):
        return reason_of(cause)
    return redact(first_line(error))
