"""JSON, YAML and TOML from a disk or another program: read whole, in plain values, or refused in one line.

Python's own readers let through, or raise in a dozen ways on, what breaks a program far from here: half a character
that no file can be written with, a number of thousands of digits, lists a thousand deep, a few lines of YAML that stand
for billions. No other module calls `json.loads` or `yaml.load` on what it did not make itself.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import yaml

from foundation.data.text_files import decode_text
from foundation.errors import DataError, UserError

MAX_DEPTH: Final = 100
"""Lists and mappings within one another: what walks through a value later need not fear for its stack."""
MAX_DIGITS: Final = 300
"""Of a whole number, so that it is a float, too. Tokenizers' configs write 10³⁰ for no limit."""
_HALVES: Final = re.compile("[\ud800-\udfff]")
"""Half of a surrogate pair, which JSON can escape and UTF-8 cannot hold."""
_RAISED: Final = (ValueError, RecursionError, OverflowError, LookupError, TypeError, AttributeError, yaml.YAMLError)
"""What the readers raise on documents that are none; YAML's also on tags whose text does not fit."""
Refusal = Callable[[str], UserError]
"""What is raised: one of `foundation.errors` that takes a line."""


def read_json(file: Path, refusal: Refusal = DataError) -> Any:
    """What a file of JSON holds.

    Raises:
        UserError: `refusal`, with one line that names the file.
        OSError: it cannot be read at all.
    """
    return parse_json(file.read_bytes(), str(file), refusal)


def read_yaml(file: Path, refusal: Refusal = DataError) -> Any:
    """What a file of YAML holds, of JSON, too; see `read_json`."""
    return parse_yaml(file.read_bytes(), str(file), refusal)


def read_mapping(file: Path, refusal: Refusal = DataError) -> dict[str, Any]:
    """As `read_yaml`, of a file that must hold a mapping with texts for keys; an empty one is {}."""
    value = read_yaml(file, refusal)
    return {} if value is None else as_mapping(value, str(file), refusal)


def parse_json(text: str | bytes, where: str, refusal: Refusal = DataError) -> Any:
    """What a text of JSON holds; messages call it `where`. See `read_json`."""
    return _parse(lambda said: json.loads(said, parse_int=_whole), text, "JSON", where, refusal)


def parse_yaml(text: str | bytes, where: str, refusal: Refusal = DataError) -> Any:
    """What a text of YAML holds; see `parse_json`."""
    return _parse(lambda said: yaml.load(said, _Loader), text, "YAML", where, refusal)  # noqa: S506, a SafeLoader


def parse_toml(text: str | bytes, where: str, refusal: Refusal = DataError) -> Any:
    """What a text of TOML holds; see `parse_json`. Days and hours are what TOML makes of them."""
    return _parse(tomllib.loads, text, "TOML", where, refusal)


def as_mapping(value: object, where: str, refusal: Refusal = DataError) -> dict[str, Any]:
    """The value, which must be a mapping with texts for keys.

    Raises:
        UserError: `refusal`; it is none.
    """
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        kind = "null" if value is None else type(value).__name__
        raise refusal(f"{where} is damaged: it must hold names and their values, got {kind}")
    return value


class _Loader(yaml.SafeLoader):
    """Plain values, and each where it is written: a few aliases of aliases stand for more than any memory holds."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.depth > MAX_DEPTH:  # before the scanner has gone on, which takes long over what is deep
            raise yaml.YAMLError(_DEEP)
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases (*name) are not read")
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


def _parse(parse: Callable[[str], Any], text: str | bytes, kind: str, where: str, refusal: Refusal) -> Any:
    try:
        said = decode_text(text, where) if isinstance(text, bytes) else text
        value = parse(said)
        _check(value)
    except DataError as error:
        raise refusal(str(error)) from error
    except _HalfError as error:
        raise refusal(f"{where} holds half a character (a lone surrogate), which is no text") from error
    except RecursionError as error:
        raise refusal(f"{where} is not {kind}: {_DEEP}") from error
    except _RAISED as error:
        raise refusal(f"{where} is not {kind}: {_short(error)}") from error
    return value


_DEEP: Final = f"it is more than {MAX_DEPTH} lists and mappings deep"
_LONG: Final = f"it has a whole number of more than {MAX_DIGITS} digits"


class _HalfError(ValueError):
    """A lone surrogate."""


def _whole(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise ValueError(_LONG)
    return int(digits)


def _check(value: Any) -> None:
    """Raise ValueError for what no JSON or UTF-8 can hold. Without recursion: it may be deep."""
    most = 10**MAX_DIGITS
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        below: list[Any] = []
        for each in level:
            if isinstance(each, dict):
                below += each.keys()
                below += each.values()
            elif isinstance(each, list | tuple | set):
                below += each
            elif isinstance(each, str):
                if _HALVES.search(each):
                    raise _HalfError
            elif isinstance(each, int) and abs(each) >= most:
                raise ValueError(_LONG)
        if not below:
            return
        level = below
    raise ValueError(_DEEP)


def _short(error: Exception) -> str:
    """The first sentence of what a parser says; YAML's mark, which quotes the text, is left to its line's number."""
    mark = getattr(error, "problem_mark", None)
    if mark is not None:
        return f"{getattr(error, 'problem', None) or type(error).__name__} (line {mark.line + 1})"
    said = " ".join(str(error).split()) or type(error).__name__
    return said if len(said) <= 200 else f"{said[:199]}…"
