"""The command `sweeper export STUDY|FOLDER|FILE …`: see `sweeper.export_request` for its words."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from foundation.command import run_main, run_with_usage
from foundation.console import say
from sweeper.export_request import USAGE, parse


def main(arguments: Sequence[str]) -> int:
    """Run the command; 0, or 2 with one clear line for each mistake a person can put right."""
    return run_with_usage(USAGE, lambda: _export(arguments), arguments, needs_arguments=True)


def _export(arguments: Sequence[str]) -> None:
    request = parse(arguments)
    from sweeper.export_files import export  # torch takes seconds; help and mistakes need it not

    say(*export(*request))


if __name__ == "__main__":
    sys.exit(run_main(main, sys.argv[1:]))
