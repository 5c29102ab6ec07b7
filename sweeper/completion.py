"""What a shell proposes for a command line of `sweeper`: commands, their keys, groups, options, the config's keys.

Hydra's plugins write the scripts that a shell runs, and know the config. `eval "$(sweeper -sc install=bash)"`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr, suppress
from importlib import import_module
from io import StringIO
from typing import Final

from hydra._internal.core_plugins.bash_completion import BashCompletion
from hydra._internal.core_plugins.fish_completion import FishCompletion
from hydra._internal.core_plugins.zsh_completion import ZshCompletion
from hydra.plugins.completion_plugin import CompletionPlugin

from foundation.command import EXIT_BAD_INPUT
from foundation.config.config_files import CONFIG, config_loader
from foundation.config.presets import search_presets
from foundation.console import complain, say
from foundation.errors import ConfigError
from sweeper.cli import COMMANDS

_SHELLS: Final[Mapping[str, type[CompletionPlugin]]] = {
    "bash": BashCompletion,
    "fish": FishCompletion,
    "zsh": ZshCompletion,
}
_BETWEEN: Final = {"fish": "\n"}
"""What stands between two proposals; a space elsewhere."""


def main(arguments: Sequence[str]) -> int:
    """Do `install=SHELL`, `uninstall=SHELL` or `query=SHELL`, as Hydra's `--shell-completion` does; the exit code."""
    verb, _, shell = (arguments[0] if arguments else "").partition("=")
    if verb not in ("install", "uninstall", "query") or shell not in _SHELLS:
        complain(f"after -sc comes install=, uninstall= or query= and one of {', '.join(_SHELLS)}")
        return EXIT_BAD_INPUT
    if verb == "query":
        say(_BETWEEN.get(shell, " ").join(proposals(os.environ.get("COMP_LINE", ""))))
    else:
        getattr(_SHELLS[shell](config_loader()), verb)()
    return 0


def proposals(line: str) -> list[str]:
    """What may stand where a command line, which begins with our own name, ends."""
    words = line.split()[1:]
    typing = "" if line.endswith(" ") or not words else words.pop()
    with suppress(ConfigError), redirect_stderr(StringIO()):  # nothing but proposals is for the terminal here
        search_presets(words)
    if not words:
        names = [name for name in COMMANDS if name.startswith(typing)]
        return [*names, *_of_config(typing)]
    command = COMMANDS.get(words[0])
    if command is None or not command.keys:
        return _of_config(typing)
    keys = import_module(command.keys).KEYS
    return [key for key in sorted(f"{key}=" for key in keys) if key.startswith(typing)]


def _of_config(typing: str) -> list[str]:
    found = BashCompletion(config_loader())._query(config_name=CONFIG, line=typing)
    return [each for each in found if not each.lstrip("+").startswith("hydra")]  # what is Hydra's own is not for us
