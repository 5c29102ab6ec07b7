"""The command `sweeper [overrides]`: find the best LoRA. `--help` lists the groups, `--cfg job` prints the config."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import hydra
from omegaconf import DictConfig

from foundation.command import EXIT_BAD_INPUT, EXIT_INTERRUPTED, exit_code
from foundation.config.config_files import CONFIG, HYDRA_VERSION
from foundation.config.keyed import quoted_home
from foundation.config.own_code import refuse_hydras_code
from foundation.config.presets import CONF, search_presets
from foundation.console import complain, say
from foundation.json_output import give
from sweeper.cli import USAGE
from sweeper.kinds import with_kind
from sweeper.notify import take_urls
from sweeper.printed import print_config
from sweeper.study.finished import already_finished
from sweeper.study.taste import plan_by_taste

_FORECAST: Final = ("forecast=true", "forecast=false")


def main(arguments: Sequence[str]) -> int:
    """Check the whole configuration, then let Hydra hand it to the study's sweeper; the exit code.

    Hydra stops at the first mistake; checked beforehand, all of them are said together.

    Raises:
        SystemExit: with the exit code, where Hydra or the study's sweeper ends the process.
    """
    try:
        return exit_code(lambda: _study([quoted_home(argument) for argument in arguments]))
    except KeyboardInterrupt:  # later on the study takes it, and says how to go on
        say("stopped before anything was trained", to=sys.stderr)
        return EXIT_INTERRUPTED


def _study(arguments: list[str]) -> int:
    arguments = search_presets(take_urls(arguments))
    refuse_hydras_code(arguments)
    overrides = [argument for argument in arguments if argument not in ("-m", "--multirun", *_FORECAST)]
    if not overrides:
        say(USAGE)
        return EXIT_BAD_INPUT
    if any(argument.startswith("-") for argument in overrides):  # something is to be printed, no more
        arguments = print_config(overrides)
        if not arguments:
            return 0
    else:
        forecast, arguments = "forecast=true" in arguments, with_kind(overrides)
        overrides = arguments
        if forecast:
            from sweeper.forecast.command import show_forecast  # loads diffusers: seconds, for who wants it

            return show_forecast(overrides)
        if lines := already_finished(plan_by_taste(overrides)):
            say(*lines)
            from sweeper.best import result_of  # as above

            study = plan_by_taste(overrides).config.study
            give(**result_of(Path(study.folder) / study.name))
            return 0
    sys.argv[1:] = arguments  # Hydra reads them there
    _run()
    return 0


@hydra.main(config_path=str(CONF), config_name=CONFIG, version_base=HYDRA_VERSION)
def _run(_: DictConfig) -> None:
    """Called with `hydra.mode=RUN` alone: a study is Hydra's multirun, which the sweeper plugin takes."""
    complain("sweeper runs studies; sweeper train trains one LoRA")
    raise SystemExit(EXIT_BAD_INPUT)
