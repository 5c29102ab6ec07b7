"""`sweeper votes`: what a study's votes say, and their leader as the best. Pairs are voted on at the dashboard."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from foundation.command import run_main, run_with_usage
from foundation.errors import ConfigError
from sweeper.named_study import read_named_study, read_switch

USAGE: Final = """\
sweeper votes STUDY [folder=multirun]                 what the votes between pairs of pictures say
sweeper votes STUDY choose=true [folder=multirun]     make the one that is liked best the study's best

  STUDY    its name
  choose=  true: best/ and the champion become the votes' leader, as sweeper choose does; its undo=true takes that back
  folder=  where studies are (default: multirun)

Pairs of pictures are voted on at the dashboard (`sweeper dashboard`), in a study's tab "Votes". Another study is
steered by what the votes weigh with study.taste_from=STUDY.

  sweeper votes pencil
  sweeper votes pencil choose=true"""
KEYS: Final = ("choose", "folder")


@dataclass(frozen=True, kw_only=True, slots=True)
class VotesRequest:
    """What is wanted."""

    study: str
    folder: Path
    choose: bool


def main(arguments: Sequence[str]) -> int:
    """Run the command; 0, or 2 with one clear line for each mistake a person can put right."""

    def run() -> None:
        request = parse(arguments)
        from sweeper.votes_study import show_votes  # takes seconds to import, which help need not wait for

        show_votes(request.study, request.folder, choose=request.choose)

    return run_with_usage(USAGE, run, arguments, needs_arguments=True)


def parse(arguments: Sequence[str]) -> VotesRequest:
    """Read what is wanted.

    Raises:
        ConfigError: with every mistake at once.
    """
    study, keys, problems = read_named_study(arguments, KEYS)
    choose = read_switch(keys, "choose", problems)
    if problems:
        raise ConfigError(problems)
    return VotesRequest(study=study, folder=Path(keys.get("folder", "multirun")), choose=choose)


if __name__ == "__main__":
    sys.exit(run_main(main, sys.argv[1:]))
