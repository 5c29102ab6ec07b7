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
    target, formats, keys = parse(arguments)
    if "recipe" in keys:
        from sweeper.export_recipe import export_recipe  # as below

        say(*export_recipe(target, keys))
        return
    if "hub" in keys:
        from sweeper.hub.publish import publish  # likewise

        say(*publish(target, keys))
        return
    from sweeper.export_files import export  # torch takes seconds; help and mistakes need it not

    say(*export(target, formats, keys))


if __name__ == "__main__":
    sys.exit(run_main(main, sys.argv[1:]))
