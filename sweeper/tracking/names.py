"""Names that MLflow takes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from sweeper.records.trainings import Training

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


def images_by_key(images: Iterable[tuple[str, Path]]) -> dict[str, Path]:
    """Return pictures under the keys that MLflow shows them by, a section of its charts for each kind of prompt."""
    pairs = list(images)
    return dict(zip(image_keys(name for name, _ in pairs), (path for _, path in pairs), strict=True))


def run_name(number: int, params: Mapping[str, object]) -> str:
    """`0011 lion r4 lr 1.8e-3`: a trial's run among others, as far as its parameters tell."""
    return f"{Training.of(number).folder} {settings_in_short(params)}".strip()


def settings_in_short(params: Mapping[str, object]) -> str:
    """`lion r4 lr 1.8e-3`."""
    rank, lr = params.get("rank"), params.get("lr")
    words = [
        str(params.get("optimizer", "")),
        f"r{rank}" if rank is not None else "",
        f"lr {_short(lr)}" if isinstance(lr, float) else "",
    ]
    return " ".join(word for word in words if word)


def _short(value: float) -> str:
    """Two digits and, where that is shorter than zeros, a power of ten: 1, 0.05, 1.8e-3."""
    if value == 0 or value >= 0.01:
        return f"{value:.2g}"
    digits, power = f"{value:.1e}".split("e")
    return f"{digits.removesuffix('.0')}e{int(power)}"
