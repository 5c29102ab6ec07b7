"""`key=value` arguments, as the commands that compose no configuration take them."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Sequence
from typing import Any


def read_keyed(
    arguments: Sequence[str], known: Collection[str], repeated: Collection[str]
) -> tuple[dict[str, Any], list[str]]:
    """Return the values by key as they are written, and a line for each mistake.

    A key of `repeated` may be given more than once; its value is the list of all that were.
    """
    values: dict[str, Any] = {}
    problems: list[str] = []
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if not equals or key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"did you mean {near[0]}=?" if near else f"known keys: {', '.join(sorted(known))}"
            problems.append(f"arguments must be key=value, got {argument!r}; {hint}")
        elif key in repeated:
            values.setdefault(key, []).append(value)
        elif key in values:
            problems.append(f"{key} must be given once, got it again as {argument!r}")
        else:
            values[key] = value
    return values, problems
