"""Reads a study into a view, and reads again only what has changed since: a page asks every other second."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

from foundation.errors import StudyError
from sweeper.holdings import state_of_study
from sweeper.page.actions import command_line
from sweeper.page.beside import Beside
from sweeper.page.choice import Scores, read_scores
from sweeper.page.last_words import last_words
from sweeper.page.params import param_views, short_names
from sweeper.page.pictures import FINAL, base_sets
from sweeper.page.reals import Reals, find_reals
from sweeper.page.sentences import sentences_on
from sweeper.page.study_file import STUDY_FILE, StudyFile, read_study_file
from sweeper.page.time_left import time_left_s
from sweeper.page.timeline import timeline_of
from sweeper.page.trials import TrialFiles, courses_of, read_files, stamp_of, trial_view
from sweeper.page.view import PromptView, StudyState, StudyView, Timeline, TrialView
from sweeper.records.history import read_base_names
from sweeper.records.paths import best_of, trainings_of
from sweeper.records.trainings import Training
from sweeper.results.file_names import SCORES
from sweeper.search.database import Database
from sweeper.search.recorded import Importances, RecordedTrial, importances_of, recorded_trials
from sweeper.tracking import DATABASE
from sweeper.tracking.runs_of import experiment_of, last_steps, trial_runs

_GROUPS: Final = {"samples": "prompt", "unrelated": "unrelated", "training captions": "training", "class word": "class"}
"""What the names of the base's pictures begin with (`records.pictures.sheets`), to the kind of prompt."""
T = TypeVar("T")


class StudyReader:
    """Reads the study in the folder `study`; Optuna knows it in `database`. One thread at a time.

    What takes long and is looked at last is computed beside it unless it `waits`, and is in a later view.
    """

    def __init__(self, study: Path, database: Database, *, waits: bool = True) -> None:
        self.study = study
        self._waits = waits
        self._database = database
        self._files: dict[int, TrialFiles] = {}
        self._views: dict[int, tuple[tuple[object, ...], TrialView]] = {}
        self._known: dict[str, tuple[object, Any]] = {}
        self._beside: Beside[Importances] = Beside()

    def read(self, state: StudyState | None = None) -> StudyView:
        """Return the study as it stands; `state` says what it is where its files do not yet.

        Nothing is raised for what is damaged or gone: it is left out, and said in `StudyView.notes`.
        """
        now, study = time.time(), self.study
        state = state or state_of_study(study)
        about = self._once("about", _time_of(study / STUDY_FILE), lambda: read_study_file(study))
        scores = self._once("scores", _time_of(best_of(study) / SCORES), lambda: read_scores(study))
        notes = [about.problem] if about.problem else []
        notes += last_words(study) if state == "unfinished" else []
        recorded = {each.number: each for each in self._records(notes)}
        names = short_names([*about.space, *(name for each in recorded.values() for name in each.params)])
        runs, experiment = self._runs()
        trials, timeline = self._trials(recorded, names, about, scores, state, runs)
        if state == "running":
            trials = self._with_last_steps(trials)
        importances = self._importances(recorded, about)
        prompts, reals = self._prompts(about, trials)
        sign = 1 if about.direction == "maximize" else -1
        return StudyView(
            name=study.name,
            state=state,
            read_at=now,
            base=about.base,
            trigger=about.trigger,
            kind=about.kind,
            aim=about.aim,
            higher_is_better=sign > 0,
            clean=about.clean,
            trials_wanted=about.num_trials,
            steps=max([about.steps, *(each.step for each in trials)], default=0),
            sentences=sentences_on(state, trials, scores, about.num_trials, about.aim, sign),
            choice=scores.choice if scores else None,
            trials=trials,
            params=param_views(about.space, names, [each.params for each in trials], importances.shares),
            importance_note=importances.note,
            prompts=prompts,
            reals=reals.pictures,
            base_pictures=base_sets(study, [each for trial in trials for each in trial.pictures]),
            timeline=timeline,
            training_s=sum(each.training_s for each in trials),
            judging_s=sum(each.judging_s for each in trials),
            gigabytes=max((each.gigabytes for each in trials), default=0.0),
            left_s=time_left_s(trials, timeline, about.num_trials) if state == "running" else None,
            experiment=experiment,
            command=self._once("command", _time_of(study / STUDY_FILE), lambda: command_line(study)),
            best=sorted(path.name for path in best_of(study).iterdir()) if best_of(study).is_dir() else (),
            notes=notes,
        )

    def _trials(
        self,
        recorded: Mapping[int, RecordedTrial],
        names: Mapping[str, str],
        about: StudyFile,
        scores: Scores | None,
        state: StudyState,
        runs: Mapping[int, str],
    ) -> tuple[list[TrialView], Timeline]:
        """The trials and reruns, and what the slots did."""
        trials, courses, now = [], [], time.time()
        for number, files in self._trainings().items():
            of = recorded.get(Training.of(number).trial)
            fresh = scores.finalists.get(number) if scores else None
            trials.append(self._view(number, files, of, names, about, fresh, state == "running", runs.get(number, "")))
            courses += courses_of(trials[-1], files, of, now)
        return trials, timeline_of(courses, _time_of(self.study / STUDY_FILE))

    def _view(
        self,
        number: int,
        files: TrialFiles,
        of: RecordedTrial | None,
        names: Mapping[str, str],
        about: StudyFile,
        fresh: float | None,
        is_running: bool,
        run: str,
    ) -> TrialView:
        """The trial's view: the same object as long as nothing of it has changed."""
        key = (files, of, tuple(names.items()), about, fresh, is_running, run)
        before = self._views.get(number)
        if before is None or any(old is not new and old != new for old, new in zip(before[0], key, strict=True)):
            view = trial_view(number, files, of, names, about, fresh, is_running=is_running)
            self._views[number] = key, replace(view, run=run)
        return self._views[number][1]

    def _once(self, name: str, stamp: object, read: Callable[[], T]) -> T:
        """What `read` returned when the stamp was this one."""
        if name not in self._known or self._known[name][0] != stamp:
            self._known[name] = stamp, read()
        found: T = self._known[name][1]
        return found

    def _trainings(self) -> dict[int, TrialFiles]:
        folders = trainings_of(self.study)
        for number, folder in folders.items():
            if number not in self._files or self._files[number].stamp != stamp_of(folder):
                self._files[number] = read_files(folder, self.study.parent)
        self._files = {number: self._files[number] for number in folders}
        return self._files

    def _records(self, notes: list[str]) -> Sequence[RecordedTrial]:
        def read() -> Sequence[RecordedTrial] | StudyError:
            try:
                return recorded_trials(self.study.name, self._database)
            except StudyError as error:
                return error

        found = self._once("recorded", _times_of_database(self._database), read)
        if isinstance(found, StudyError):
            notes.append(str(found))
            return ()
        return found

    def _importances(self, recorded: Mapping[int, RecordedTrial], about: StudyFile) -> Importances:
        finished = tuple(number for number, each in recorded.items() if each.status == "finished")
        if not recorded:
            known = not isinstance(self._database, Path) or self._database.exists()
            note = "no trial has ended yet" if known else "importances cannot be told without the study's database"
            return Importances(shares={}, note=note)
        compute = partial(importances_of, self.study.name, self._database, about.direction)
        if self._waits:
            return self._once("importances", finished, compute)
        return self._beside.newest(finished, compute) or Importances(shares={}, note="it is being computed")

    def _runs(self) -> tuple[Mapping[int, str], str]:
        studies, name = self.study.parent, self.study.name
        stamp = len(self._files), _time_of(studies / DATABASE) if len(self._files) < 2 else None
        return self._once("runs", stamp, lambda: (trial_runs(studies, name), experiment_of(studies, name)))

    def _with_last_steps(self, trials: Sequence[TrialView]) -> list[TrialView]:
        """The trials as far as MLflow knows them: their own files are behind, up to an evaluation."""
        studies = self.study.parent
        last = self._once("last", _time_of(studies / DATABASE), lambda: last_steps(studies, self.study.name))
        return [
            replace(each, step=last[each.number][0], loss=last[each.number][1])
            if each.status == "running" and each.number in last and last[each.number][0] > each.step
            else each
            for each in trials
        ]

    def _prompts(self, about: StudyFile, trials: Sequence[TrialView]) -> tuple[list[PromptView], Reals]:
        """The prompts by kind, in the order of their pictures' numbers, with what stands beside them."""
        texts = _texts(self.study, about, trials)
        flat = [(kind, text) for kind, own in texts.items() for text in own]
        reals = self._once("reals", tuple(flat), lambda: find_reals(self.study, about, [text for _, text in flat]))
        of = reals.of_prompts or [None] * len(flat)
        return [PromptView(kind=kind, text=text, real=real) for (kind, text), real in zip(flat, of, strict=True)], reals


def _texts(study: Path, about: StudyFile, trials: Sequence[TrialView]) -> dict[str, list[str]]:
    """Prompts by kind, as many as there are pictures of; one whose text no file tells is called by its number."""
    texts: dict[str, list[str]] = {"prompt": list(about.prompts), "unrelated": list(about.unrelated_prompts)}
    named: dict[str, list[str]] = {}
    for name in read_base_names(study):
        group, _, text = name.partition("/")
        if group in _GROUPS:
            named.setdefault(_GROUPS[group], []).append(text.partition(" ")[2])
    texts |= named
    texts[FINAL] = list(about.final_prompts) or list(texts["prompt"])
    drawn: dict[str, int] = {}
    for each in (pictures for trial in trials for pictures in trial.pictures):
        for kind, counts in each.counts.items():
            drawn[kind] = max(drawn.get(kind, 0), len(counts))
    order = ("prompt", FINAL, "unrelated", "training", "class")
    found = {kind: texts.get(kind, []) for kind in order if drawn.get(kind)}
    return {
        kind: [*own[: drawn[kind]], *(f"{kind} {number + 1}" for number in range(len(own), drawn[kind]))]
        for kind, own in found.items()
    }


def _times_of_database(database: Database) -> tuple[float | None, ...]:
    """What changes when SQLite writes, in whichever way it keeps its journal."""
    if not isinstance(database, Path):  # a server tells of no time
        return ()
    return tuple(_time_of(database.with_name(f"{database.name}{end}")) for end in ("", "-wal"))


def _time_of(file: Path) -> float | None:
    try:
        return file.stat().st_mtime
    except OSError:
        return None
