"""Where workers run. `LAUNCHERS` has them by the name that the config gives them.

Other packages bring theirs as entry points of `sweeper.launchers`, each a class that is a `port.Launcher`.
"""

from __future__ import annotations

from importlib.metadata import EntryPoint
from typing import TYPE_CHECKING, Final

from foundation.config.installed import Registry

if TYPE_CHECKING:
    from sweeper.launchers.port import Launcher

_GROUP: Final = "sweeper.launchers"
LAUNCHERS: Final[Registry[type[Launcher]]] = Registry(
    _GROUP,
    type,
    {"local": EntryPoint("local", "sweeper.launchers.local:LocalLauncher", _GROUP)},  # it imports torch
)
"""By the name that the config gives them."""
