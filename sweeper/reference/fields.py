"""Every field of the config, read from the dataclasses and their source: path, meaning, type, default."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import textwrap
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from foundation.errors import ConfigError

MISSING: Final = object()
"""The default of a field that has none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ConfigField:
    """One field of a group, or of a dataclass within it."""

    path: str
    """Dotted, from the group on: `study.pruner.name`."""
    meaning: str
    """The docstring under the field, on one line."""
    hint: Any
    """Its type, with pydantic's constraints."""
    default: Any
    """The dataclass's own default, or `MISSING`."""
    holds: type | None
    """The dataclass of its settings, which follow as fields of their own; None for a plain value."""


def fields_of(tp: type, path: str) -> list[ConfigField]:
    """Return the fields of a dataclass and, after each that holds one, those of the dataclass within, as they stand.

    Raises:
        ConfigError: one problem for each field without a docstring.
    """
    found = list(_walk(tp, path, ()))
    silent = [f"{each.path} has no docstring; say under the field what it means" for each in found if not each.meaning]
    if silent:
        raise ConfigError(silent)
    return found


def _walk(tp: type, path: str, within: tuple[type, ...]) -> Iterator[ConfigField]:
    hints, said = typing.get_type_hints(tp, include_extras=True), meanings(tp)
    for field in dataclasses.fields(tp):
        name, hint = f"{path}.{field.name}", hints[field.name]
        held, below = _dataclass_in(hint)
        default = _default(field)
        yield ConfigField(path=name, meaning=said.get(field.name, ""), hint=hint, default=default, holds=held)
        if held is not None and held not in within:
            yield from _walk(held, name + below, (*within, tp))


def _dataclass_in(hint: Any) -> tuple[type | None, str]:
    """The dataclass that a type holds, by itself or in a list or mapping, and how its fields' path goes on."""
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return hint, ""
    origin, below = typing.get_origin(hint), ""
    if isinstance(origin, type) and issubclass(origin, Mapping):
        below = ".<name>"
    elif origin in (list, tuple):
        below = ".<n>"
    elif origin not in (typing.Union, types.UnionType, typing.Annotated):
        return None, ""
    for part in typing.get_args(hint):
        held, further = _dataclass_in(part)
        if held is not None:
            return held, below + further
    return None, ""


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return MISSING if field.default is dataclasses.MISSING else field.default


@lru_cache
def meanings(tp: type) -> dict[str, str]:
    """The docstrings under a dataclass's fields, its parents' included; none for another type."""
    parents = [parent for parent in reversed(tp.__mro__) if dataclasses.is_dataclass(parent)]
    return {name: text for parent in parents for name, text in docstrings(inspect.getsource(parent)).items()}


def docstrings(source: str) -> dict[str, str]:
    """The names that a class or a module assigns with a docstring right below, and these texts on one line."""
    tree = ast.parse(textwrap.dedent(source))
    inside = tree.body[0] if len(tree.body) == 1 and isinstance(tree.body[0], ast.ClassDef) else tree
    found = {}
    for node, after in zip(inside.body, inside.body[1:], strict=False):
        target = node.target if isinstance(node, ast.AnnAssign) else None
        if isinstance(target, ast.Name) and isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
            found[target.id] = " ".join(str(after.value.value).split())
    return found
