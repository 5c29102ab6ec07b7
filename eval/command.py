"""The command `sweeper eval lora=FILE …`: see `eval.request` for its keys."""

from __future__ import annotations

from collections.abc import Sequence

from eval.request import USAGE, parse_request
from foundation.console import complain, say
from foundation.errors import SAID


def main(arguments: Sequence[str]) -> int:
    """Run the command; 0 when it is done, 2 with one clear line for each mistake a person can put right."""
    if not arguments or any(argument in ("-h", "--help", "help") for argument in arguments):
        say(USAGE)
        return 0 if arguments else 2
    try:
        request = parse_request(arguments)
        from eval.judge_file import judge_file  # torch and diffusers take seconds; help and mistakes need neither

        judge_file(request)
    except SAID as error:
        complain(error)
        return 2
    return 0
