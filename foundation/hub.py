"""What this machine knows of a hub id: whether it is one, and whether it can be had without the hub."""

from __future__ import annotations

import os
import re
from typing import Final

_HUB_ID: Final = re.compile(r"\w(?:[\w.-]*\w)?/(?=.{1,96}$)\w(?:[\w.-]*\w)?", re.ASCII)
_NEVER_IN_IT: Final = ("--", "..")
_YES: Final = ("1", "ON", "YES", "TRUE")


def is_hub_id(name: str) -> bool:
    """Whether the hub takes it as `owner/name`. Source: `huggingface_hub.utils.validate_repo_id`."""
    return bool(_HUB_ID.fullmatch(name)) and not any(each in name for each in _NEVER_IN_IT)


def is_out_of_reach(hub_id: str, file: str) -> bool:
    """Whether `HF_HUB_OFFLINE` keeps from fetching it, and `file` of it is not in this machine's cache."""
    if os.environ.get("HF_HUB_OFFLINE", "").upper() not in _YES:
        return False
    from huggingface_hub import try_to_load_from_cache  # only for who asks: it takes a moment

    return not isinstance(try_to_load_from_cache(hub_id, file), str)
