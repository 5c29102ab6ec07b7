"""Where things are in a trial's folder."""

from __future__ import annotations

from pathlib import Path


def state_of(folder: Path) -> Path:
    """All that is needed to go on with the training."""
    return folder / "state"


def checkpoint_of(folder: Path, step: int) -> Path:
    """The folder of a checkpoint's adapter."""
    return folder / "checkpoints" / f"step-{step:06}"


def pictures_of(folder: Path, step: int) -> Path:
    """The folder of what was drawn with a checkpoint."""
    return folder / "samples" / f"step-{step:06}"
