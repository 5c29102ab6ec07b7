"""What every command does before and after its own work, wherever it was started from."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Final

from foundation.console import say
from foundation.quiet import quiet_libraries
from foundation.secrets import guard_output, remember
from foundation.streams import outlive_output

EXIT_BAD_INPUT: Final = 2
EXIT_INTERRUPTED: Final = 130
"""After Ctrl-C, as shells know it."""


def run_command(module: str, arguments: Sequence[str]) -> int:
    """Import a module and run its `main` with the arguments; its exit code, or 130 after Ctrl-C.

    It is imported here, since torch and diffusers take seconds to import: what they have to say is silenced before
    that, and Ctrl-C is one line from the beginning.
    """
    return run_main(lambda given: int(import_module(module).main(given)), arguments)


def run_main(main: Callable[[list[str]], int], arguments: Sequence[str]) -> int:
    """Run a command's `main`; its exit code, or 130 after Ctrl-C. No secret of the arguments is printed."""
    remember(arguments)
    outlive_output()
    guard_output()
    quiet_libraries()
    try:
        return main(list(arguments))
    except KeyboardInterrupt:
        say("stopped", to=sys.stderr)
        return EXIT_INTERRUPTED
