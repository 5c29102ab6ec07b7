"""What tells that a study is finished, so that its command says so at once and does nothing.

A record is written last of all, and taken away when the study goes on. It holds a digest of the request and what the
study left; where one of these is another, or gone, the study is opened in full, which says what is the matter. No model
and no library of models is loaded here.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from eval.taste import Taste
from foundation.files.documents import read_json, read_mapping
from foundation.files.durable import write_json
from foundation.files.sums import digests, read_sums
from sweeper.records.paths import STUDIES, best_of, trainings_of
from sweeper.results.file_names import CARD, REPORT, SCORES
from sweeper.search.space import Plan
from sweeper.tracking import DATABASE

FINISHED_FILE: Final = "finished.json"
_DATA: Final = ("path", "validation_path", "mask_path", "regularization_path")
_SHOWN: Final = 3
_LATER: Final[tuple[tuple[str, str, object], ...]] = (
    *(("study", "repeats", 1), ("study", "refit", "auto"), ("study", "storage", None), ("study", "taste_from", None)),
    *(("study", "blends", ()), ("eval", "taste", asdict(Taste())), ("train", "stop_after", None)),
    *(("launcher", "threads", "auto"), ("tracking", "also", ()), ("base", "offload", "none")),
    *(("optimizer", "lora_plus_ratio", 1.0), ("optimizer", "lr_by", {})),
)
"""Fields that a study of an older program does not have."""


def note_finished(request: Plan) -> None:
    """Write the record of a study that has its best and is shown in full."""
    folder = _folder(request)
    write_json(
        folder / FINISHED_FILE,
        {
            "asked": _digest(request),
            "num_trials": _num_trials(request),
            "best": _digests_of_best(folder) | (read_sums(best_of(folder)) or {}),  # as it was written
            "trials": _trials_files(folder),
        },
    )


def forget_finished(folder: Path) -> None:
    """Take the record away: the study goes on."""
    (folder / FINISHED_FILE).unlink(missing_ok=True)


def note_best(folder: Path) -> None:
    """Write into the record, where there is one, that the best is as it is now: a person chose it."""
    try:
        record = read_mapping(folder / FINISHED_FILE)
    except (OSError, ValueError):
        return
    write_json(folder / FINISHED_FILE, {**record, "best": _digests_of_best(folder)})


def forget_trials_files(folder: Path) -> None:
    """Take from the record what is gone of the trials, which was cleared on purpose."""
    try:
        record = read_mapping(folder / FINISHED_FILE)
        there = _trials_files(folder)
        record["trials"] = {name: size for name, size in record["trials"].items() if name in there}
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return
    write_json(folder / FINISHED_FILE, record)


def already_finished(request: Plan) -> list[str]:
    """What to say of a study that has done its request, in lines; none where there is something to do or amiss.

    The best, the databases and the pictures are as they were left. What is gone of the trials is named: the best is a
    copy, and needs none of it.
    """
    folder = _folder(request)
    try:
        record = read_json(folder / FINISHED_FILE)
        if record["asked"] != _digest(request) or not _is_whole(folder, record, request):
            return []
        chosen = read_json(best_of(folder) / SCORES)
        winner = chosen.get("training", chosen["trial"])
        lines = [
            f"study {folder.name} is finished: the best of {record['num_trials']} trials is trial {winner} at "
            f"step {chosen['step']}, to be used at strength {chosen['strength']:g}, with score "
            f"{chosen['evaluation']['score']:.1f}",
            f"it is in {best_of(folder)}: the LoRA and its card ({CARD}); nothing was done. A higher study.num_trials "
            "goes on, another study.name begins anew",
        ]
        lines += [words for words in (chosen["within_noise"], chosen.get("lead")) if words]
        there = _trials_files(folder)
        gone = [name for name, size in record["trials"].items() if there.get(name) != size]
    except (OSError, ValueError, ArithmeticError, LookupError, TypeError, AttributeError):
        return []
    if gone:
        names = ", ".join(gone[:_SHOWN]) + (f" and {len(gone) - _SHOWN} more" if len(gone) > _SHOWN else "")
        lines.append(f"gone from {folder}, or changed: {names}; the best needs none of it, a longer study might")
    return lines


def _trials_files(folder: Path) -> dict[str, int]:
    """What the trials were judged by and what they learned: file to size."""
    trials = trainings_of(folder).values()
    files = [file for each in trials for file in (*each.glob("evaluations.jsonl"), *each.glob("checkpoints/*/*"))]
    return {file.relative_to(folder).as_posix(): file.stat().st_size for file in sorted(files)}


def _folder(request: Plan) -> Path:
    return Path(request.config.study.folder) / request.config.study.name


def _is_whole(folder: Path, record: dict[str, Any], request: Plan) -> bool:
    """Whether databases and best are there as they were left."""
    shown = not request.config.tracking.in_our_files or (folder.parent / DATABASE).is_file()
    known = _num_trials(request)
    if not shown or known != record["num_trials"] or not (folder / "study.yaml").is_file():
        return False
    return bool(_digests_of_best(folder) == record["best"])


def _digests_of_best(folder: Path) -> dict[str, str]:
    """Of all files of the best but the page, which is written anew whenever somebody wants it."""
    return {name: digest for name, digest in digests(best_of(folder)).items() if name != REPORT}


def _num_trials(request: Plan) -> int:
    """The trials that have ended in Optuna's tables. Optuna itself takes longer to import than all else here."""
    study = request.config.study
    if study.storage is not None:
        from sweeper.search.server import count_ended  # which imports it, for those who have a server

        return count_ended(study.storage, study.name)
    return _count_ended(Path(study.folder) / STUDIES, study.name)


def _count_ended(database: Path, name: str) -> int:
    if not database.is_file():
        return 0
    try:
        with closing(sqlite3.connect(database)) as connection:
            found = connection.execute(
                "SELECT count(*) FROM trials JOIN studies USING (study_id) "
                "WHERE study_name = ? AND state NOT IN ('RUNNING', 'WAITING')",
                (name,),
            ).fetchone()
        return int(found[0])
    except sqlite3.Error:
        return 0


def _digest(request: Plan) -> str:
    """A digest of the request: space, config, and how the files of pictures look from outside."""
    config = asdict(request.config)
    if not config["eval"]["metrics"]:
        del config["eval"]["metrics"]  # a study of an older program has none
    for group, name, usual in _LATER:
        if config[group][name] == usual:
            del config[group][name]
    pictures = [_stamps(Path(config["data"][name])) for name in _DATA if config["data"].get(name)]
    words = json.dumps([request.space.fingerprint(), config, pictures], sort_keys=True, default=str)
    return hashlib.sha256(words.encode()).hexdigest()


def _stamps(path: Path) -> list[str]:
    files: Iterator[Path] = path.rglob("*") if path.is_dir() else iter([path] if path.exists() else [])
    return sorted(f"{file} {(stat := file.stat()).st_size} {stat.st_mtime_ns}" for file in files if file.is_file())
