"""The address of a study's database on a server."""

from __future__ import annotations

import re
from typing import Final

from foundation.secrets import redact, remember

_ADDRESS: Final = re.compile(r"postgresql(\+psycopg)?://[^/]*/[^/?].*|postgresql(\+psycopg)?://[^/]*/?\?.*", re.DOTALL)
"""With a database's name, or with parameters that may name one."""


def check_storage(address: str) -> str:
    """The address as it is, where it may be one of a PostgreSQL database.

    Raises:
        ValueError: it is none.
    """
    if not _ADDRESS.fullmatch(address):
        remember([address])
        raise ValueError(
            "must be the address of a PostgreSQL database, as postgresql+psycopg://USER@HOST/NAME, got "
            f"{redact(address)}; without it the study is in studies.db in study.folder"
        )
    return address
