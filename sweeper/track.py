"""`sweeper track`: its arguments and its help. What it does, in `sweeper.track_files`, takes its time to load."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from foundation.command import run_main, run_with_usage
from foundation.config.home import at_home
from foundation.config.keyed import read_keyed
from foundation.errors import ConfigError

USAGE: Final = """\
sweeper track STUDY [folder=multirun] [tracking.uri=…]     show a study's runs that MLflow lacks

  STUDY            its name, or study=NAME
  folder=          where studies are (default: multirun)
  tracking.uri=    where to show it (default: where it was shown); with the password, where its address has one
  study.storage=   the study's database on a server, where its address has a password

A study shows what MLflow lacks when its own command is run again; this does it without running the study. What is
there already is not shown twice. A study that is running shows itself.

  sweeper track pencil
  sweeper track pencil tracking.uri=http://mlflow.example:5000"""
KEYS: Final = ("study", "folder", "tracking.uri", "study.storage")


def main(arguments: Sequence[str]) -> int:
    """Run the command; 0, 3 where not all could be shown, or 2 with a clear line for each mistake."""
    return run_with_usage(USAGE, lambda: _track(arguments), arguments, needs_arguments=True)


def _track(arguments: Sequence[str]) -> int:
    name, folder, addresses = parse(arguments)
    from sweeper.track_files import track

    return track(name, folder, addresses)


def parse(arguments: Sequence[str]) -> tuple[str, Path, dict[str, str]]:
    """Read the study's name, the folder of studies and the addresses that are given anew, by their keys.

    Raises:
        ConfigError: with every mistake at once.
    """
    words = [argument for argument in arguments if "=" not in argument]
    keys, problems = read_keyed([argument for argument in arguments if "=" in argument], KEYS, (), ("folder",))
    names = [*words, *([keys["study"]] if "study" in keys else [])]
    if len(names) != 1 and not problems:
        problems.append(f"name one study, got {', '.join(names) or 'none'}")
    if problems:
        raise ConfigError(problems)
    addresses = {key: value for key, value in keys.items() if key in ("tracking.uri", "study.storage")}
    return names[0], Path(at_home(keys.get("folder", "multirun"))), addresses


if __name__ == "__main__":
    sys.exit(run_main(main, sys.argv[1:]))
