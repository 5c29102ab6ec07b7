"""What a study may be called: its name is a folder's, beside our own files, on any system that it may be copied to."""

from __future__ import annotations

import re
from typing import Final

from foundation.errors import ConfigError

_OURS: Final = re.compile(
    r"(studies\.db|mlflow\.db)(-journal|-wal|-shm)?|batches|cache|mlartifacts|tensorboard|train|wandb|dashboard\.log",
    re.IGNORECASE,
)
"""What lies beside the studies' folders, what `sweeper train` writes there, and what SQLite writes beside its files."""
_DEVICES: Final = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
"""Names that Windows keeps for devices, whatever stands behind their dot."""


def check_study_name(name: str) -> None:
    """Refuse what cannot be a folder's name everywhere, or is taken; its letters and length are checked elsewhere.

    Raises:
        ConfigError: with what is wrong.
    """
    if _OURS.fullmatch(name):
        raise ConfigError(
            [f"study.name must not be that of what else lies in study.folder, got {name}; set another one"]
        )
    if _DEVICES.fullmatch(name):
        raise ConfigError([f"study.name must not be one that Windows keeps for a device, got {name}"])
    if name.endswith("."):
        raise ConfigError([f"study.name must not end with a dot, which Windows drops, got {name}"])
