"""What a study came to, read from its files, from Optuna and from MLflow, and how two of them differ."""

from __future__ import annotations

import hashlib
import json
import re
import sqlite3
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import optuna
from mlflow import MlflowClient
from mlflow.entities import Run

from foundation.files.cache_use import NOTE, uses_of
from sweeper.holdings import leftovers
from sweeper.records.history import StepFile, read_evaluations, read_validations
from sweeper.records.paths import trainings_of
from sweeper.records.trainings import name_of
from sweeper.records.turns import TURNS
from sweeper.records.urls import sqlite_url
from sweeper.tracking import DATABASE

_UNIQUE: Final = re.compile(r"\+timestamp\+\d+\+[0-9a-f-]{36}")
"""What MLflow puts into the name of a picture that is another each time."""
_IDENTITY: Final = re.compile(r"\b[0-9a-f]{32}(?:[0-9a-f]{8})?\b")
"""A run's, a study's, or a revision's."""
_OF_THE_INTERRUPTION: Final = ("attempt", "shown")
"""Tags that hang on it: the number of tries, and a digest of files with what they took."""
_SO_FAR: Final = "chosen/"
"""Metrics that are one value each: those of which an end has made others need not have been shown."""
_SLOT: Final = re.compile(rb'"slot": \d+')
"""The place that a trial had in its worker."""
_TOOK: Final = re.compile(
    r"(?<=\| )[\d.,]+ (?:s|min|h)(?: \(\d+%\))?(?= \|)|(?<=\| )\S+ \| \S+(?= \| [^|\n]+ \|$)", re.MULTILINE
)
"""What a stage or a trial took, in tables of the card."""
_OF_CARD: Final = re.compile(rb'"(?:card\.md|checksums\.sha256)": "[0-9a-f]{64}"|[0-9a-f]{64}  card\.md')
"""Digests of a card, and of what has such, which hang on what is in it."""
_OF_PROCESSES: Final = (".lease", ".workers", "costs.jsonl", "attempt", "report.html", "stages.json", TURNS)
"""Files whose content hangs on processes, on which trials shared their passes, and on the clock."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """One of MLflow's runs."""

    status: str
    end: str
    params: dict[str, str]
    metrics: Counter[tuple[str, int, float]]
    """Every stored value with its step; one that is stored twice counts twice."""
    latest: dict[str, float]
    """What is shown of each metric."""
    tags: dict[str, str]
    artifacts: Counter[tuple[str, str]]
    """Every file by its path in the run and its content."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """All that must not hang on whether, and where, a study was interrupted."""

    trials: dict[int, dict[str, Any]]
    """By Optuna's number: parameters, state, value, reported scores."""
    best: dict[str, Any]
    """The winner's trial, step and strength, what the finalists came to, and the digest of its LoRA."""
    files: dict[str, str]
    """Relative path to content of all that the study leaves on disk, but databases and MLflow's artifacts."""
    shown: dict[str, Shown]
    """MLflow's runs of this study by name."""
    versions: dict[str, dict[str, Any]]
    """What is registered, by model and version."""
    gaps: tuple[str, ...]
    """What MLflow shows otherwise than the files hold it."""


def outcome_of(folder: Path, name: str) -> Outcome:
    """Read a study that has ended."""
    study = optuna.load_study(study_name=name, storage=sqlite_url(folder / "studies.db"))
    trials = {
        each.number: {
            "params": dict(each.params),
            "state": each.state.name,
            "value": each.value,
            "scores": dict(each.intermediate_values),
        }
        for each in study.get_trials(deepcopy=False)
    }
    best = winner_of(folder, name)
    shown = {each: _shown(folder, run) for each, run in _runs(folder, name).items()}
    children = {each: run for each, run in _runs(folder, name).items() if run.data.tags["role"] != "study"}
    by_trial = {run.data.tags.get("trial"): each for each, run in children.items()}
    gaps = []
    for number, training_folder in trainings_of(folder / name).items():
        run = by_trial.get(name_of(number))
        own = ["there is no run"] if run is None else _against_files(training_folder, shown[run])
        gaps += [f"trial {name_of(number)}: {gap}" for gap in own]
    cleared = leftovers(folder / "cache")  # that are a day old, by the next study
    kept = (
        path
        for path in folder.rglob("*")
        if path.is_file() and not _is_store(path.relative_to(folder)) and not {path, *path.parents} & {*cleared}
    )
    files = {str(path.relative_to(folder)): _content(path) for path in kept}
    versions = _versions(folder)
    return Outcome(trials=trials, best=best, files=files, shown=shown, versions=versions, gaps=tuple(gaps))


def winner_of(folder: Path, name: str) -> dict[str, Any]:
    """See `Outcome.best`."""
    scores = json.loads((folder / name / "best" / "scores.json").read_text())
    weights = (folder / name / "best" / "pytorch_lora_weights.safetensors").read_bytes()
    best = {key: scores[key] for key in ("trial", "training", "step", "strength", "finalists", "settings")}
    return {**best, "sha256": hashlib.sha256(weights).hexdigest()}


def differences(undisturbed: Outcome, other: Outcome) -> list[str]:
    """What the second does not have as the first, in words; nothing where they are alike."""
    found = [f"MLflow: {gap}" for gap in other.gaps]
    found += _changed("trial ", undisturbed.trials, other.trials)
    found += _changed("the winner's ", undisturbed.best, other.best)
    found += _changed("the registry's ", undisturbed.versions, other.versions)
    if undisturbed.shown.keys() != other.shown.keys():
        found.append(f"MLflow's runs were {sorted(undisturbed.shown)}, are {sorted(other.shown)}")
    for name in undisturbed.shown.keys() & other.shown.keys():
        found += [f"MLflow, {name}: {each}" for each in _differ(undisturbed.shown[name], other.shown[name])]
    found += [f"left behind: {path}" for path in sorted(other.files.keys() - undisturbed.files.keys())]
    found += [f"gone: {path}" for path in sorted(undisturbed.files.keys() - other.files.keys())]
    both = sorted(undisturbed.files.keys() & other.files.keys())
    found += [f"{path} is another" for path in both if undisturbed.files[path] != other.files[path]]
    return found


def _is_store(path: Path) -> bool:
    """What is compared by what it holds, and thumbnails, whose names hang on the times of pictures."""
    is_database = path.parts[0].endswith((".db", ".db-journal", ".db-wal", ".db-shm"))
    return is_database or path.parts[0] == "mlartifacts" or path.parts[:2] == ("cache", "thumbnails")


def _runs(folder: Path, name: str) -> dict[str, Run]:
    """MLflow's runs of a study by name; one that has a namesake takes a number."""
    client = MlflowClient(sqlite_url(folder / DATABASE))
    found = [run for each in client.search_experiments() for run in client.search_runs([each.experiment_id])]
    runs: dict[str, Run] = {}
    for run in sorted(found, key=lambda run: run.info.start_time):
        if run.data.tags.get("study") == name:
            same = sum(each.split(" (again")[0] == run.info.run_name for each in runs)
            runs[f"{run.info.run_name} (again {same})" if same else run.info.run_name] = run
    return runs


def _shown(folder: Path, run: Run) -> Shown:
    with sqlite3.connect(f"file:{folder / DATABASE}?mode=ro", uri=True) as database:
        rows = database.execute("SELECT key, step, value FROM metrics WHERE run_uuid = ?", (run.info.run_id,))
        metrics = Counter((key, step, _comparable(key, value)) for key, step, value in rows)
    root = next((folder / "mlartifacts").rglob(run.info.run_id), None)
    files = [path for path in root.rglob("*") if path.is_file()] if root else []
    return Shown(
        status=run.info.status,
        end=run.data.tags.get("ended", ""),
        params=dict(run.data.params),
        metrics=metrics,
        latest={key: _comparable(key, value) for key, value in run.data.metrics.items()},
        tags={key: _IDENTITY.sub("…", text) for key, text in run.data.tags.items() if key not in _OF_THE_INTERRUPTION},
        artifacts=Counter((_UNIQUE.sub("", str(path.relative_to(root))), _content(path)) for path in files if root),
    )


def _versions(folder: Path) -> dict[str, dict[str, Any]]:
    client = MlflowClient(sqlite_url(folder / DATABASE))
    aliases = {each.name: each.aliases for each in client.search_registered_models()}
    return {
        f"{each.name} {each.version}": {
            "aliases": [alias for alias, of in aliases[each.name].items() if of == str(each.version)],
            "tags": {key: _IDENTITY.sub("…", text) for key, text in each.tags.items()},
            "description": _IDENTITY.sub("…", each.description),
            "source": _IDENTITY.sub("…", each.source),
        }
        for each in client.search_model_versions()
    }


def _content(file: Path) -> str:
    """A digest of what a file holds, but for identities; empty where it hangs on the interruption."""
    if file.name in _OF_PROCESSES:
        return ""
    if file.name == NOTE:  # what is used, in whatever order several workers came to it
        return " ".join(sorted(uses_of(file.parent) or ()))
    data = _OF_CARD.sub(b"", _SLOT.sub(b"", file.read_bytes()))
    if file.suffix in (".yaml", ".md", ".json"):
        data = _IDENTITY.sub("…", _TOOK.sub("", data.decode())).encode()
    return hashlib.sha256(data).hexdigest()[:16]


def _comparable(key: str, value: float) -> float:
    """What a trial took hangs on which trials shared its passes, what a study took on the clock."""
    return 0.0 if key.startswith(("usage/", "cost/")) else value


def _against_files(trial_folder: Path, shown: Shown) -> list[str]:
    """What MLflow shows otherwise than the trial's own files hold it."""
    steps = Counter(report.step for report in StepFile(trial_folder))
    judged = Counter(each.step for each in read_evaluations(trial_folder))
    looked = judged + Counter(each.step for each in read_validations(trial_folder))
    wanted = {"train/loss": steps, "train/lr": steps, "eval/overfit": judged, "eval/val_ratio": looked}
    gaps = []
    for key, expected in wanted.items():
        there = Counter(step for (name, step, _), times in shown.metrics.items() for _ in range(times) if name == key)
        if there != expected:
            gaps.append(f"{key} is shown at {sorted(there.elements())}, the files have {sorted(expected.elements())}")
    return gaps


def _changed(what: str, was: Mapping[Any, Any], now: Mapping[Any, Any]) -> list[str]:
    keys = sorted({*was, *now})
    return [f"{what}{key} was {was.get(key)}, is {now.get(key)}" for key in keys if was.get(key) != now.get(key)]


def _differ(was: Shown, now: Shown) -> list[str]:
    found = _changed("", {"status": was.status, "end": was.end}, {"status": now.status, "end": now.end})
    found += _changed("parameter ", was.params, now.params) + _changed("tag ", was.tags, now.tags)
    found += _changed("metric ", was.latest, now.latest)
    for name in ("metrics", "artifacts"):
        before, after = getattr(was, name), getattr(now, name)
        lacking = [each for each in (before - after).elements() if not each[0].startswith(_SO_FAR)]
        found += [f"{name} lack {each}" for each in lacking[:3]]
        found += [f"{name} have more: {each}" for each in list((after - before).elements())[:3]]
    return found
