"""Who runs a study whose database is on a server: one supervisor at a time, on whichever machine.

A row of a table beside Optuna's says who, and its holder counts a beat up every few seconds. Nobody's clock is compared
with another's: whoever wants the row of a holder that may be dead watches whether it beats. Each transaction of the
study begins by looking whether the row is still its supervisor's, and shares it until it ends, so that one that was cut
off, and whose study another took up, writes nothing more (a fencing token; Kleppmann 2016,
https://martin.kleppmann.com/2016/02/08/how-to-do-distributed-locking.html).
"""

from __future__ import annotations

import os
import socket
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import psutil
from sqlalchemy import BigInteger, Column, DateTime, Float, MetaData, String, Table, delete, func, insert, select, text
from sqlalchemy.engine import Connection, Engine, Row
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.sql import Select

from foundation.errors import StudyError
from sweeper.search.patience import Patience

BEAT_S: Final = 5.0
TAKE_OVER_S: Final = 30.0
"""A holder that has not beaten for so long while it was watched is dead. It may have been cut off: see the guard."""
_LOOK_S: Final = 1.0
_OPENING_LOCK: Final = (text("SELECT pg_advisory_xact_lock(:key)"), {"key": 0x53574545})
"""One process at a time makes tables, or looks for a lease that is free; its key is "SWEE"."""

_LEASES: Final = Table(
    "sweeper_leases",
    MetaData(),
    Column("study", String(512), primary_key=True),
    Column("token", String(32), nullable=False),
    Column("host", String(255), nullable=False),
    Column("process", BigInteger, nullable=False),
    Column("machine", String(255), nullable=False),  # of its process numbers: boot and namespace
    Column("started", Float, nullable=False),  # when the process was, by its machine's clock
    Column("since", DateTime(timezone=True), nullable=False),
    Column("beat", BigInteger, nullable=False),
)


@contextmanager
def making_tables(engine: Engine) -> Iterator[None]:
    """One at a time: PostgreSQL's `CREATE TABLE` fails where two processes find a table missing."""
    with engine.begin() as connection:
        connection.execute(*_OPENING_LOCK)
        yield


@dataclass(frozen=True, slots=True)
class Lease:
    """A study that is this process's for now."""

    study: str
    token: str

    def check(self, connection: Connection) -> None:
        """Let the transaction go on, and nobody take the study until it ends.

        Raises:
            StudyError: another supervisor has taken the study.
        """
        row = connection.execute(self._row().with_for_update(read=True, key_share=True)).first()
        if row is None or row.token != self.token:
            raise StudyError(f"study {self.study} was taken up by {_words(row)}; this run of it ends")

    def beat(self, engine: Engine) -> None:
        """Show that the holder lives; a database that is away is none of its business."""
        mine = (_LEASES.c.study == self.study) & (_LEASES.c.token == self.token)
        with suppress(SQLAlchemyError), engine.begin() as connection:
            connection.execute(_LEASES.update().where(mine).values(beat=_LEASES.c.beat + 1))

    def release(self, engine: Engine) -> None:
        """Leave the study to whoever wants it, if the database is there."""
        mine = (_LEASES.c.study == self.study) & (_LEASES.c.token == self.token)
        with suppress(SQLAlchemyError), engine.begin() as connection:
            connection.execute(delete(_LEASES).where(mine))

    def _row(self) -> Select[tuple[object, ...]]:
        return select(_LEASES).where(_LEASES.c.study == self.study)


@contextmanager
def leasing(engine: Engine, study: str, patience: Patience) -> Iterator[Lease]:
    """Hold a study for this process alone, on whatever machine others may be.

    Raises:
        StudyError: when another process holds it, with its host, number and since when.
    """
    with making_tables(engine):
        _LEASES.create(engine, checkfirst=True)
    lease = Lease(study, uuid.uuid4().hex)
    _take(engine, lease, patience)
    over = threading.Event()
    thread = threading.Thread(target=_beat, args=(engine, lease, over), name="lease", daemon=True)
    thread.start()
    try:
        yield lease
    finally:
        over.set()
        thread.join()
        lease.release(engine)


def _beat(engine: Engine, lease: Lease, over: threading.Event) -> None:
    while not over.wait(BEAT_S):
        lease.beat(engine)


def _take(engine: Engine, lease: Lease, patience: Patience) -> None:
    """Take the study where nobody has it, or whoever had it is dead."""
    seen: tuple[str, int] | None = None
    since = patience.clock()
    while True:
        dead = seen if patience.clock() - since >= TAKE_OVER_S else None
        holder = _try_to_take(engine, lease, dead)
        if holder is None:
            return
        if seen is None:
            seen = (holder.token, holder.beat)
            patience.say(f"study {lease.study} is held by {_words(holder)}; looking whether that one lives")
        elif seen != (holder.token, holder.beat):
            raise StudyError(
                f"study {lease.study} is being run by {_words(holder)}; wait for it, or set study.name to another name"
            )
        patience.sleep(_LOOK_S)


def _try_to_take(engine: Engine, lease: Lease, dead: tuple[str, int] | None) -> Row[tuple[object, ...]] | None:
    """Take the study, and return nobody; or who holds it. A holder that still stands at this token and beat is `dead`.

    The row's lock waits for transactions of the holder's that are about to end.
    """
    own = {"token": lease.token, "beat": 0, "since": func.now(), **_this_process()}
    with engine.begin() as connection:
        connection.execute(*_OPENING_LOCK)
        holder = connection.execute(lease._row().with_for_update()).first()
        if holder is None:
            connection.execute(insert(_LEASES).values(study=lease.study, **own))
            return None
        if (holder.token, holder.beat) != dead and not _has_ended(holder):
            return holder
        connection.execute(_LEASES.update().where(_LEASES.c.study == lease.study).values(**own))
        return None


def _has_ended(holder: Row[tuple[object, ...]]) -> bool:
    """Whether the holder was a process of this machine that is there no more; False of another machine's."""
    if holder.machine != _machine() or not holder.machine:
        return False
    try:
        return bool(abs(psutil.Process(int(holder.process)).create_time() - float(holder.started)) > 1.0)
    except psutil.NoSuchProcess:
        return True
    except psutil.Error:
        return False


def _this_process() -> dict[str, object]:
    return {
        "host": socket.gethostname(),
        "process": os.getpid(),
        "machine": _machine(),
        "started": psutil.Process().create_time(),
    }


def _machine() -> str:
    """What process numbers are of: two containers may have one name, and each a process 1. Empty where unknown."""
    with suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"  # noqa: PTH115, it is no path
    return ""


def _words(holder: Row[tuple[object, ...]] | None) -> str:
    if holder is None:
        return "another supervisor"
    since = holder.since
    assert isinstance(since, datetime)
    return f"process {holder.process} on {holder.host} since {since.astimezone():%Y-%m-%d %H:%M:%S %Z}"
