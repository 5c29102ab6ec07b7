"""The command `sweeper merge combine lora=… lora=… out=…`: see `foundation.adapters.merge.request` for its words."""

from __future__ import annotations

from collections.abc import Sequence

from foundation.adapters.merge.request import USAGE, parse_merge
from foundation.command import run_with_usage


def main(arguments: Sequence[str]) -> int:
    """Run the command; 0 when it is done, 2 with one clear line for each mistake a person can put right."""
    return run_with_usage(USAGE, lambda: _merge(arguments), arguments, needs_arguments=True)


def _merge(arguments: Sequence[str]) -> None:
    request = parse_merge(arguments)
    from foundation.adapters.merge.writing import merge_as_asked  # diffusers takes seconds; mistakes need it not

    merge_as_asked(request)
