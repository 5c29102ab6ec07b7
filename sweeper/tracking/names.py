"""Names that MLflow takes."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

MAX_KEY: Final = 250
"""Longest name of a metric, parameter or tag (`mlflow.utils.validation`)."""
MAX_IMAGE_KEY: Final = 100
"""MLflow makes a file's name of an image's, and of 93 characters more."""


def entity_name(name: str) -> str:
    """Return `name` as a metric, parameter or tag may be called: `[\\w.\\-/ ]`, and like a path in normal form."""
    parts = [part for part in re.sub(r"[^\w.\-/ ]", "_", name).split("/") if part.strip(".")]
    return "/".join(parts)[:MAX_KEY] or "_"


def image_keys(names: Iterable[str]) -> list[str]:
    """Return keys that `log_image` takes, one for each name and all different."""
    keys: list[str] = []
    for name in names:
        stem = re.sub(r"[^A-Za-z0-9_\-/ .]+|\.\.+", "-", name).strip("-./ ")[:MAX_IMAGE_KEY] or "image"
        key, count = stem, 1
        while key in keys:
            count += 1
            key = f"{stem} {count}"
        keys.append(key)
    return keys
