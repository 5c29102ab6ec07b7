"""Numbers in JSON, which knows no NaN and no infinity; and values of JSON that may be of any kind, checked."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

_INFINITE: Final = ("inf", "-inf")
_MOST: Final = 2**53
"""Whole numbers below are floats, too, without a loss."""


def plain(value: Any) -> Any:
    """Return the value for JSON, mappings and sequences with all that is in them: NaN is null, infinity "inf"."""
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return value


def number(value: object) -> float:
    """Return the number that `plain` made this of.

    Raises:
        ValueError: it made it of something else.
    """
    if value is None:
        return math.nan
    if value in _INFINITE and isinstance(value, str):
        return float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"no number: {value!r}")
    return float(value)


def whole(value: object) -> int:
    """Return a number of things, such as steps.

    Raises:
        ValueError: it is none.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < _MOST:
        raise ValueError(f"no whole number from 0 on: {value!r}")
    return value


def text(value: object) -> str:
    """Return a text.

    Raises:
        ValueError: it is none.
    """
    if not isinstance(value, str):
        raise ValueError(f"no text: {value!r}")
    return value


def truth(value: object) -> bool:
    """Return true or false.

    Raises:
        ValueError: it is neither.
    """
    if not isinstance(value, bool):
        raise ValueError(f"neither true nor false: {value!r}")
    return value


def numbers(value: object) -> tuple[float, ...]:
    """Return a list's numbers; see `number`."""
    if not isinstance(value, list | tuple):
        raise ValueError(f"no list of numbers: {value!r}")
    return tuple(number(each) for each in value)


def named_numbers(value: object) -> dict[str, float]:
    """Return a mapping's numbers by name; see `number`."""
    if not isinstance(value, Mapping):
        raise ValueError(f"no numbers by name: {value!r}")
    return {text(name): number(each) for name, each in value.items()}
