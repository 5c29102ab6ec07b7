"""`python -m sweeper [overrides]`: find the best LoRA. `--help` lists the groups, `--cfg job` prints the config."""

from __future__ import annotations

import sys

import hydra
from omegaconf import DictConfig

from foundation.compose import CONF, CONFIG, HYDRA_VERSION
from foundation.console import complain, say
from foundation.errors import SAID, ConfigError
from foundation.keyed import quoted_home
from foundation.own_code import refuse_hydras_code
from foundation.quiet import quiet_libraries
from foundation.secrets import guard_output, remember
from foundation.streams import outlive_output
from sweeper.finished import already_finished
from sweeper.space import plan

USAGE = """\
python -m sweeper [+experiment=NAME] [group=option] [path=value …]     find the best LoRA

  python -m sweeper +experiment=pencil                                          the embedded example, in minutes
  python -m sweeper data.path=my/pictures base=sd15 "data.trigger='in my style'"  your own pictures
  python -m sweeper.dashboard                                                   every study, trial and picture

The same command goes on where it was stopped. `python -m sweeper --help` lists all groups, options and defaults,
docs/reference.md every field with its meaning; python -m train, eval, sweeper.export, train.merge and train.prepare
tell theirs by --help, too."""
EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130
"""After Ctrl-C, as shells know it."""


def main() -> None:
    """Check the whole configuration, then let Hydra hand it to the study's sweeper.

    Hydra stops at the first mistake; checked beforehand, all of them are said together.
    """
    sys.argv[1:] = map(quoted_home, sys.argv[1:])  # Hydra reads them, too
    remember(sys.argv)
    outlive_output()
    guard_output()
    quiet_libraries()  # before the libraries are imported: some speak at import
    try:
        _main()
    except KeyboardInterrupt:  # later on the study takes it, and says how to go on
        say("stopped before anything was trained", to=sys.stderr)
        raise SystemExit(EXIT_INTERRUPTED) from None


def _main() -> None:
    try:
        refuse_hydras_code(sys.argv[1:])
    except ConfigError as error:
        complain(error)
        raise SystemExit(EXIT_BAD_INPUT) from None
    overrides = [argument for argument in sys.argv[1:] if argument not in ("-m", "--multirun")]
    if not overrides:
        say(USAGE)
        raise SystemExit(EXIT_BAD_INPUT)
    if not any(argument.startswith("-") for argument in overrides):  # with other flags, Hydra prints something and ends
        try:
            if lines := already_finished(plan(overrides)):
                say(*lines)
                return
        except SAID as error:
            complain(error)
            raise SystemExit(EXIT_BAD_INPUT) from None
    _run()


@hydra.main(config_path=str(CONF), config_name=CONFIG, version_base=HYDRA_VERSION)
def _run(_: DictConfig) -> None:
    """Called with `hydra.mode=RUN` alone: a study is Hydra's multirun, which the sweeper plugin takes."""
    complain("python -m sweeper runs studies; python -m train trains one LoRA")
    raise SystemExit(EXIT_BAD_INPUT)


if __name__ == "__main__":
    main()
