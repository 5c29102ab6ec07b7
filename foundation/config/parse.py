"""Plain data into frozen dataclasses, once, with every mistake reported together.

Parsing is strict: `rank: "8"` and `rank: true` are mistakes, `lr: 1` is a number, a YAML list fills a tuple.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import types
import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from foundation.config.renamed import RENAMED
from foundation.errors import ConfigError

T = TypeVar("T")
_Path = tuple[str | int, ...]

_EXPECTED: Final[Mapping[str, str]] = {
    "greater_than": "> {gt:g}",
    "greater_than_equal": "≥ {ge:g}",
    "less_than": "< {lt:g}",
    "less_than_equal": "≤ {le:g}",
    "multiple_of": "a multiple of {multiple_of}",
    "finite_number": "a finite number",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "string_type": "text",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "dataclass_type": "a group of settings",
    "dataclass_exact_type": "a group of settings",
    "none_required": "null",
    "string_too_short": "at least {min_length} characters long",
    "string_pattern_mismatch": "text of the form {pattern}",
    "too_short": "at least {min_length} long",
    "too_long": "at most {max_length} long",
}
"""What each of pydantic's error types asks for, in our words."""


def parse(tp: type[T], mapping: Mapping[str, Any], *, where: str = "") -> T:
    """Return `mapping` as a `tp`, a dataclass; `where` is the dotted path of `mapping` in the whole config.

    Raises:
        ConfigError: one problem per mistake: dotted path, what is allowed, what was got, did you mean.
    """
    prefix: _Path = tuple(where.split(".")) if where else ()
    problems = [
        unknown_key(_dotted_path((*prefix, *path)), value, [_dotted_path((*prefix, *known)) for known in _paths_of(tp)])
        for path, value in _unknown_keys(tp, mapping, ())
    ]
    try:
        # JSON is pydantic's one strict mode in which a mapping may fill a dataclass and a list a tuple.
        parsed = _adapter(typing.cast(Any, tp)).validate_json(json.dumps(mapping, default=str), strict=True)
    except ValidationError as error:
        problems += _describe(error, mapping, prefix)
    if problems:
        raise ConfigError(problems)
    return typing.cast(T, parsed)


def unknown_key(path: str, value: object, known: Sequence[str]) -> str:
    """The line for a key that does not exist; `known` are the dotted paths that do."""
    if path in RENAMED:
        return f"{path} is called {RENAMED[path]} now; write that, got {show(value)}"
    parent, _, last = path.rpartition(".")
    siblings = {name.rpartition(".")[2]: name for name in known if name.rpartition(".")[0] == parent}
    close = [siblings[name] for name in difflib.get_close_matches(last, siblings, n=1)]
    close = close or [name for name in known if name.rpartition(".")[2] == last][:1]
    close = close or difflib.get_close_matches(path, known, n=1, cutoff=0.75)
    line = f"{path} is unknown, got {show(value)}"
    if siblings:
        line += f"; {parent or 'the config'} takes {', '.join(sorted(siblings))}"
    return line + (f"; did you mean {close[0]}?" if close else "")


def did_you_mean(got: object, allowed: Iterable[object]) -> str:
    """`; did you mean x?` when something allowed is near what was got, else nothing."""
    close = difflib.get_close_matches(str(got), [str(word) for word in allowed], n=1)
    return f"; did you mean {close[0]}?" if close else ""


def show(value: object) -> str:
    """A value as a person writes it in YAML, cut when long."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


@lru_cache
def _adapter(tp: Any) -> TypeAdapter[Any]:
    return TypeAdapter(tp)


def _dotted_path(path: _Path) -> str:
    return ".".join(str(part) for part in path)


@lru_cache
def _fields(tp: Any) -> dict[str, Any]:
    """Names and types of the fields of `tp`, or of the one dataclass among its alternatives; none for other types."""
    if typing.get_origin(tp) in (typing.Union, types.UnionType):
        return next((fields for part in typing.get_args(tp) if (fields := _fields(part))), {})
    return typing.get_type_hints(tp) if isinstance(tp, type) and dataclasses.is_dataclass(tp) else {}


def _paths_of(tp: Any, path: _Path = ()) -> Iterator[_Path]:
    for name, field in _fields(tp).items():
        yield (*path, name)
        yield from _paths_of(field, (*path, name))


def _unknown_keys(tp: Any, value: Any, path: _Path) -> Iterator[tuple[_Path, Any]]:
    fields = _fields(tp)
    if not fields or not isinstance(value, Mapping):
        return
    for key, part in value.items():
        if key in fields:
            yield from _unknown_keys(fields[key], part, (*path, key))
        else:
            yield (*path, key), part


def _describe(error: ValidationError, mapping: Mapping[str, Any], prefix: _Path) -> list[str]:
    """One line per place; the alternatives of a union that all failed at one place share a line."""
    places: dict[_Path, list[ErrorDetails]] = {}
    for detail in error.errors(include_url=False):
        places.setdefault(_path(detail, mapping), []).append(detail)
    lines: list[str] = []
    for path, details in places.items():
        inside = any(len(other) > len(path) and other[: len(path)] == path for other in places)
        if inside and all(detail["type"] in ("literal_error", "too_short") for detail in details):
            continue  # a list was given, and what is wrong is inside it: all else that is said of it says nothing new
        lines += _lines((*prefix, *path), details, _value_at(mapping, path))
    return lines


def _path(detail: ErrorDetails, mapping: Any) -> _Path:
    """Pydantic's location without the labels that it puts in for the alternatives of a union."""
    path: list[str | int] = []
    value = mapping
    for part in detail["loc"]:
        if isinstance(value, Mapping) and part in value:
            value = value[str(part)]
        elif isinstance(value, Sequence) and not isinstance(value, str) and isinstance(part, int):
            value = value[part]
        elif not (detail["type"] == "missing" and part == detail["loc"][-1]):
            continue
        path.append(part)
    return tuple(path)


def _value_at(mapping: Any, path: _Path) -> Any:
    for part in path:
        mapping = mapping[part] if not isinstance(mapping, Mapping) else mapping.get(str(part))
    return mapping


def _lines(path: _Path, details: list[ErrorDetails], got: object) -> list[str]:
    name, first = _dotted_path(path), details[0]
    if first["type"] == "missing":
        return [f"{name} is missing"]
    if first["type"] == "value_error":  # a check of ours, in `__post_init__`
        cause = first["ctx"]["error"]
        own = cause.problems if isinstance(cause, ConfigError) else [str(cause)]
        return [line if not name or f"{name}." in line else f"{name}: {line}" for line in own]
    allowed = [word for detail in details for word in _literals(detail)]
    words = ", ".join(show(word).strip("'") for word in allowed)
    wanted = [f"one of {words}" if len(allowed) > 1 else words] if allowed else []
    wanted += dict.fromkeys(_expectation(detail) for detail in details if detail["type"] != "literal_error")
    return [f"{name or 'the config'} must be {' or '.join(wanted)}, got {show(got)}{did_you_mean(got, allowed)}"]


def _expectation(detail: ErrorDetails) -> str:
    if detail["type"] in _EXPECTED:
        return _EXPECTED[detail["type"]].format(**detail.get("ctx", {}))
    return detail["msg"].removeprefix("Input should be ")


def _literals(detail: ErrorDetails) -> list[Any]:
    """The allowed values of a failed literal; pydantic gives them only as text: `'a', 'b' or True`."""
    if detail["type"] != "literal_error":
        return []
    words = detail["ctx"]["expected"].replace(" or ", ", ").split(", ")
    return [{"True": True, "False": False, "None": None}.get(word, word.strip("'")) for word in words]
