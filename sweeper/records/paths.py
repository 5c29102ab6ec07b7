"""Where things are in a study's folder and in a trial's."""

from __future__ import annotations

from pathlib import Path


def cache_of(studies: Path) -> Path:
    """What all studies of a folder share: what can be computed again."""
    return studies / "cache"


def best_of(study: Path) -> Path:
    """The folder of the winner."""
    return study / "best"


def trials_of(study: Path) -> Path:
    """The folder of all its trials' folders."""
    return study / "trials"


def trial_of(study: Path, number: int) -> Path:
    """A trial's own folder."""
    return trials_of(study) / f"{number:04}"


def state_of(folder: Path) -> Path:
    """All that is needed to go on with the training."""
    return folder / "state"


def checkpoint_of(folder: Path, step: int) -> Path:
    """The folder of a checkpoint's adapter."""
    return folder / "checkpoints" / f"step-{step:06}"


def pictures_of(folder: Path, step: int) -> Path:
    """The folder of what was drawn with a checkpoint."""
    return folder / "samples" / f"step-{step:06}"
