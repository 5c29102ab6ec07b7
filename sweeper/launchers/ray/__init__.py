"""Workers as actors on a Ray cluster: Ray places them, carries what is said and what is in files, and notices deaths.

`cluster` joins or starts Ray and says what is there; `launcher` is the supervisor's side, `listener` its thread;
`actor` is a worker's on its `node`, with the process (`child`) that it runs; `words` is what the two say
beside the messages of any launcher; `travel` and `assets` bring files to a node that does not see the supervisor's
folder, and back.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from foundation.errors import ConfigError
from sweeper.launchers.spec import LauncherSpec


class NotInstalled:
    """Stands for the launcher where there is no Ray: the option is there, a study with it is refused."""

    @staticmethod
    def check(_: LauncherSpec) -> Sequence[str]:
        """See `Launcher`."""
        raise ConfigError(["launcher=ray needs Ray, which is not installed: pip install 'sweeper[ray]'"])


def __getattr__(name: str) -> Any:
    """`LAUNCHER`. Ray is imported for it alone: a worker's process does without."""
    if name != "LAUNCHER":
        raise AttributeError(name)
    try:
        from sweeper.launchers.ray.launcher import RayLauncher
    except ModuleNotFoundError as error:
        if error.name != "ray":
            raise
        return NotInstalled
    return RayLauncher
