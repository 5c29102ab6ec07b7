"""What a folder of studies holds on the disk, and what of it nobody needs any more. Nothing is deleted here.

Needed is what `best/`, the champion, and going on with a study need: of a trial its records, its config and the
checkpoint that counts for it; of a study that is not finished, all. Links are never followed.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from foundation.config.plain import number
from foundation.errors import DataError, StudyError
from foundation.files.cache_use import uses_of
from foundation.files.documents import as_mapping, read_mapping
from foundation.files.durable import PARTIAL
from sweeper.records.history import read_evaluations
from sweeper.records.lease import is_held
from sweeper.records.paths import cache_of, checkpoint_of, state_of, trainings_of
from sweeper.records.trials import best_checkpoint
from sweeper.study.finished import FINISHED_FILE
from sweeper.tracking import ARTIFACTS
from sweeper.tracking.runs_of import trial_runs

KeepOf = Literal["best", "winner"]
StudyState = Literal["running", "unfinished", "finished"]
_UPLOADING: Final = ".artifact.uploading."
"""How the names begin of what MLflow has not copied whole (`mlflow.store.artifact.local_artifact_repo`)."""
_A_DAY_S: Final = 86_400.0
"""What is younger may be in the making, or be read by a command that is no study."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Held:
    """What one study holds."""

    folder: Path
    state: StudyState
    size: int
    """Bytes, with its artifacts in MLflow; of files under two names once."""
    checkpoints: int
    samples: int
    artifacts: int
    """Of `size`, its runs' files in MLflow."""
    free: tuple[Path, ...]
    """Files and folders that nobody needs."""
    why: str
    """What these are, in words, or why there are none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Shared:
    """What all studies of the folder share."""

    cache: int
    cache_free: tuple[Path, ...]
    cache_note: str
    """Why the cache's entries are not known; empty where they are."""
    leftovers: tuple[Path, ...]


def studies_in(folder: Path) -> list[Path]:
    """The studies' folders, by name."""
    return sorted(path.parent for path in folder.glob("*/study.yaml") if not path.parent.is_symlink())


def find_studies(folder: Path, names: Sequence[str] = ()) -> list[Path]:
    """The folders of the studies of these names, or of all, by name.

    Raises:
        StudyError: there is none, or none of one of the names.
    """
    studies = studies_in(folder)
    if not studies:
        raise StudyError(f"there is no study in {folder}; name their folder by folder=")
    known = [study.name for study in studies]
    if unknown := [name for name in names if name not in known]:
        raise StudyError(f"there is no study {unknown[0]} in {folder}; there are {', '.join(known)}")
    return [study for study in studies if not names or study.name in names]


def state_of_study(study: Path) -> StudyState:
    """Whether a process has it just now, or it has ended with all that was wanted of it."""
    if is_held(study):
        return "running"
    return "finished" if (study / FINISHED_FILE).is_file() else "unfinished"


def holdings_of(study: Path, keep: KeepOf) -> Held:
    """What a study holds, and what of it is free when so much is to be kept."""
    artifacts = study.parent / ARTIFACTS
    runs = {number: artifacts / run for number, run in trial_runs(study.parent, study.name).items()}
    state = state_of_study(study)
    free: list[Path] = []
    why = {"running": "it is running", "unfinished": "it is not finished: all of it is needed to go on"}.get(state, "")
    if state == "finished":
        free, why = _free(study, runs, keep)
    if state != "running":
        free += leftovers(study, now=math.inf)  # nobody is writing there
    everything = [study, *runs.values()]
    return Held(
        folder=study,
        state=state,
        size=size_of(everything),
        checkpoints=size_of(each / "checkpoints" for each in trainings_of(study).values()),
        samples=size_of(each / "samples" for each in trainings_of(study).values()),
        artifacts=size_of(runs.values()),
        free=tuple(free),
        why=why,
    )


def shared_holdings(folder: Path, studies: Sequence[Path], now: float | None = None) -> Shared:
    """What a folder of studies holds beside them."""
    uses = {study.name: uses_of(study) for study in studies}
    silent = sorted(name for name, names in uses.items() if names is None)
    entries = [path for path in _children(cache_of(folder)) if not path.name.startswith(".")]
    named = set[str]().union(*(names or () for names in uses.values()))
    free = [path for path in entries if path.name not in named and _is_old(path, now)]
    note = f"{', '.join(silent)} noted none of what they use, so all of the cache stays" if silent else ""
    shared = [*leftovers(cache_of(folder), now), *leftovers(folder / ARTIFACTS, now)]
    return Shared(
        cache=size_of([cache_of(folder)]),
        cache_free=() if silent else tuple(free),
        cache_note=note if entries else "",
        leftovers=tuple(shared),
    )


def size_of(places: Iterable[Path]) -> int:
    """Bytes of all files in these, each once, whatever names it has."""
    seen: dict[tuple[int, int], int] = {}
    for place in places:
        for file in _files(place):
            stat = file.lstat()
            seen[stat.st_dev, stat.st_ino] = stat.st_size
    return sum(seen.values())


def bytes_freed(places: Iterable[Path]) -> int:
    """Bytes that the disk gains when these are deleted: of a file that keeps a name elsewhere, none."""
    names: dict[tuple[int, int], set[Path]] = {}
    stats: dict[tuple[int, int], os.stat_result] = {}
    for place in places:
        for file in _files(place):
            stat = file.lstat()
            stats[stat.st_dev, stat.st_ino] = stat
            names.setdefault((stat.st_dev, stat.st_ino), set()).add(file)
    return sum(stat.st_size for key, stat in stats.items() if len(names[key]) >= stat.st_nlink)


def leftovers(folder: Path, now: float | None = None) -> list[Path]:
    """What writers that were killed have left: partial files and folders, and uploads of MLflow's; a day old."""
    found = []
    for place, folders, files in os.walk(folder):  # follows no link
        for name in (*folders, *files):
            is_partial = name.startswith(".") and name.endswith(PARTIAL)
            if (is_partial or name.startswith((_UPLOADING, ".hub."))) and _is_old(Path(place, name), now):
                found.append(Path(place, name))
        folders[:] = [name for name in folders if Path(place, name) not in found]
    return sorted(found)


def _free(study: Path, runs: dict[int, Path], keep: KeepOf) -> tuple[list[Path], str]:
    clean = clean_threshold(study)
    if clean is None:
        return [], "study.yaml is damaged, so nobody knows which checkpoints count"
    free: list[Path] = []
    for which, trial in trainings_of(study).items():
        if trial.parent.is_symlink():
            continue
        best = best_checkpoint(read_evaluations(trial), clean)
        needed = checkpoint_of(trial, best.step) if best and keep == "best" else None
        beyond = [path for path in _children(trial / "checkpoints") if path != needed]
        free += [*beyond, *(path for path in [state_of(trial)] if path.is_dir())]
        shown = runs.get(which, study / "none") / "artifacts" / "checkpoints"
        free += [path for path in _children(shown) if keep == "winner" or path.name != "best"]
        if keep == "winner":
            free += _children(trial / "samples")
    words = "checkpoints beyond each trial's best" if keep == "best" else "checkpoints and samples of trials"
    return free, words if free else "nothing beyond what is needed"


def clean_threshold(study: Path) -> float | None:
    """Below which overfit index a study's checkpoints are clean; None where its study.yaml is damaged."""
    file = study / "study.yaml"
    try:
        value: object = read_mapping(file)
        for name in ("config", "eval", "thresholds", "clean"):
            value = as_mapping(value, str(file))[name]
        return number(value)
    except (DataError, OSError, ValueError, LookupError):
        return None


def _children(folder: Path) -> list[Path]:
    """What lies in a folder, but links; nothing where it is none or a link."""
    if folder.is_symlink() or not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if not path.is_symlink())


def _files(place: Path) -> Iterator[Path]:
    if place.is_symlink():
        return
    if place.is_file():
        yield place
    for folder, _, files in os.walk(place):
        yield from (Path(folder, name) for name in files)


def _is_old(path: Path, now: float | None) -> bool:
    return (time.time() if now is None else now) - path.lstat().st_mtime >= _A_DAY_S
