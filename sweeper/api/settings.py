"""A study's settings as Python's values, and as the overrides that the command line takes; they mean the same."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from foundation.config.compose import groups
from foundation.config.keyed import quote
from foundation.errors import ConfigError

Scalar: TypeAlias = bool | int | float | str | None
Settings: TypeAlias = Mapping[str, object]
"""Dotted names, or groups with their fields, to values: `{"optimizer.lr": 1e-3}` is `{"optimizer": {"lr": 1e-3}}`."""
_BARE: Final = re.compile(r"[A-Za-z_][\w/-]*", re.ASCII)
_KEY: Final = re.compile(r"[A-Za-z_][\w./*-]*", re.ASCII)
_NOT_TEXT: Final = frozenset({"true", "false", "null", "nan", "inf"})
"""What the grammar reads as something else than a text."""


@dataclass(frozen=True, slots=True)
class Sweep:
    """Values to be searched, in Hydra's words: `choice(4,8)`, `tag(log,interval(1e-5,1e-3))`."""

    text: str


def choice(*values: Scalar) -> Sweep:
    """Return the sweep over one of these values.

    Raises:
        ConfigError: there is none.
    """
    if not values:
        raise ConfigError(["choice() needs a value or more"])
    return Sweep(f"choice({','.join(map(_literal, values))})")


def interval(low: float, high: float, *, log: bool = False) -> Sweep:
    """Return the sweep over all numbers between two, both included; whole ones where both are; `log`: evenly in it.

    Raises:
        ConfigError: it is empty, or no number.
    """
    if any(isinstance(end, bool) or not isinstance(end, int | float) for end in (low, high)) or not low < high:
        raise ConfigError([f"interval(low, high) must be two numbers, the lower one first, got {low!r}, {high!r}"])
    tags = [*(["log"] if log else []), *(["int"] if isinstance(low, int) and isinstance(high, int) else [])]
    inner = f"interval({_literal(low)},{_literal(high)})"
    return Sweep(f"tag({','.join([*tags, inner])})" if tags else inner)


def overrides_of(settings: Settings | Sequence[str]) -> list[str]:
    """Return the overrides that say what `settings` do; a sequence of texts is overrides already.

    Raises:
        ConfigError: a line for each name or value that no override can say.
    """
    if isinstance(settings, str):
        raise ConfigError([f"settings must be a mapping, or a list of overrides, got the text {settings!r}"])
    if not isinstance(settings, Mapping):
        wrong = [each for each in settings if not isinstance(each, str)]
        if wrong:
            raise ConfigError([f"an override must be a text such as 'optimizer.lr=1e-3', got {wrong[0]!r}"])
        return list(settings)
    found, problems = [], []
    for name, value in _flat(settings):
        try:
            found.append(f"{name}={_text_of(value)}")
        except (TypeError, ValueError) as error:
            problems.append(f"{name} must be a plain value, a list, a mapping or a sweep, {error}")
    if problems:
        raise ConfigError(problems)
    return found


def _flat(settings: Settings) -> Iterator[tuple[str, object]]:
    """The settings with the groups' fields under dotted names; a field may hold a mapping itself."""
    for name, value in settings.items():
        if not isinstance(name, str) or not name or "=" in name:
            raise ConfigError([f"the name of a setting must be a text such as 'optimizer.lr', got {name!r}"])
        if isinstance(value, Mapping) and name in groups():
            yield from ((f"{name}.{field}", each) for field, each in value.items())
        else:
            yield name, value


def _text_of(value: object) -> str:
    return value.text if isinstance(value, Sweep) else _literal(value)


def _literal(value: object) -> str:
    """A value in Hydra's grammar; a text is that text, whatever it looks like."""
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case int():
            return str(value)
        case float():
            if not math.isfinite(value):
                raise ValueError(f"got {value}")
            return repr(float(value))
        case str():
            return value if _BARE.fullmatch(value) and value.lower() not in _NOT_TEXT else quote(value)
        case Mapping():
            return "{" + ",".join(f"{_key(key)}:{_literal(item)}" for key, item in value.items()) + "}"
        case list() | tuple():
            return f"[{','.join(map(_literal, value))}]"
    if hasattr(value, "__fspath__"):
        return _literal(str(value))
    if hasattr(value, "item"):  # a number of numpy's
        return _literal(value.item())
    raise TypeError(f"got {value!r}")


def _key(key: object) -> str:
    if not isinstance(key, str) or not _KEY.fullmatch(key):  # Hydra's grammar has no quotes for one
        raise TypeError(f"got a mapping with the key {key!r}")
    return key
