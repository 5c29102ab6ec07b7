"""Runs a simulated study in a process of its own, lets it die at a write, runs it again, and compares."""

from __future__ import annotations

import multiprocessing
import os
import re
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Final, Literal, TypeVar

from sqlalchemy.orm import configure_mappers

from foundation.command import EXIT_BAD_INPUT
from foundation.errors import UserError
from sweeper.search import database
from sweeper.search.space import plan
from sweeper.study import run
from sweeper.study.finished import STUDIES as STUDIES_DB
from sweeper.tracking import DATABASE as MLFLOW
from sweeper.tracking import mlflow
from sweeper.tracking.files import make_sqlite
from tests.faults.injection import Fault, arm, count
from tests.faults.outcome import Outcome, differences, outcome_of
from tests.faults.simulated_study import play

NAME: Final = "killed"
STUDY: Final = (
    "+experiment=pencil",
    f"study.name={NAME}",
    "study.num_trials=4",
    "study.finalists=2",
    "study.strengths=[0.6]",
    "study.pruner.name=none",
    "data.num_train=6",
    "data.num_validation=3",
    "train.steps=12",
    "eval.every=6",
    "eval.validate_every=3",
    "eval.prompts=['a red cup on grass, {trigger}','a blue star at night, {trigger}']",
    "eval.unrelated_prompts=['a red ball on grass, in photo style']",
    "eval.seeds=[0]",
)
Kind = Literal["side by side", "in turn", "with repeats", "with averages"]
STUDIES: Final[Mapping[Kind, Sequence[str]]] = {
    "side by side": (*STUDY, "study.slots=2"),
    "in turn": (*STUDY, "study.slots=1", "study.startup_trials=2"),
    "with repeats": (*STUDY, "study.slots=2", "study.num_trials=3", "study.repeats=2"),
    "with averages": (
        *(*STUDY, "study.slots=2", "study.num_trials=3", "study.finalists=3", "study.sampler=random"),
        *("study.blends=[mean,soup]", "study.recipes=null", "optimizer=adamw", "optimizer.lr=interval(0.02,0.2)"),
    ),
}
"""Trials that share a worker, drawn at random; trials of which the sampler learns, one after another; finalists that
are trained again with another seed; and finalists of which an average is better: the played judge likes low rates."""
IN_THE_MAKING: Final = ".db."
"""What paths hold of a database that is being created."""
WORKER: Final = "worker"
"""Stands for all that a worker writes."""
WEIGHTS: Final[Mapping[str, int]] = {
    "/studies.db": 4,
    "/mlflow.db": 5,
    IN_THE_MAKING: 1,
    f"/{NAME}/": 2,
    "/mlartifacts/": 1,
    WORKER: 2,
}
"""Where faults strike, and how often beside each other."""
PARTS: Final = tuple(part for part in WEIGHTS if part != WORKER)
MAX_RUNS: Final = 3
"""How often a study is started again until it ends, once nothing strikes it any more."""
_TABLES: Final = (
    "mlflow.store.tracking.sqlalchemy_store",
    "mlflow.store.model_registry.sqlalchemy_store",
    "optuna.storages._rdb.models",
)
"""What MLflow and Optuna import when they open a database."""
_STRUCK: Final = re.compile(r"^struck (.+)$", re.MULTILINE)
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Undisturbed:
    """A study that ran to its end."""

    outcome: Outcome
    changes: Mapping[str, int]
    """How often its supervisor changed each of `PARTS`, and its worker anything."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """What became of a study with faults."""

    struck: Sequence[str]
    """The files at which the faults struck, relative to the folder of studies."""
    problems: Sequence[str]


def undisturbed(folder: Path, kind: Kind) -> Undisturbed:
    """Run a study to its end, and have all that every other run forked from this process would take seconds to have."""
    where = _place(folder)
    shutil.rmtree(where, ignore_errors=True)
    for name in _TABLES:
        import_module(name)
    configure_mappers()
    _plan(tuple(_asked(kind, where)))
    code, counts = _run(where, kind, Fault(at=0), PARTS)
    if code != 0:
        raise RuntimeError(f"the undisturbed study ended with {code}: {_tail(where)}")
    outcome = _in_fork(lambda: outcome_of(where, NAME))
    for trial in outcome.trials.values():  # each choice of groups is composed once in a process
        _plan(tuple(_asked(kind, where))).trial(trial["params"])
    return Undisturbed(outcome=outcome, changes=dict(zip((WORKER, *PARTS), (counts[0], *counts[2:]), strict=True)))


def strike(folder: Path, kind: Kind, faults: Sequence[Fault], expected: Outcome) -> Result:
    """Let faults strike a fresh study, one in each run, run it again until it ends, and say what is wrong.

    It lies where the undisturbed one lay: what is written of paths is compared, too.
    """
    where, problems = _begin(folder, empty=any(fault.part == IN_THE_MAKING for fault in faults)), []
    for fault in [*faults, *[None] * MAX_RUNS]:
        code, _ = _run(where, kind, fault)
        _age(where / "cache")
        if fault and fault.mode == "fail" and code not in (0, EXIT_BAD_INPUT, run.BEHIND):
            problems.append(f"a failed call ended the study with exit code {code}")
        if code == 0:
            break
    if code != 0:
        problems.append(f"run again it ends with exit code {code}: {_tail(where)}")
    else:
        problems += _in_fork(lambda: _found(where, expected))
    log = _log(where).read_text(errors="replace")
    if "Traceback" in log:
        problems.append("a traceback was printed")
    return Result(struck=[os.path.relpath(path, where) for path in _STRUCK.findall(log)], problems=problems)


def _begin(folder: Path, *, empty: bool) -> Path:
    """A fresh folder of studies; unless it is to be empty its databases are there, without a study."""
    where, made = _place(folder), folder / "made"
    shutil.rmtree(where, ignore_errors=True)
    _log(where).unlink(missing_ok=True)
    if empty:
        where.mkdir()
    else:
        if not made.exists():
            _in_fork(lambda: _make_databases(made))
        shutil.copytree(made, where)
    return where


def _age(folder: Path) -> None:
    """Let a week pass for what lies there: what is young in a cache that studies share may be in the making."""
    for path in folder.rglob("*"):
        os.utime(path, (time.time() - 604_800,) * 2)


def _make_databases(folder: Path) -> None:
    make_sqlite(folder / MLFLOW, mlflow._create_tables)
    database._sqlite(folder / STUDIES_DB)


def _found(where: Path, expected: Outcome) -> list[str]:
    try:
        return differences(expected, outcome_of(where, NAME))
    except Exception as error:  # whatever it left cannot be read
        return [f"it ended, but cannot be read: {type(error).__name__}: {error}"]


def _run(folder: Path, kind: Kind, fault: Fault | None, counted: Sequence[str] = ()) -> tuple[int, list[int]]:
    """Run the study in a process of its own: its exit code, and how many changes were counted; none of a killed one.

    The first count is the worker's, then come the fault's part and those that are `counted`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        return _in_fork(lambda: _study(folder, kind, fault, counted))
    except EOFError:
        return -signal.SIGKILL, []


def _in_fork(work: Callable[[], T]) -> T:
    """Return what a function returns in a forked process: libraries remember databases that are deleted here.

    Raises:
        EOFError: the process was killed.
    """
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=lambda: theirs.send(work()))
    process.start()
    theirs.close()
    try:
        return ours.recv()  # type: ignore[no-any-return]
    finally:
        process.join()
        ours.close()


def _study(folder: Path, kind: Kind, fault: Fault | None, counted: Sequence[str]) -> tuple[int, list[int]]:
    log = os.open(_log(folder), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    temporary = folder / "temporary"  # what is left there is left behind, too
    temporary.mkdir(exist_ok=True)
    tempfile.tempdir = os.environ["TMPDIR"] = str(temporary)
    workers = _Workers(folder, fault)
    play(workers.begin, workers.end)
    run.plan = lambda overrides: _plan(tuple(overrides))
    if fault and fault.process == "supervisor":
        arm(folder, fault, counted)
    try:
        code = run.run_study(_asked(kind, folder))
    except UserError as error:
        print(error)
        code = EXIT_BAD_INPUT
    except Exception:
        traceback.print_exc()
        code = 70
    sys.stdout.flush()
    return code, [workers.changes, *(count(part) for part in range(1 + len(counted)))] if fault else []


class _Workers:
    """Arms the first worker of a study, and hears how many changes it made."""

    def __init__(self, folder: Path, fault: Fault | None) -> None:
        self._folder = folder
        self._fault = fault if fault and (fault.process == "worker" or not fault.at) else None
        self._armed = False
        self._changes = multiprocessing.get_context("fork").Value("q", -1)

    @property
    def changes(self) -> int:
        return int(self._changes.value)

    def begin(self) -> None:
        if self._fault and self._changes.value < 0:
            self._changes.value, self._armed = 0, True
            arm(self._folder, self._fault)

    def end(self) -> None:
        if self._armed:
            self._changes.value = count()


def _asked(kind: Kind, folder: Path) -> list[str]:
    return [*STUDIES[kind], f"study.folder={folder}"]


_plan = cache(plan)


def _place(folder: Path) -> Path:
    return folder / "studies"


def _log(folder: Path) -> Path:
    return folder.with_suffix(".log")


def _tail(folder: Path) -> str:
    return " | ".join(_log(folder).read_text(errors="replace").splitlines()[-3:])
