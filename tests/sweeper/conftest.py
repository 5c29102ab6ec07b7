"""Servers that the tests of a process share: a PostgreSQL with a new database for each test, and an MLflow."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest

from tests.sweeper.mlflow_server import PASSWORD as OF_MLFLOW
from tests.sweeper.mlflow_server import USER, Door, MlflowServer
from tests.sweeper.postgres import PostgresServer

_NUMBERS = count()


@pytest.fixture(scope="session")
def running_postgres() -> Iterator[PostgresServer]:
    """A server, started once; take `postgres`."""
    server = PostgresServer.create()
    yield server
    server.delete()


@pytest.fixture
def postgres(running_postgres: PostgresServer) -> Iterator[PostgresServer]:
    """A server that runs before a test and after it, whatever that does to it."""
    yield running_postgres
    if not running_postgres.is_running:
        running_postgres.start()


@pytest.fixture
def database(postgres: PostgresServer) -> str:
    """The name of an empty database."""
    name = f"studies {next(_NUMBERS)}"
    postgres.create_database(name)
    return name


@pytest.fixture(scope="session")
def running_mlflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    """An MLflow server, started once; take `door`."""
    server = MlflowServer.create(tmp_path_factory.mktemp("mlflow"))
    yield server
    server.delete()


@pytest.fixture
def door(running_mlflow: MlflowServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Door]:
    """The way to an MLflow server, open, with a password that the environment has; nobody waits before a new try."""
    environment = {
        "MLFLOW_TRACKING_USERNAME": USER,
        "MLFLOW_TRACKING_PASSWORD": OF_MLFLOW,
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
        "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "0",
        "MLFLOW_HTTP_REQUEST_BACKOFF_JITTER": "0",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    made = Door(running_mlflow.port, OF_MLFLOW)
    yield made
    made.close()
