"""`key=value` arguments, as the commands that compose no configuration take them."""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, Final

from foundation.config.home import at_home
from foundation.config.kept_out import secret_fields
from foundation.config.renamed import RENAMED
from foundation.errors import DataError
from foundation.files.documents import parse_yaml

_PLAIN: Final = re.compile(r"[\w./:+-]+", re.ASCII)
"""What neither a shell nor Hydra's grammar reads as anything but itself."""
_OF_HOME: Final = re.compile(r"(?P<key>[^='\"]+)=(?P<path>~(?:[^/,'\"]*/.*)?)", re.DOTALL)
_ACTS_IN_QUOTES: Final = frozenset('"$`\\!')
"""What a shell does not leave alone between double quotes."""


def is_keyed(argument: str) -> bool:
    """Whether an argument is `key=value`, and no path that holds a `=`."""
    key, equals, _ = argument.partition("=")
    return bool(equals) and key.isidentifier() and not Path(at_home(argument)).exists()


def as_override(key: str, value: object) -> str:
    """`key=value` to be typed into a shell as one of Hydra's overrides, in quotes where any are needed."""
    text = str(value)
    if _PLAIN.fullmatch(text):
        return f"{key}={text}"
    typed = f"{key}={quote(text)}"
    return shlex.quote(typed) if _ACTS_IN_QUOTES & set(typed) else f'"{typed}"'


def in_shell(argument: str) -> str:
    """An argument to be typed into a shell, in quotes where any are needed: double ones, if they are enough."""
    quoted = shlex.quote(argument)
    return quoted if quoted == argument or _ACTS_IN_QUOTES & set(argument) else f'"{argument}"'


def quote(text: str) -> str:
    """A text in quotes as Hydra's grammar takes it."""
    escaped = re.sub(r"(\\*)'", r"\1\1\\'", text)  # backslashes count only before a quote
    trailing = len(escaped) - len(escaped.rstrip("\\"))
    return f"'{escaped}{chr(92) * trailing}'"


def quoted_home(argument: str) -> str:
    """`key=~/folder` with the quotes that Hydra's grammar wants, which knows `~` before a key alone; else as it is."""
    found = _OF_HOME.fullmatch(argument)
    return f"{found['key']}={quote(found['path'])}" if found else argument


def read_keyed(
    arguments: Sequence[str], known: Collection[str], repeated: Collection[str], places: Collection[str] = ()
) -> tuple[dict[str, Any], list[str]]:
    """Return the values by key as they are written, and a line for each mistake.

    A key of `repeated` may be given more than once; its value is the list of all that were. Those of `places` are
    paths, in which `~` is the home.
    """
    values: dict[str, Any] = {}
    problems: list[str] = []
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if not equals or key not in known:
            near = [RENAMED[key]] if key in RENAMED else difflib.get_close_matches(key, known, n=1)
            hint = f"did you mean {near[0]}=?" if near else f"known keys: {', '.join(sorted(known))}"
            problems.append(f"arguments must be key=value, got {argument!r}; {hint}")
        elif key in repeated:
            values.setdefault(key, []).append(value)
        elif key in values:
            problems.append(f"{key} must be given once, got it again as {argument!r}")
        else:
            values[key] = at_home(value) if key in places else value
    return values, problems + secret_fields(values)


def as_type(text: str, kind: str) -> object:
    """What is written for a field of a type, as its annotation reads: tags, a text, or a number as YAML writes it.

    What is neither is returned as it is, for the field's own check to refuse.
    """
    if kind.startswith("tuple"):
        return [tag.strip() for tag in text.split(",") if tag.strip()]
    if text == "null" and "None" in kind:
        return None
    if any(word in kind for word in ("str", "PathText", "Literal")):
        return text
    try:
        return parse_yaml(text, "it")
    except DataError:
        return text
