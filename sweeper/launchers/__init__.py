"""Where workers run. `LAUNCHERS` has them by the name that the config gives them.

A new one is a module here with its class, a `port.Launcher`, as `LAUNCHER`, and a file in conf/launcher/. Other
packages bring theirs as entry points of `sweeper.launchers`, each such a class.
"""

from __future__ import annotations

import pkgutil
from importlib.metadata import EntryPoint
from typing import TYPE_CHECKING, Final

from foundation.config.installed import Registry

if TYPE_CHECKING:
    from sweeper.launchers.port import Launcher

_GROUP: Final = "sweeper.launchers"
_NO_LAUNCHERS: Final = ("port", "process", "spec")
_MODULES: Final = [module.name for module in pkgutil.iter_modules(__path__) if module.name not in _NO_LAUNCHERS]
LAUNCHERS: Final[Registry[type[Launcher]]] = Registry(
    _GROUP,
    type,
    {name: EntryPoint(name, f"{__name__}.{name}:LAUNCHER", _GROUP) for name in _MODULES},  # imported when chosen
)
"""By the name that the config gives them."""
