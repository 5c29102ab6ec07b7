"""What every command does around its own work, wherever it was started from: help, mistakes, exit codes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Final

from foundation.console import complain, say
from foundation.errors import SAID
from foundation.json_output import note_error, run_as_json
from foundation.quiet import quiet_libraries
from foundation.secrets import guard_output, hide_arguments, remember
from foundation.streams import outlive_output

EXIT_BAD_INPUT: Final = 2
EXIT_INTERRUPTED: Final = 130
"""After Ctrl-C, as shells know it."""
_HELP: Final = frozenset({"-h", "--help", "help"})


def run_command(module: str, arguments: Sequence[str]) -> int:
    """Import a module and run its `main` with the arguments; its exit code, or 130 after Ctrl-C.

    It is imported here, since torch and diffusers take seconds to import: what they have to say is silenced before
    that, and Ctrl-C is one line from the beginning.
    """
    return run_main(lambda given: int(import_module(module).main(given)), arguments)


def run_main(main: Callable[[list[str]], int], arguments: Sequence[str]) -> int:
    """Run a command's `main`; its exit code, or 130 after Ctrl-C. No secret of the arguments is printed or listed.

    With `--json` among the arguments it prints one object (`foundation.json_output`).
    """
    return run_as_json(lambda given: _run_main(main, given), arguments)


def _run_main(main: Callable[[list[str]], int], arguments: Sequence[str]) -> int:
    remember(arguments)
    hide_arguments()
    outlive_output()
    guard_output()
    quiet_libraries()
    try:
        return main(list(arguments))
    except KeyboardInterrupt:
        say("stopped", to=sys.stderr)
        return EXIT_INTERRUPTED


def run_with_usage(
    usage: str, work: Callable[[], int | None], arguments: Sequence[str], *, needs_arguments: bool = False
) -> int:
    """Print how a command is used for `--help` or without arguments, else do its work; the exit code.

    Without the arguments that it needs, it prints that too, and the exit code is 2.
    """
    if asks_for_help(arguments):
        say(usage)
        return 0
    if needs_arguments and not arguments:
        say(usage)
        note_error("arguments are missing; the lines say which there are")
        return EXIT_BAD_INPUT
    return exit_code(work)


def asks_for_help(arguments: Sequence[str]) -> bool:
    """Whether one of the arguments is `-h`, `--help` or `help`."""
    return not _HELP.isdisjoint(arguments)


def exit_code(work: Callable[[], int | None]) -> int:
    """Do a command's work; its exit code, 0 where it has none, or 2 after a line for each mistake a person can mend."""
    try:
        return work() or 0
    except SAID as error:
        complain(error)
        return EXIT_BAD_INPUT
