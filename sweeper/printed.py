"""What the printing flags (`--cfg`, `--info`, `--help`) show of a study's command line, which may hold sweeps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hydra._internal.utils import get_args_parser
from omegaconf import Container, OmegaConf

from foundation.config.compose import compose
from foundation.config.keyed import quote
from foundation.console import say
from foundation.errors import ConfigError
from sweeper.records.config import TRIAL_GROUPS
from sweeper.search.space import Request, read


def print_config(arguments: Sequence[str]) -> list[str]:
    """Print what `--cfg job` asks for; return the arguments with which Hydra prints anything else, or none.

    `arguments` are without `-m`, which a study does without.

    Raises:
        ConfigError: the overrides do not compose, or a sweep is wrong.
    """
    said = get_args_parser().parse_intermixed_args(arguments)
    request, problems = read(said.overrides)
    if problems:
        raise ConfigError(problems)
    if said.cfg == "job":
        _print(config_as_written(request, resolve=said.resolve), said.package)
        return []
    flags = [each for each in arguments if each not in said.overrides]
    return [*flags, *_choices(request), *(f"++{key}={quote(text)}" for key, text in _as_written(request).items())]


def config_as_written(request: Request, *, resolve: bool = False) -> dict[str, Any]:
    """The config as a study sees it: what is fixed, and in its place what is searched, as it was written.

    A group that is searched has its first option here, and its sweep in `study.space`. There, and in the options'
    `space` blocks, only what is searched is left.
    """
    config = compose(_choices(request), resolve=resolve)
    written = _as_written(request)
    elsewhere = request.settled | {each.key_or_group for each in request.swept}
    space = config["study"]["space"]
    config["study"]["space"] = {key: text for key, text in space.items() if key not in elsewhere}
    for group in TRIAL_GROUPS:
        if block := config[group].get("space"):
            config[group]["space"] = {key: text for key, text in block.items() if f"{group}.{key}" not in elsewhere}
    for key, text in written.items():
        *parents, last = key.split(".")
        place = config
        for parent in parents:
            place = place.setdefault(parent, {})
        place[last] = text
    return config


def _choices(request: Request) -> list[str]:
    """The fixed overrides, and the first option of each group that is searched."""
    first = {each.key: each.domain.corners()[0] for each in request.space.dimensions if each.key in TRIAL_GROUPS}
    swept = {each.key_or_group for each in request.swept}
    return [*request.fixed, *(f"{group}={option}" for group, option in first.items() if group in swept)]


def _as_written(request: Request) -> dict[str, str]:
    """Where the sweeps of the command line stand in the config, to their texts."""
    texts = {each.key_or_group: (each.input_line or "").partition("=")[2] for each in request.swept}
    return {f"study.space.{key}" if key in TRIAL_GROUPS else key: text for key, text in texts.items()}


def _print(config: dict[str, Any], package: str | None) -> None:
    whole = OmegaConf.create(config)
    named = package not in (None, "_global_")
    part = OmegaConf.select(whole, str(package)) if named else whole
    if part is None:
        raise ConfigError([f"--package {package}: the config has no such part"])
    if not isinstance(part, Container):
        say(str(part))
        return
    say(*([f"# @package {package}"] if named else []), OmegaConf.to_yaml(part).rstrip("\n"))
