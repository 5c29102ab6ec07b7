"""Runs a simulated study in a process of its own, lets it die at a write, runs it again, and compares."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

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
MAX_RUNS: Final = 3
"""How often a study is started again until it ends; a fault strikes once, so the second run ends."""
NOT_HIT: Final = 17
"""Exit code of a study that ended before its fault came."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """What became of a study with a fault."""

    fault: Fault
    hit: bool
    problems: Sequence[str]


def undisturbed(folder: Path) -> tuple[Outcome, dict[str, int]]:
    """Run the study to its end; what it came to, and how often each database and any file was written."""
    counts = {}
    for part in ("", "studies.db", "mlflow.db", f"{NAME}/"):
        where = folder / ("counted-" + (part.strip("/") or "all"))
        pipe = os.pipe()
        code = _study(where, Fault(at=0, part=part), pipe[1])
        os.close(pipe[1])
        with os.fdopen(pipe[0]) as told:
            words = told.read()
        if code != 0 or not words:
            raise RuntimeError(f"the undisturbed study ended with {code}: {_tail(where)}")
        counts[part] = int(words)
    return outcome_of(folder / "counted-all", NAME), counts


def strike(folder: Path, fault: Fault, expected: Outcome) -> Result:
    """Let one fault strike a fresh study, run it again until it ends, and say what is not as it should be."""
    where = folder / "struck"
    shutil.rmtree(where, ignore_errors=True)
    (folder / "struck.log").unlink(missing_ok=True)
    code = _study(where, fault)
    hit = code == -signal.SIGKILL if fault.mode != "fail" else code != 0
    problems = []
    if hit and fault.mode == "fail" and code not in (1, 2):
        problems.append(f"a failed call ended the study with exit code {code}")
    for _ in range(MAX_RUNS):
        if code == 0:
            break
        code = _study(where, None)
    said = (folder / "struck.log").read_text(errors="replace")
    if code != 0:
        problems.append(f"run again it ends with exit code {code}: {_tail(where)}")
    else:
        try:
            problems += differences(expected, outcome_of(where, NAME))
        except Exception as error:  # whatever it left cannot be read
            problems.append(f"it ended, but cannot be read: {type(error).__name__}: {error}")
    if "Traceback" in said:
        problems.append(f"a traceback: {_tail(where)}")
    return Result(fault=fault, hit=hit, problems=problems)


def _study(folder: Path, fault: Fault | None, told: int | None = None) -> int:
    """The exit code of a run in a forked process, negative for the signal that ended it."""
    folder.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        os._exit(_run(folder, fault, told))
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _run(folder: Path, fault: Fault | None, told: int | None) -> int:
    """In the forked process."""
    from sweeper.run import run_study
    from tests.faults.simulated import play

    log = os.open(folder.parent / f"{folder.name}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    play()
    try:
        if fault:
            arm(folder, fault)
        code = run_study([*STUDY, f"study.folder={folder}"])
        if told is not None:
            os.write(told, str(count()).encode())
        return code
    except Exception as error:
        from foundation.errors import UserError

        if isinstance(error, UserError):
            print(error, flush=True)
            return 2
        traceback.print_exc()
        return 70
    finally:
        sys.stdout.flush()


def _tail(folder: Path) -> str:
    lines = (folder.parent / f"{folder.name}.log").read_text(errors="replace").splitlines()
    return " | ".join(lines[-4:])
