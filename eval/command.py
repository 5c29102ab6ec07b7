"""The command `sweeper eval lora=FILE …`: see `eval.request` for its keys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from eval.request import USAGE, parse_request
from foundation.command import run_with_usage


def main(arguments: Sequence[str]) -> int:
    """Run the command; 0 when it is done, 2 with one clear line for each mistake a person can put right."""
    return run_with_usage(USAGE, lambda: _judge(arguments), arguments, needs_arguments=True)


def _judge(arguments: Sequence[str]) -> None:
    request = parse_request(arguments)
    from eval.judge_file import judge_file  # torch and diffusers take seconds; help and mistakes need neither
    from eval.series.judging import judge_series
    from foundation.adapters.files import saved_by

    saved = saved_by(request.lora)
    if len(saved) > 1 or request.is_series:
        judge_series(request, saved)
    else:
        judge_file(replace(request, lora=(str(saved[0].path),)))
