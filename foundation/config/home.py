"""`~` at the beginning of a path that a person gives: the home, also where no shell has seen to it."""

from __future__ import annotations

import os
import re
from typing import Annotated, Final

from pydantic import AfterValidator, Field

_ADDRESS: Final = re.compile(r"(?P<before>sqlite(?:\+\w+)?:///|file://(?=/~))/?(?P<path>~.*)", re.DOTALL)
"""Addresses of files and folders on this machine; of a SQLite file's the path begins behind the third slash."""


def at_home(path: str) -> str:
    """The path with `~` or `~name` at its beginning as that home; as it is where nobody has that name."""
    return os.path.expanduser(path)  # noqa: PTH111, it may be a hub id or an address, which no Path leaves as it is


def address_at_home(address: str) -> str:
    """The same of an address, `sqlite:///~/runs.db`, or of a bare path."""
    found = _ADDRESS.fullmatch(address)
    return f"{found['before']}{at_home(found['path'])}" if found else at_home(address)


PathText = Annotated[str, Field(min_length=1), AfterValidator(at_home)]
"""A path of a config or of a command's arguments, or a name that may stand for one (a hub id)."""
PathTextOrNone = Annotated[str, AfterValidator(at_home)]
"""The same; empty for none."""
Address = Annotated[str, Field(min_length=1), AfterValidator(address_at_home)]
"""An address, or a path."""
