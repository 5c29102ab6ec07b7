"""TOML written: Python reads it and writes none. Plain values, lists of them, and tables in lists."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any


def toml_text(value: Mapping[str, Any]) -> str:
    """A mapping as TOML; null is left out, as there is none."""
    return "\n".join(_lines(value, "")) + "\n"


def _lines(value: Mapping[str, Any], path: str) -> Iterator[str]:
    tables = {name: each for name, each in value.items() if isinstance(each, list) and each and _is_table(each[0])}
    for name, each in value.items():
        if name not in tables and each is not None:
            yield f"{name} = {_value(each)}"
    for name, rows in tables.items():
        for row in rows:
            yield ""
            yield f"[[{path}{name}]]"
            yield from _lines(row, f"{path}{name}.")


def _is_table(value: Any) -> bool:
    return isinstance(value, Mapping)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return repr(value)
