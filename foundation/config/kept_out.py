"""No secret stands in a config or a command's values: they are written to files, and shown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from foundation.secrets import Held, hide

_ADDRESSES: Final = ("study.storage", "tracking.uri")
"""Where a secret belongs: `***` is written in the place of an address's own."""


def secret_fields(values: Mapping[str, Any]) -> list[str]:
    """A line for each field that holds a secret of the environment, or the password of an address."""
    held = Held()
    return [
        f"{path} holds {secret}, which would be written to files; take it out of there: libraries read their secrets "
        "from the environment"
        for path, text in _texts(values)
        if (secret := held.secret_in(hide(text) if path in _ADDRESSES else text))
    ]


def _texts(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """All texts in a config, with the dotted path of each; those of a list have the list's."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for name, part in value.items():
            yield from _texts(part, f"{path}.{name}".lstrip("."))
    elif isinstance(value, Sequence):
        for part in value:
            yield from _texts(part, path)
