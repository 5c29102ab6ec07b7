"""A real PostgreSQL of the tests' own: on a free port of 127.0.0.1, with passwords, started and stopped at will."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import pytest

PASSWORD: Final = "{sesame} o/pen@%41"
"""Of the user `sweeper`; hard to write in an address."""
_SETTINGS: Final = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "16MB",
    "logging_collector": "off",
    "password_encryption": "md5",  # scram takes some ms of each connection
}


def find_server() -> Path | None:
    """The folder of initdb and pg_ctl: in the path, or where Debian has them; None where PostgreSQL is not there."""
    found = shutil.which("initdb")
    if found:
        return Path(found).parent
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    return next((each for each in reversed(folders) if (each / "initdb").is_file()), None)


@dataclass(frozen=True)
class PostgresServer:
    """A server with its data in a folder of its own; root gives it to the user `postgres`, whom it insists on."""

    programs: Path
    folder: Path
    port: int
    may_crash: bool = False
    """Whether what it has said to be written must outlive it."""

    @classmethod
    def create(cls, *, may_crash: bool = False) -> PostgresServer:
        """Make and start one, with the user `sweeper`; skip the test where none can be.

        Not in a folder of pytest's, which another user cannot enter.
        """
        pytest.importorskip("psycopg", reason="the driver psycopg is not installed (pip install '.[postgres]')")
        programs = find_server()
        if programs is None:
            pytest.skip("PostgreSQL's initdb is not installed (Debian: apt-get install postgresql)")
        if os.geteuid() == 0 and not _has_user("postgres"):
            pytest.skip("PostgreSQL refuses to run as root, and there is no user postgres to run it as")
        folder = Path(tempfile.mkdtemp(prefix="sweeper-postgres-"))
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            server = cls(programs, folder, probe.getsockname()[1], may_crash)
        (folder / "password").write_text(PASSWORD)
        if os.geteuid() == 0:
            for path in (folder, folder / "password"):
                shutil.chown(path, "postgres", "postgres")
        server._run(
            "initdb", "--no-sync", "--auth=md5", "--username=sweeper", "--encoding=UTF8", "--locale=C.UTF-8",
            f"--pwfile={folder / 'password'}", "--pgdata", str(folder / "data"),
        )  # fmt: skip
        server.start()
        return server

    def start(self) -> None:
        """Start it, or start it again, and wait until it answers."""
        settings = _SETTINGS | ({"synchronous_commit": "on"} if self.may_crash else {})
        options = " ".join(f"-c {name}={value or repr('')}" for name, value in settings.items())
        log = str(self.folder / "log")
        self._run("pg_ctl", "--wait", "--pgdata", str(self.folder / "data"), "--log", log, "--options",
                  f"-p {self.port} {options}", "start")  # fmt: skip

    def stop(self) -> None:
        """End it as an administrator does who waits for nobody: all connections are cut, transactions undone."""
        self._run("pg_ctl", "--wait", "--pgdata", str(self.folder / "data"), "--mode=fast", "stop")

    def crash(self) -> None:
        """End it in the midst of whatever it does; its next start reads its log of what was written."""
        self._run("pg_ctl", "--wait", "--pgdata", str(self.folder / "data"), "--mode=immediate", "stop")

    @property
    def is_running(self) -> bool:
        """Whether it was started, and not stopped since."""
        return (self.folder / "data" / "postmaster.pid").exists()

    def delete(self) -> None:
        """Stop it, and delete all of it."""
        if self.is_running:
            self.stop()
        shutil.rmtree(self.folder)

    def create_database(self, name: str) -> None:
        """Make an empty database."""
        with self.connect("postgres") as connection:
            connection.execute(f'CREATE DATABASE "{name}"')

    def address(self, database: str, password: str = PASSWORD) -> str:
        """The address of a database, for `study.storage`; without a password where that is empty."""
        secret = f":{quote(password, safe='')}" if password else ""
        return f"postgresql+psycopg://sweeper{secret}@127.0.0.1:{self.port}/{quote(database)}"

    def connect(self, database: str) -> Any:
        """A connection beside those of the program, each statement for itself."""
        import psycopg

        return psycopg.connect(
            host="127.0.0.1", port=self.port, user="sweeper", password=PASSWORD, dbname=database, autocommit=True
        )

    def cut_connections(self, database: str) -> int:
        """End all connections to a database from the server's side; how many there were."""
        with self.connect("postgres") as connection:
            query = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
            return len(connection.execute(query, (database,)).fetchall())

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self.programs / program), *arguments]
        as_user = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}
        done = subprocess.run(
            command, cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
            check=False, **as_user,
        )  # fmt: skip
        assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"


def _has_user(name: str) -> bool:
    return name in {each.pw_name for each in pwd.getpwall()}
