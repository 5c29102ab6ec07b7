"""A study in a database on a server: what it draws, who may run it, what becomes of it when the server goes away."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.engine.default import DefaultDialect

from foundation.errors import ConfigError, StudyError
from foundation.secrets import hide
from sweeper.records.config import Config
from sweeper.search import server as opening
from sweeper.search.patience import LIMIT_S, Patience
from sweeper.search.patient_storage import CREATED_BY
from sweeper.search.port import EndedTrial
from sweeper.search.server import Server, count_ended
from sweeper.search.server_lease import TAKE_OVER_S
from sweeper.search.space import plan
from sweeper.search.study import Search
from sweeper.study.run import run_study
from tests.sweeper.postgres import PASSWORD, PostgresServer
from tests.sweeper.search.test_search import CONTINUOUS

psycopg = pytest.importorskip("psycopg", reason="the driver psycopg is not installed (pip install '.[postgres]')")
NUM_TRIALS = 4


@pytest.fixture(scope="module")
def config() -> Config:
    asked = plan(["+experiment=pencil", "study.startup_trials=2"]).config
    return replace(asked, study=replace(asked.study, name="pencil"))


@pytest.fixture
def open_server(postgres: PostgresServer, database: str) -> Iterator[Callable[..., Server]]:
    """Opens the database as often as wanted; the time and the pauses of each are the test's."""
    opened: list[Server] = []

    def open_one(say: Callable[[str], None] = refuse_words, **time: Any) -> Server:
        made = Server(hide(postgres.address(database)), say)
        made.patience = Patience(say, **time)
        opened.append(made)
        return made

    yield open_one
    for each in opened:
        each.close()


def refuse_words(words: str) -> None:
    raise AssertionError(words)


def refuse_pause(seconds: float) -> None:
    raise AssertionError(f"nothing was to be waited for, {seconds} s")


def search_all(search: Search, *, before: Callable[[], object] = lambda: None) -> list[EndedTrial]:
    """A study with two trials at a time, and all that is told of one; `before` is called before each word."""
    running: list[int] = []
    for _ in range(NUM_TRIALS):
        before()
        running.append(search.ask()[0])
        if len(running) < 2:
            continue
        end_one(search, running.pop(0), before)
    end_one(search, running.pop(), before)
    return search.ended_trials()


def end_one(search: Search, number: int, before: Callable[[], object]) -> None:
    for step in (1, 2):
        before()
        search.report(number, step, number + step / 8)
    before()
    if number == 1:
        search.tell_pruned(number, "hopeless")
    elif number == 2:
        search.tell_failed(number, "loss is not finite")
    else:
        search.tell_complete(number, number + 0.25, "all steps done")


def test_a_server_holds_what_memory_would(config: Config, open_server: Callable[..., Server]) -> None:
    server = open_server(sleep=refuse_pause)
    server.check()
    with server.supervising("pencil"):
        found = search_all(Search.open(config, CONTINUOUS, server))
    assert found == search_all(Search.open(config, CONTINUOUS))
    assert [each.number for each in found] == list(range(NUM_TRIALS))
    again = open_server(sleep=refuse_pause)
    assert Search.open(config, CONTINUOUS, again).ended_trials() == found
    assert count_ended(str(again), "pencil") == NUM_TRIALS
    assert count_ended(str(again), "another") == 0


@pytest.mark.parametrize("when", ["before it is made", "after it is made"])
def test_a_connection_that_is_cut_at_a_commit_loses_nothing_and_does_nothing_twice(
    when: str, config: Config, open_server: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    calm, commit, commits = search_all(Search.open(config, CONTINUOUS)), DefaultDialect.do_commit, [0]

    def cut(dialect: DefaultDialect, connection: Any) -> None:
        """At every other transaction, so that the one by which that is made good is spared."""
        if threading.current_thread() is not threading.main_thread():  # the lease's beat
            commit(dialect, connection)
            return
        commits[0] += 1
        strikes = commits[0] % 2 == 0 and not connection.dbapi_connection.closed
        if when == "after it is made" or not strikes:
            commit(dialect, connection)
        if strikes:
            connection.dbapi_connection.close()
            raise psycopg.OperationalError("the connection was cut")

    server = open_server(sleep=refuse_pause)
    with server.supervising("pencil"):
        search = Search.open(config, CONTINUOUS, server)
        monkeypatch.setattr(DefaultDialect, "do_commit", cut)
        assert search_all(search) == calm
        monkeypatch.undo()
        assert commits[0] > 20
        made = [each.system_attrs[CREATED_BY] for each in search._study.get_trials()]
    assert len(set(made)) == len(made) == NUM_TRIALS


def test_a_server_that_ends_all_connections_at_any_moment_is_no_matter(
    config: Config, open_server: Callable[..., Server], postgres: PostgresServer, database: str
) -> None:
    server, cut = open_server(sleep=refuse_pause), []
    with server.supervising("pencil"):
        search = Search.open(config, CONTINUOUS, server)
        found = search_all(search, before=lambda: cut.append(postgres.cut_connections(database)))
    assert found == search_all(Search.open(config, CONTINUOUS))
    assert sum(cut) >= NUM_TRIALS


def test_a_server_that_is_away_is_waited_for_with_two_lines(
    config: Config, open_server: Callable[..., Server], postgres: PostgresServer
) -> None:
    said: list[str] = []
    now, pauses = [0.0], list[float]()

    def pass_time(seconds: float) -> None:
        now[0] += seconds
        pauses.append(seconds)
        if sum(pauses) > 60:
            postgres.start()
            pauses.clear()

    server = open_server(said.append, clock=lambda: now[0], sleep=pass_time)
    with server.supervising("pencil"):
        search = Search.open(config, CONTINUOUS, server)
        number, _ = search.ask()
        postgres.stop()
        search.report(number, 1, 0.5)
        postgres.stop()
        assert search.ask()[0] == number + 1
        search.tell_complete(number, 0.5)
        assert [each.number for each in search.running()] == [number + 1]
        assert search.ended_trials()[0].reported == {1: 0.5}
    assert len(said) == 4 and said[1] == said[3] == "the study's database is back after 64 s"
    assert said[0].startswith("the study's database is away (connection failed: ")
    assert said[0].endswith("; waiting for it, nothing is lost")


def test_a_server_that_stays_away_ends_the_study_in_one_line(
    config: Config, open_server: Callable[..., Server], postgres: PostgresServer
) -> None:
    now = [0.0]

    def pass_time(seconds: float) -> None:
        now[0] += seconds

    server = open_server(lambda _: None, clock=lambda: now[0], sleep=pass_time)
    with server.supervising("pencil"):
        search = Search.open(config, CONTINUOUS, server)
        postgres.stop()
        with pytest.raises(StudyError, match=r"^the study's database was away for 1 h \(.*\); the same command"):
            search.ask()
    assert now[0] <= LIMIT_S + 10


def test_a_second_supervisor_is_refused_by_name(open_server: Callable[..., Server]) -> None:
    first, said = open_server(sleep=refuse_pause), list[str]()
    with first.supervising("pencil") as lease:
        second = open_server(said.append, sleep=lambda _: lease.beat(first.storage().engine))
        name = rf"process {os.getpid()} on {os.uname().nodename} since \d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d"
        refused = pytest.raises(StudyError, match=rf"^study pencil is being run by {name} .*; wait for it")
        with refused, second.supervising("pencil"):
            pass
        with second.supervising("another"):
            pass
    with second.supervising("pencil"):
        pass
    assert len(said) == 1


def test_a_holder_elsewhere_that_does_not_beat_loses_the_study_and_writes_nothing_more(
    config: Config, open_server: Callable[..., Server], postgres: PostgresServer, database: str
) -> None:
    first = open_server(sleep=refuse_pause)
    now = [0.0]

    def pass_time(seconds: float) -> None:
        now[0] += seconds

    with first.supervising("pencil"):
        search = Search.open(config, CONTINUOUS, first)
        number, _ = search.ask()
        with postgres.connect(database) as connection:
            connection.execute("UPDATE sweeper_leases SET host = 'elsewhere', machine = 'another', process = 7")
        said: list[str] = []
        second = open_server(said.append, clock=lambda: now[0], sleep=pass_time)
        with second.supervising("pencil"):
            assert TAKE_OVER_S <= now[0] <= TAKE_OVER_S + 2
            assert said == [said[0]] and "is held by process 7 on elsewhere since" in said[0]
            later = Search.open(config, CONTINUOUS, second)
            with pytest.raises(StudyError, match=rf"^study pencil was taken up by process {os.getpid()} on"):
                search.tell_complete(number, 1.0)
            assert [each.number for each in later.running()] == [number]


HOLDER = """
import sys
from sweeper.search.server import Server
with Server(sys.argv[1], print).supervising("pencil"):
    print("holds it", flush=True)
    input()
"""


def test_a_killed_holder_on_this_machine_is_known_to_be_dead(
    open_server: Callable[..., Server], postgres: PostgresServer, database: str
) -> None:
    command = [sys.executable, "-c", HOLDER, postgres.address(database, "")]
    environment = {**os.environ, "PGPASSWORD": PASSWORD}
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout and holder.stdout.readline() == b"holds it\n"
        holder.kill()
    with open_server(sleep=refuse_pause).supervising("pencil"):
        pass


def tables_of(postgres: PostgresServer, database: str) -> list[Any]:
    with postgres.connect(database) as connection:
        return list(connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall())


def older(postgres: PostgresServer, database: str) -> str:
    Server(hide(postgres.address(database)), refuse_words).storage().engine.dispose()
    with postgres.connect(database) as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'v3.0.0.d'")
    return postgres.address(database)


def another(postgres: PostgresServer, database: str) -> str:
    with postgres.connect(database) as connection:
        connection.execute("CREATE TABLE studies (name text)")
    return postgres.address(database)


BAD: dict[str, tuple[Callable[[PostgresServer, str], str], str]] = {
    "wrong password": (lambda p, d: p.address(d, "open-sesame"), "password authentication failed for user"),
    "no such database": (lambda p, d: p.address("none"), 'database "none" does not exist'),
    "no server": (lambda p, d: p.address(d).replace(str(p.port), "1"), "Connection refused"),
    "older tables": (older, "is no longer compatible with the table schema.*optuna storage upgrade"),
    "tables of another program": (another, 'relation "version_info" does not exist'),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_opened_is_one_line_and_nothing_is_begun(
    case: str, postgres: PostgresServer, database: str, tmp_path: Path
) -> None:
    make, words = BAD[case]
    address = make(postgres, database)
    before = tables_of(postgres, database)
    with pytest.raises(StudyError, match=words) as refused:
        run_study(["+experiment=pencil", f"study.folder={tmp_path / 'studies'}", f"study.storage='{address}'"])
    assert str(refused.value).startswith("study.storage postgresql+psycopg://sweeper:***@127.0.0.1:")
    assert len(str(refused.value).splitlines()) == 1
    assert PASSWORD not in str(refused.value) and "open-sesame" not in str(refused.value)
    assert not (tmp_path / "studies").exists()
    assert tables_of(postgres, database) == before


def test_a_missing_driver_is_named_with_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(StudyError, match=r"needs the driver psycopg: pip install 'sweeper\[postgres\]'"):
        opening.Server("postgresql://ann@host/studies", refuse_words).check()


@pytest.mark.parametrize("address", ["mysql://ann:hunter-two@host/x", "studies.db", "postgresql://host", ""])
def test_an_address_of_another_kind_is_refused(address: str) -> None:
    with pytest.raises(ConfigError, match=r"study\.storage.*must be the address of a PostgreSQL database") as refused:
        plan(["+experiment=pencil", f"study.storage='{address}'"])
    assert "hunter-two" not in str(refused.value)
