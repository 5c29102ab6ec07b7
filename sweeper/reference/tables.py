"""Tables in code that say what a group takes: the public mappings that its module has or imports, shown as they are."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sweeper.reference.fields import docstrings, fields_of, meanings
from sweeper.reference.words import type_words, value_words

_SCALARS: Final = (bool, int, float, str)


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """One mapping of a module, row by row."""

    name: str
    """The constant."""
    meaning: str
    """Its docstring."""
    columns: Mapping[str, str]
    """What stands in a row after its key, and what that means; a single empty one where entries are values."""
    rows: Sequence[Sequence[str]]
    """The key, then a cell for each column."""


def tables_of(tp: type) -> list[Table]:
    """The tables that the modules of a dataclass and of those within it have or import: with a docstring, of data."""
    held = [tp, *(each.holds for each in fields_of(tp, "") if each.holds is not None)]
    modules = dict.fromkeys(each.__module__ for each in held)
    return [table for module in modules for table in _tables_in(module)]


def _tables_in(module: str) -> Iterator[Table]:
    for name, home in _constants(module):
        value = getattr(sys.modules[home], name)
        if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
            meaning = docstrings(inspect.getsource(sys.modules[home])).get(name)
            found = _table(name, meaning, value) if meaning else None
            if found is not None:
                yield found


def _constants(module: str) -> Iterator[tuple[str, str]]:
    """Public constants that a module assigns or imports by name, each with the module that assigns it."""
    for node in ast.parse(inspect.getsource(sys.modules[module])).body:
        if isinstance(node, ast.ImportFrom) and node.module in sys.modules and node.level == 0:
            yield from ((alias.name, node.module) for alias in node.names if alias.name.isupper())
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id.isupper():
            yield node.target.id, module


def _table(name: str, meaning: str, mapping: Mapping[str, Any]) -> Table | None:
    records = {key: _record(value) for key, value in mapping.items()}
    entries: set[type] = {type(value) for value in mapping.values()}
    said = {column: text for entry in entries for column, text in meanings(entry).items()}
    columns = {
        column: said.get(column, "")
        for column in dict.fromkeys(column for record in records.values() for column in record)
        if all(_plain(record.get(column)) for record in records.values())
    }
    if not columns:
        return None
    rows = [
        [f"`{key}`", *(_cell(record[column]) if column in record else "" for column in columns)]
        for key, record in records.items()
    ]
    return Table(name=name, meaning=meaning, columns=columns, rows=rows)


def _record(value: Any) -> dict[str, Any]:
    """A value as columns: a dataclass by its fields, anything else in one."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    return {"": value}


def _plain(value: Any) -> bool:
    """Whether a value says something to a person: data, or the type of a plain value, but no code."""
    if isinstance(value, Mapping):
        return all(_plain(each) for each in value.values())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return all(_plain(each) for each in value)
    return value is None or isinstance(value, _SCALARS) or value in _SCALARS


def _cell(value: Any) -> str:
    if isinstance(value, type):
        return type_words(value)
    if isinstance(value, Mapping):
        return ", ".join(f"`{key}`: {_cell(each)}" for key, each in value.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(map(_cell, value))
    if isinstance(value, str) and " " in value:
        return value  # prose
    return "" if value is None else value_words(value)
