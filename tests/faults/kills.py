"""Runs a simulated study in a process of its own, lets it die at a write, runs it again, and compares."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from foundation.errors import UserError
from tests.faults.injection import Fault, arm, count
from tests.faults.outcome import Outcome, differences, outcome_of

NAME: Final = "killed"
STUDY: Final = (
    "+experiment=pencil",
    f"study.name={NAME}",
    "study.num_trials=5",
    "study.slots=2",
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
PARTS: Final = ("studies.db", "mlflow.db", f"{NAME}/")
"""Where faults strike: either database, or the study's own folder."""
MAX_RUNS: Final = 3
"""How often a study is started again until it ends; a fault strikes once, so the second run ends."""
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """What became of a study with a fault."""

    fault: Fault
    hit: bool
    problems: Sequence[str]


def undisturbed(folder: Path) -> tuple[Outcome, dict[str, int]]:
    """Run the study to its end: what it came to, and how often each database, its folder and any file were changed."""
    where = folder / "undisturbed"
    code, counts = _run(where, Fault(at=0), PARTS)
    if code != 0:
        raise RuntimeError(f"the undisturbed study ended with {code}: {_tail(where)}")
    return _in_fork(lambda: outcome_of(where, NAME)), dict(zip(("", *PARTS), counts, strict=True))


def strike(folder: Path, fault: Fault, expected: Outcome) -> Result:
    """Let one fault strike a fresh study, run it again until it ends, and say what is not as it should be."""
    where, problems = folder / "struck", []
    shutil.rmtree(where, ignore_errors=True)
    _log(where).unlink(missing_ok=True)
    code, counts = _run(where, fault)
    changes = counts[0] if counts else fault.at
    if fault.mode == "fail" and changes >= fault.at and code not in (0, 1, 2):
        problems.append(f"a failed call ended the study with exit code {code}")
    for _ in range(MAX_RUNS):
        if code == 0:
            break
        code, _ = _run(where, None)
    if code != 0:
        problems.append(f"run again it ends with exit code {code}: {_tail(where)}")
    else:
        found = _in_fork(lambda: _found(where, expected))
        problems += found
    if "Traceback" in _log(where).read_text(errors="replace"):
        problems.append("a traceback was printed")
    return Result(fault=fault, hit=changes >= fault.at, problems=problems)


def _found(where: Path, expected: Outcome) -> list[str]:
    try:
        return differences(expected, outcome_of(where, NAME))
    except Exception as error:  # whatever it left cannot be read
        return [f"it ended, but cannot be read: {type(error).__name__}: {error}"]


def _run(folder: Path, fault: Fault | None, counted: Sequence[str] = ()) -> tuple[int, list[int]]:
    """Run the study in a process of its own: its exit code, and how many changes were counted; none of a killed one."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        return _in_fork(lambda: _study(folder, fault, counted))
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


def _study(folder: Path, fault: Fault | None, counted: Sequence[str]) -> tuple[int, list[int]]:
    from sweeper.run import run_study
    from tests.faults.simulated import play

    log = os.open(_log(folder), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    play()
    if fault:
        arm(folder, fault, counted)
    try:
        code = run_study([*STUDY, f"study.folder={folder}"])
    except UserError as error:
        print(error)
        code = 2
    except Exception:
        traceback.print_exc()
        code = 70
    sys.stdout.flush()
    return code, [count(part) for part in range(1 + len(counted))] if fault else []


def _log(folder: Path) -> Path:
    return folder.with_suffix(".log")


def _tail(folder: Path) -> str:
    return " | ".join(_log(folder).read_text(errors="replace").splitlines()[-3:])
