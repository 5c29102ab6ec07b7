"""A folder of studies for the live page: what there is, and of each study what is newer than a version that one has."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

from sweeper.holdings import studies_in
from sweeper.page.reading import StudyReader
from sweeper.page.view import PictureSet, StudyView, TrialView, as_json

LEAST_S: Final = 1.0
"""A study is read no more often, however many windows ask."""
_NOT_NEWS: Final = ("trials", "read_at")
"""What changes by itself; trials are told one by one."""


@dataclass(slots=True)
class _Part:
    """A field of the study, or a trial: as it was told last."""

    version: int
    source: object
    json: Any


class LiveStudy:
    """One study, with a version that rises whenever something of it has changed. May be asked from any thread."""

    def __init__(self, study: Path, database: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._reader = StudyReader(study, database, waits=False)
        self._lock = threading.Lock()
        self._clock = clock
        self._read_at = -math.inf
        self._version = 0
        self._fields: dict[str, _Part] = {}
        self._trials: dict[int, _Part] = {}
        self._view: StudyView | None = None

    @property
    def folder(self) -> Path:
        """The study's."""
        return self._reader.study

    def view(self) -> StudyView:
        """Return the study as it was read last, a moment ago at most."""
        with self._lock:
            self._read()
            assert self._view is not None
            return self._view

    def newer(self, since: int) -> dict[str, Any]:
        """Return what is newer than a version, for JSON; all of it for 0, or for a version that is none of ours.

        `version` is what to ask with the next time, `study` the fields that have changed, `trials` the trials that
        have, and `numbers` those of all trials, in order, where trials were added or taken away.
        """
        with self._lock:
            self._read()
            known = since if since <= self._version else 0
            changed = {name: part.json for name, part in self._fields.items() if part.version > known}
            trials = [part.json for part in self._trials.values() if part.version > known]
            return {"version": self._version, "study": changed, "trials": trials, "numbers": [*self._trials]}

    def _read(self) -> None:
        if self._clock() - self._read_at < LEAST_S:
            return
        view = self._reader.read()
        self._read_at = self._clock()
        self._view = view
        version = self._version + 1
        for each in fields(view):
            if each.name not in _NOT_NEWS:
                self._note(self._fields, each.name, getattr(view, each.name), version)
        gone = self._trials.keys() - {each.number for each in view.trials}
        for number in gone:
            del self._trials[number]
        for trial in view.trials:
            self._note(self._trials, trial.number, trial, version)
        if gone or any(part.version == version for part in (*self._fields.values(), *self._trials.values())):
            self._version = version

    @staticmethod
    def _note(parts: dict[Any, _Part], name: object, source: object, version: int) -> None:
        before = parts.get(name)
        if before is not None and (before.source is source or before.source == source):
            return
        made = as_json(source)
        if before is not None and before.json == made:  # less is told than is known, and that is as it was
            before.source = source
            return
        parts[name] = _Part(version, source, made)


class Studies:
    """The studies of a folder, by name. May be asked from any thread."""

    def __init__(self, folder: Path, database: Path) -> None:
        self.folder = folder
        self._database = database
        self._lock = threading.Lock()
        self._known: dict[str, LiveStudy] = {}

    def find(self, name: str) -> LiveStudy | None:
        """Return the study of this name; None where there is none, whatever else the name may lead to."""
        found = {study.name: study for study in studies_in(self.folder)}
        if name not in found:
            return None
        with self._lock:
            if name not in self._known:
                self._known[name] = LiveStudy(found[name], self._database)
            return self._known[name]

    def summaries(self) -> list[dict[str, Any]]:
        """Return what the list of studies shows of each, those that run first, then by time, the newest first."""
        found = []
        for study in studies_in(self.folder):
            live = self.find(study.name)
            if live is not None:
                found.append((_time_of(study), _summary(live.view())))
        found.sort(key=lambda pair: (pair[1]["state"] != "running", -pair[0]))
        return [summary for _, summary in found]


def _summary(view: StudyView) -> dict[str, Any]:
    own = [each for each in view.trials if not each.is_rerun]
    best = _best(view)
    chosen = view.choice
    return as_json(  # type: ignore[no-any-return]
        {
            "name": view.name,
            "state": view.state,
            "base": view.base,
            "kind": view.kind,
            "score": chosen.score if chosen else _score(best) if best else None,
            "is_chosen": chosen is not None,
            "picture": _picture(best) if best else "",
            "ended": sum(each.status in ("finished", "pruned", "failed") for each in own),
            "wanted": max(view.trials_wanted, len(own)),
            "left_s": view.left_s,
            "took_s": view.training_s + view.judging_s,
            "gigabytes": view.gigabytes,
            "sentence": view.sentences[0] if view.sentences else "",
            "command": view.command,
        }
    )


def _best(view: StudyView) -> TrialView | None:
    if view.choice is not None:
        won = next((each for each in view.trials if each.name == view.choice.training), None)
        if won is not None:
            return won
    scored = [each for each in view.trials if math.isfinite(_score(each))]
    sign = 1 if view.higher_is_better else -1
    return max(scored, key=lambda each: sign * _score(each), default=None)


def _score(trial: TrialView) -> float:
    return next((each.score for each in trial.evaluations if each.step == trial.chosen), math.nan)


def _picture(trial: TrialView) -> str:
    """The path of the first prompt's first picture of a trial's chosen checkpoint; empty where there is none."""
    sets: list[PictureSet] = [each for each in trial.pictures if each.step == trial.chosen and "prompt" in each.counts]
    return f"{sets[0].folder}/prompt00-seed0.png" if sets and sets[0].counts["prompt"][0] else ""


def _time_of(study: Path) -> float:
    try:
        return (study / "study.yaml").stat().st_mtime
    except OSError:
        return 0.0
