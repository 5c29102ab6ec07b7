"""The command `sweeper train`: its config, its mistakes. Light, so that help and mistakes need no torch."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from foundation.command import asks_for_help, exit_code
from foundation.config.compose import compose, default_option, options
from foundation.config.home import at_home
from foundation.config.parse import parse as parse_as
from foundation.config.presets import search_presets
from foundation.console import say
from foundation.errors import ConfigError
from train.spec import (
    TrainingRun,
    TrialSpec,
    check_attention,
    check_class,
    check_installed,
    check_offload,
    check_quantized,
)

_TRIAL_GROUPS = tuple(field.name for field in dataclasses.fields(TrialSpec) if field.name != "views")
USAGE = """\
sweeper train [+experiment=NAME] [group=option] [path=value …] [out=FOLDER]   train one LoRA

  sweeper train +experiment=pencil adapter.rank=8 out=multirun/one
  sweeper train data.path=my/pictures optimizer=lion train.steps=400

out= is a new folder; default multirun/train/<data name>-<number>. It gets the LoRA as diffusers loads it,
the configuration, and the loss of every step. Searching and judging is `sweeper`.

--config-dir DIR reads options of your own, as a conf/ in this folder does (docs/extending.md).

Groups and their options, the default first; every field with its meaning and default is in docs/reference.md:"""


def main(arguments: list[str]) -> int:
    """Run the command; 0, or 2 after one clear line about bad input, or 1 when the training failed."""
    return exit_code(lambda: _train(arguments))


def _train(arguments: list[str]) -> int:
    arguments = search_presets(arguments)
    if asks_for_help(arguments):
        say(USAGE, *_groups())
        return 0
    run, out = parse_command(arguments)
    from train.train_one import train  # torch and diffusers take seconds to import

    return train(run, out)


def _groups() -> Iterator[str]:
    """A line for each group that this command reads: its options, the default first."""
    names = ("base", "data", *_TRIAL_GROUPS, "experiment")
    for name in names:
        default = default_option(name)
        others = [option for option in options(name) if option != default]
        yield f"  {name:<13}{', '.join([default, *others] if default else others)}"


def parse_command(arguments: list[str]) -> tuple[TrainingRun, Path | None]:
    """Compose and check the config; it, and the folder to write to where one is named.

    Raises:
        ConfigError: with every mistake at once.
    """
    outs = [_as_override(argument.removeprefix("out=")) for argument in arguments if argument.startswith("out=")]
    config = compose([argument for argument in arguments if not argument.startswith("out=")])
    trial = {group: _without_space(config[group]) for group in _TRIAL_GROUPS}
    run = parse_as(TrainingRun, {"base": config["base"], "data": config["data"], "trial": trial})
    check_installed(run.trial.optimizer)
    check_attention(run.trial.train)
    check_class([run.trial.objective], run.data.trigger, run.data.class_word)
    check_quantized(run.base, [run.trial.adapter])
    check_offload(run.base, run.trial.train)
    out = Path(at_home(outs[-1])) if outs else None
    if out is not None and out.exists():
        raise ConfigError([f"out {out} exists already; name a new folder, nothing is overwritten"])
    return run, out


def _as_override(path: str) -> str:
    """A path as it is, or in quotes as Hydra takes the other values."""
    quote = path[:1]
    is_quoted = quote in ("'", '"') and len(path) > 1 and path.endswith(quote)
    return path[1:-1].replace(f"\\{quote}", quote) if is_quoted else path


def _without_space(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name != "space"}
