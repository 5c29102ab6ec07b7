"""What a study's devices were at: loading, training, judging, judging finalists, or nothing of these.

Trials' own costs lie in their folders, so this counts what those do not tell. What earlier runs took is kept in the
study's folder; of a run that was killed what it took beside its trials is not known.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Final

from foundation.config.plain import number
from foundation.errors import DataError
from foundation.files.documents import read_mapping
from foundation.files.durable import write_json
from sweeper.records.history import costs_in_all

_FILE: Final = "stages.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class Stages:
    """Seconds of all devices together."""

    loading: float = 0.0
    """Base, pictures, capacity and what the base itself draws, at each start of a worker."""
    training: float = 0.0
    judging: float = 0.0
    """Of trials and their reruns."""
    finals: float = 0.0
    """Judging finalists and strengths, and drawing sheets."""
    idle: float = 0.0
    """What is left of the time that devices were held: waiting for trials, verdicts and one another, and saving."""

    def __add__(self, other: Stages) -> Stages:
        return Stages(**{each.name: getattr(self, each.name) + getattr(other, each.name) for each in fields(self)})

    @property
    def total(self) -> float:
        """All of it."""
        return sum((float(value) for value in asdict(self).values()), start=0.0)

    def metrics(self) -> dict[str, float]:
        """By names such as `cost/loading_seconds`."""
        return {f"cost/{name}_seconds": value for name, value in asdict(self).items()}

    def __str__(self) -> str:
        whole = self.total or 1.0
        parts = (f"{name} {value:.0f} s ({value / whole:.0%})" for name, value in asdict(self).items())
        return f"all devices together {self.total:.0f} s: {', '.join(parts)}"


class StageClock:
    """Counts one run's stages as its workers go through them; `clock` is in seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._up: dict[int, float] = {}
        """Worker to when its process was started, of those that are there."""
        self._asked: dict[int, float] = {}
        """Worker to when it got a question, of those that owe an answer."""
        self._held = self._loading = self._finals = 0.0

    def start(self, worker: int) -> None:
        """A worker's process begins to load."""
        self._up.setdefault(worker, self._clock())

    def load(self, worker: int, seconds: float) -> None:
        """It has loaded, which took so long; it may have begun before anybody said so."""
        now = self._clock()
        self._up[worker] = began = min(self._up.get(worker, now), now - seconds)
        self._loading += now - began

    def ask(self, worker: int) -> None:
        """It has a question about a checkpoint."""
        self._asked[worker] = self._clock()

    def answer(self, worker: int) -> None:
        """It has answered, or will not."""
        if (since := self._asked.pop(worker, None)) is not None:
            self._finals += self._clock() - since

    def end(self, worker: int) -> None:
        """Its process is gone."""
        self.answer(worker)
        if (since := self._up.pop(worker, None)) is not None:
            self._held += self._clock() - since

    def stages(self, training: float, judging: float) -> Stages:
        """What this run came to so far, with what its trials took in it."""
        now = self._clock()
        held = self._held + sum(now - since for since in self._up.values())
        finals = self._finals + sum(now - since for since in self._asked.values())
        known = self._loading + training + judging + finals
        return Stages(
            loading=self._loading, training=training, judging=judging, finals=finals, idle=max(0.0, held - known)
        )


class StudyStages:
    """A study's stages over all its runs: `folder` is its own, `trainings` are the folders of all that it trains."""

    def __init__(self, folder: Path, clock: StageClock, trainings: Callable[[], Iterable[Path]]) -> None:
        self._file, self._clock, self._trainings = folder / _FILE, clock, trainings
        self._before = read_stages(folder)
        self._at_start = self._of_trainings()

    def total(self) -> Stages:
        """What all runs took so far; written down, too."""
        training, judging = self._of_trainings()
        began = self._at_start
        found = self._before + self._clock.stages(max(0.0, training - began[0]), max(0.0, judging - began[1]))
        write_json(self._file, asdict(found))
        return found

    def _of_trainings(self) -> tuple[float, float]:
        costs = [costs_in_all(folder) for folder in self._trainings()]
        return sum(each.training.seconds for each in costs), sum(each.judging.seconds for each in costs)


def read_stages(folder: Path) -> Stages:
    """What `StudyStages` wrote last in a study's folder; nothing where it wrote none, or it is damaged."""
    try:
        found = read_mapping(folder / _FILE)
        return Stages(**{each.name: max(0.0, number(found[each.name])) for each in fields(Stages)})
    except (OSError, DataError, ValueError, LookupError, TypeError):
        return Stages()
