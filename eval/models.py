"""The models that a judge is asked to look with, checked before anything is loaded or written."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from eval.spec import EvalSpec
from foundation.errors import ConfigError

OWN: Final = "pocket"
"""The embedded CLIP."""
_HUB_ID: Final = re.compile(r"[\w.-]+/[\w.-]+")


def check_models(spec: EvalSpec) -> None:
    """Refuse what is neither a folder that is there nor looks like a hub id; a hub id is only asked for when loaded.

    Raises:
        ConfigError: one problem for each.
    """
    named = {"clip": spec.clip, "image_features": spec.image_features, "style_features": spec.style_features}
    problems = []
    for field, source in named.items():
        if source is None or (field == "clip" and source == OWN) or Path(source).expanduser().is_dir():
            continue
        if not _HUB_ID.fullmatch(source) or source.startswith("."):
            own = f", or {OWN}" if field == "clip" else ""
            problems.append(
                f"eval.{field} must be a folder or a hub id as owner/name{own}, got {source!r}: no such folder"
            )
    if problems:
        raise ConfigError(problems)
