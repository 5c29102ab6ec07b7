"""`sweeper … forecast=true`: what a study will take, before anything of it is loaded."""

from __future__ import annotations

from collections.abc import Sequence

from foundation.console import say
from sweeper.forecast.largest import largest_trial
from sweeper.forecast.words import device_of, forecast_lines, memory_on
from sweeper.search.space import plan
from sweeper.study.run import prepare


def show_forecast(overrides: Sequence[str]) -> int:
    """Say what the study of these overrides will take; 0.

    Raises:
        UserError: a study by them would not begin either; the shapes of the base are not to be had.
    """
    request = plan(overrides)
    config, _ = prepare(request)
    trial, kept = largest_trial(request)
    device = device_of(config)
    say(*forecast_lines(config, trial, memory_on(config, trial, kept, device), device))
    return 0
