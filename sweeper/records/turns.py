"""When a trial had a slot of which worker: lines of a file in its folder, which the supervisor writes."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from foundation.errors import DataError
from foundation.files.documents import as_mapping, parse_json
from foundation.files.durable import append_line

TURNS: Final = "turns.jsonl"


@dataclass(frozen=True, kw_only=True, slots=True)
class Turn:
    """One time in a slot, in seconds since 1970."""

    worker: int
    began: float
    ended: float | None
    """None: it lasts, or its supervisor was killed."""


def begin_turn(trial: Path, worker: int, clock: Callable[[], float] = time.time) -> None:
    """Note that a trial, by its folder, has a slot of this worker from now on."""
    append_line(trial / TURNS, json.dumps({"worker": worker, "began": round(clock(), 3)}))


def end_turn(trial: Path, clock: Callable[[], float] = time.time) -> None:
    """Note that it has it no more."""
    append_line(trial / TURNS, json.dumps({"ended": round(clock(), 3)}))


def read_turns(trial: Path) -> list[Turn]:
    """All turns of a trial, in order; a line that a crash cut off is passed over. Empty where no file tells."""
    turns: list[Turn] = []
    file = trial / TURNS
    for line in file.read_text(errors="replace").splitlines() if file.exists() else ():
        try:
            told = as_mapping(parse_json(line, str(file)), str(file))
            if "ended" in told and turns:
                turns[-1] = replace(turns[-1], ended=float(told["ended"]))
            elif "began" in told:
                turns.append(Turn(worker=int(told["worker"]), began=float(told["began"]), ended=None))
        except (DataError, LookupError, TypeError, ValueError):
            continue
    return turns
