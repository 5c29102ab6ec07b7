"""What a person says of a cluster, checked before it is written into somebody's batch file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from foundation.errors import ConfigError

_PLAIN: Final = re.compile(r"[A-Za-z0-9_.,:/@&|*+-]+")
"""What no shell and no YAML reads as anything but itself."""


def number_of(values: Mapping[str, str], name: str, default: int, least: int = 1) -> int:
    """A whole number.

    Raises:
        ConfigError: it is none, or too small.
    """
    text = values.get(name, str(default))
    if not re.fullmatch(r"\d{1,6}", text) or int(text) < least:
        raise ConfigError([f"{name} must be a whole number, {least} or more, got {text}"])
    return int(text)


def word_of(values: Mapping[str, str], name: str, default: str = "") -> str:
    """A name or a size, without blanks or quotes; empty where nobody said one.

    Raises:
        ConfigError: it holds what is neither.
    """
    text = values.get(name, default)
    if text and not _PLAIN.fullmatch(text):
        raise ConfigError([f"{name} must be letters, digits and any of _ . , : / @ & | * + -, got {text!r}"])
    return text
