"""The command `sweeper merge combine lora=… lora=… out=…`: see `foundation.adapters.merge.request` for its words."""

from __future__ import annotations

from collections.abc import Sequence

from foundation.adapters.merge.request import USAGE, parse_merge
from foundation.console import complain, say
from foundation.errors import SAID


def main(arguments: Sequence[str]) -> int:
    """Run the command; 0 when it is done, 2 with one clear line for each mistake a person can put right."""
    if not arguments or {"-h", "--help", "help"} & set(arguments):
        say(USAGE)
        return 0 if arguments else 2
    try:
        request = parse_merge(arguments)
        from foundation.adapters.merge.writing import (
            merge_as_asked,  # diffusers takes seconds; help and mistakes need it not
        )

        merge_as_asked(request)
    except SAID as error:
        complain(error)
        return 2
    return 0
