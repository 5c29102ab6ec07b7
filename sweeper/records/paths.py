"""Where things are in a study's folder and in a trial's."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from sweeper.records.trainings import Training

STUDIES: Final = "studies.db"
"""The database of all studies of a folder, where none on a server is named."""


def cache_of(studies: Path) -> Path:
    """What all studies of a folder share: what can be computed again."""
    return studies / "cache"


def best_of(study: Path) -> Path:
    """The folder of the winner."""
    return study / "best"


def trials_of(study: Path) -> Path:
    """The folder of all its trials' folders."""
    return study / "trials"


def reruns_of(study: Path) -> Path:
    """The folder of the folders of its reruns."""
    return study / "reruns"


def trial_of(study: Path, number: int) -> Path:
    """The own folder of a trial, or of a rerun of one."""
    training = Training.of(number)
    return (reruns_of(study) if training.is_rerun else trials_of(study)) / training.folder


def trainings_of(study: Path) -> dict[int, Path]:
    """The folders that are there of trials and reruns, by their numbers."""
    folders = (path for place in (trials_of(study), reruns_of(study)) if place.is_dir() for path in place.iterdir())
    named = ((Training.of_name(path.name), path) for path in folders if path.is_dir() and not path.is_symlink())
    return {each.number: path for each, path in sorted(named, key=lambda pair: pair[1]) if each is not None}


def state_of(folder: Path) -> Path:
    """All that is needed to go on with the training."""
    return folder / "state"


def checkpoint_of(folder: Path, step: int) -> Path:
    """The folder of a checkpoint's adapter."""
    return folder / "checkpoints" / f"step-{step:06}"


def pictures_of(folder: Path, step: int) -> Path:
    """The folder of what was drawn with a checkpoint."""
    return folder / "samples" / f"step-{step:06}"
