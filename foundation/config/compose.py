"""The one place that composes the YAML of `conf/` with Hydra, and says everything that is wrong with the overrides."""

from __future__ import annotations

import os
import pickle
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import MarkedYAMLError, YAMLError

from foundation.config.config_files import compose_groups, defaults, options_of
from foundation.config.home import at_home
from foundation.config.kept_out import secret_fields
from foundation.config.keyed import as_override, quoted_home
from foundation.config.own_code import NOT_FOR_US, changes_hydra
from foundation.config.parse import did_you_mean, show, unknown_key
from foundation.config.presets import CONF, folders
from foundation.errors import ConfigError, first_line

SWEEPS: Final = "a,b or choice(a,b) or range(start,stop,step) or interval(low,high) or tag(log, interval(low,high))"
"""The sweeps of Hydra's grammar, for messages."""

KIND: Final = "kind"
"""The group whose option is that of `data.kind`, wherever that is set."""
_LONG, _HIGHEST = 4800, 30.0
"""Steps from which on an optimizer's own beginning of its step size is enough, and how many times as high it begins."""
_LONGEST_NAME: Final = 80
_FUNCTION: Final = re.compile(r"\w\(")
"""How sweeps and casts begin."""
_COMPOSE_ERRORS = (
    HydraException,
    OmegaConfBaseException,
    ValueError,  # a group set to null
    YAMLError,
    OSError,  # a file of YAML that is no mapping
)


def compose(overrides: Sequence[str] = (), *, resolve: bool = True) -> dict[str, Any]:
    """Return the composed config as plain dicts, lists and values, interpolations resolved or left as they are written.

    `overrides` are Hydra's (`base=sd15`, `adapter.rank=8`, `+experiment=pencil`), without sweeps.

    Raises:
        ConfigError: one problem for each override that is wrong.
    """
    parsed, problems = parse_overrides(overrides)
    problems += [f"{_text(override)} is a sweep; a single value is wanted" for override in parsed if _sweeps(override)]
    parsed = [override for override in parsed if not _sweeps(override)]
    refused = [line for override in parsed if (line := _problem_of(override))]
    if problems or refused:
        raise ConfigError([*problems, *_culprits(parsed)])
    try:
        config = _compose(parsed, resolve=resolve)
    except _COMPOSE_ERRORS as error:
        raise ConfigError(_culprits(parsed) or [_first_line(error)]) from error
    if wrong := [*_shapeless(config), *secret_fields(config)]:
        raise ConfigError(wrong)
    return config


def parse_overrides(overrides: Iterable[str]) -> tuple[list[Override], list[str]]:
    """Return what can be parsed of `overrides`, sweeps included, and a line for each that cannot."""
    parsed, problems = [], []
    for text in map(quoted_home, overrides):
        try:
            parsed.append(_override_of(text))
        except HydraException as error:
            problems.append(f"{text} cannot be parsed: {_reason(error, text)}")
    return parsed, problems


@lru_cache
def groups() -> tuple[str, ...]:
    """The config groups: the folders of `conf/`."""
    return tuple(sorted(folder.name for folder in CONF.iterdir() if folder.is_dir()))


def options(group: str) -> tuple[str, ...]:
    """The options of a config group, ours and the person's own; none when there is no such group."""
    return options_of(group, folders())


@lru_cache
def default_option(group: str) -> str | None:
    """The option of a group that counts when none is named; None for a group without one."""
    return defaults(()).overrides.known_choices.get(group)


def is_option(group: str, value: Any) -> bool:
    """Whether a config group has this option, or a preset of this name in a folder of its own (`adapter=ranks/r4`)."""
    folder, _, name = f"{group}/{value}".rpartition("/")
    return ".." not in folder.split("/") and name in options(folder)


def dotted_paths(value: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Every key of a composed config, groups included."""
    for key, part in value.items():
        yield f"{prefix}{key}"
        if isinstance(part, Mapping) and not any("." in name for name in part):  # study.space has dotted keys
            yield from dotted_paths(part, f"{prefix}{key}.")


@lru_cache(maxsize=1024)
def _override_of(text: str) -> Override:
    """An override as Hydra reads it, which takes milliseconds; to be looked at only."""
    (override,) = OverridesParser.create().parse_overrides([text])
    return override


def _compose(overrides: Sequence[Override], *, resolve: bool = True) -> dict[str, Any]:
    """The steps of `hydra.compose`, to the same result, without its global state and twenty times as fast.

    Each choice of groups is composed once (.1 s), from files that are read once; then come the values, on a copy of it.
    What was composed before, with the same environment and from the same folder, is not composed again: a plan asks
    for most of what it looks at twice.
    """
    texts, around = tuple(map(_text, overrides)), (Path.cwd(), *os.environ.items())  # ${oc.env:…}, ${basename:…}
    composed: dict[str, Any] = pickle.loads(_compose_anew(texts, resolve, folders(), around))
    return composed


@lru_cache(maxsize=256)
def _compose_anew(
    texts: tuple[str, ...], resolve: bool, searched: tuple[Path, ...], around: tuple[object, ...]
) -> bytes:
    """The config of these overrides as plain data, pickled: each who asks gets a copy."""
    overrides = [_override_of(text) for text in texts]
    choices = tuple(text for text, each in zip(texts, overrides, strict=True) if not _is_value(each))
    config = _with_values(choices, overrides)
    kind, chosen = _kind_of(config), compose_groups(choices, searched).options.get(KIND)
    if kind != chosen:
        if any(each.key_or_group == KIND for each in overrides):
            raise ValueError(f"data.kind must be that of {KIND}={chosen}, got {kind}")
        config = _with_values((*choices, f"{KIND}={kind}"), overrides)
    plain = OmegaConf.to_container(config, resolve=resolve, throw_on_missing=True)
    assert isinstance(plain, dict)
    return pickle.dumps({str(key): value for key, value in plain.items()})


def _with_values(choices: tuple[str, ...], overrides: Sequence[Override]) -> DictConfig:
    """The config of these choices with the plain values of the overrides."""
    config: DictConfig = pickle.loads(compose_groups(choices, folders()).config)
    ConfigLoaderImpl._apply_overrides_to_config([each for each in overrides if _is_value(each)], config)
    return config


def _kind_of(config: DictConfig) -> str | None:
    """The option of the group `kind` that `data.kind` chooses; the default one where there is none of that name."""
    kind = OmegaConf.select(config, f"data.{KIND}")
    return kind if isinstance(kind, str) and is_option(KIND, kind) else default_option(KIND)


def _is_value(override: Override) -> bool:
    return override.key_or_group not in groups() and not override.is_hydra_override()


def _sweeps(override: Override) -> bool:
    return bool(override.is_sweep_override())


def _shapeless(config: Mapping[str, Any]) -> Iterator[str]:
    """A line for each group, or search space of one, that is no mapping."""
    for group in groups():
        values = config.get(group, {})
        if not isinstance(values, Mapping):
            yield f"{group} must be a group of settings, got {show(values)}"
        elif not isinstance(values.get("space") or {}, Mapping):
            yield f"{group}.space must be a mapping, got {show(values['space'])}"


def _scaled_lr(value: float, *, _root_: DictConfig) -> float:
    """A learning rate of Stable Diffusion 1.5 in terms of the chosen base. 12 digits: 3e-6 · 10 reads 3e-05."""
    factor = _root_.base.lr_factor
    # A factor that is no number is reported when the base is parsed; composition goes on to find the other mistakes.
    return float(f"{value * factor:.12g}") if isinstance(factor, int | float) else value


def _start(value: float, *, _root_: DictConfig) -> float:
    """Where an optimizer begins that finds its step size itself: higher for short trainings, which climb for less.

    It is `value` from _LONG steps on, and so many times as much as a training is shorter, up to _HIGHEST times: from
    its own beginning Prodigy climbs for 80 steps (docs/search.md). Trainings in epochs count as long.
    """
    steps = _root_.train.steps
    times = _LONG / steps if isinstance(steps, int) and steps > 0 else 1.0
    return _scaled_lr(float(f"{value * min(max(times, 1.0), _HIGHEST):.3g}"), _root_=_root_)


def _if_drawn(value: str, otherwise: str | None = None, *, _parent_: DictConfig) -> str | None:
    """`value` while the data set is drawn, `otherwise` once the user names a folder."""
    return value if _parent_.path is None else otherwise


def _only_drawn(values: Sequence[str], otherwise: Sequence[str] = (), *, _root_: DictConfig) -> ListConfig:
    """`values` while the data set is drawn, `otherwise`, or nothing, once the user names a folder."""
    return OmegaConf.create(list(values if _root_.data.path is None else otherwise))  # `--resolve` takes no plain list


def _steps(value: int, *, _parent_: DictConfig) -> int | None:
    """`value` until somebody sets `epochs`."""
    return value if _parent_.epochs is None else None


def _basename(path: str | None) -> str:
    """The last part of a path in letters that suit a study's name: ASCII, accents left out, and not too long."""
    if not path:
        return "folder"
    plain = unicodedata.normalize("NFKD", Path(at_home(path)).resolve().name).encode("ascii", "ignore").decode()
    return re.sub(r"[^\w.-]+", "-", plain)[:_LONGEST_NAME].strip("-._") or "folder"


# For YAML, also where Hydra composes by itself:
# `${steps:200}`, `${lr:1e-4}`, `${start:1e-6}`, `${drawn:value,otherwise}`, `${only_drawn:[…],[…]}` and
# `${basename:path}`.
OmegaConf.register_new_resolver("lr", _scaled_lr, replace=True)
OmegaConf.register_new_resolver("start", _start, replace=True)
OmegaConf.register_new_resolver("steps", _steps, replace=True)
OmegaConf.register_new_resolver("drawn", _if_drawn, replace=True)
OmegaConf.register_new_resolver("only_drawn", _only_drawn, replace=True)
OmegaConf.register_new_resolver("basename", _basename, replace=True)


def _culprits(overrides: Sequence[Override]) -> list[str]:
    """A line for each override that cannot be composed, found by trying them one by one."""
    problems, good = [], []
    for override in overrides:
        if not _is_value(override):
            line = _problem_of(override) or _fails([override])
            problems += [line] if line else []
            good += [override] if not line else []
    try:
        known = list(dotted_paths(_compose(good)))
    except _COMPOSE_ERRORS as error:
        return problems or [_first_line(error)]
    for override in overrides:
        if _is_value(override):
            line = _problem_of(override) or _unknown_path(override, known) or _fails([*good, override])
            problems += [line] if line else []
    return problems


def _problem_of(override: Override) -> str | None:
    """What is wrong with an override whatever the others are."""
    group, value = override.key_or_group, override.value()
    adds = override.is_add() or override.is_force_add()
    if changes_hydra(group, override.package):
        return f"{_text(override)}: {NOT_FOR_US}"
    if group in groups():
        if override.is_delete():
            return f"{_text(override)}: every group is needed; leave it as it is"
        if not is_option(group, value):
            allowed = options(group)
            return f"{group} must be one of {', '.join(allowed)}, got {show(value)}{did_you_mean(value, allowed)}"
        if override.package is not None:
            return f"{_text(override)}: @{override.package} is not for this config; write {group}={value}"
    elif adds and "." not in group and not override.is_hydra_override():
        # `+experimnt=pencil` would quietly become a key of that name; the root's keys are the groups and no others.
        return unknown_key(group, value, groups())
    return None


def _unknown_path(override: Override, known: Sequence[str]) -> str | None:
    path = override.key_or_group
    adds = override.is_add() or override.is_force_add()
    if adds or path in known:
        return None
    if path.rpartition(".")[0].endswith(".settings"):
        return f"{_text(override)}: settings are added; write +{_text(override)}"
    return unknown_key(path, override.value(), known)


def _fails(overrides: Sequence[Override]) -> str | None:
    """Why these do not compose, laid on the last of them; None when they do."""
    last = overrides[-1]
    text = _text(last)
    try:
        _compose(overrides)
    except _COMPOSE_ERRORS as error:
        reason = _first_line(error)
        if reason.startswith(("Could not append", "Multiple values")):
            return f"{text}: {last.key_or_group} is there already; write {text.removeprefix('+')}"
        if reason.startswith("Could not override") and last.key_or_group in groups():
            return f"{text}: {last.key_or_group} has no default; write +{text}"
        return f"{text}: {reason}"
    return None


def _first_line(error: Exception) -> str:
    if isinstance(error, MarkedYAMLError) and error.problem_mark is not None:
        return f"{error.problem_mark.name}, line {error.problem_mark.line + 1}: {error.problem}"
    return first_line(error)


def _text(override: Override) -> str:
    assert override.input_line is not None
    return override.input_line


def _reason(error: HydraException, text: str) -> str:
    """The telling line of Hydra's parse errors, which wrap it in `Error parsing …` and a link."""
    lines = [line for line in str(error).splitlines() if line and not line.startswith(("Error parsing", "See http"))]
    reason = re.sub(r"^\w+ while evaluating '.*?': ", "", lines[0]) if lines else str(error)
    if "EQUAL" in reason:
        return "write key=value"
    key, _, value = text.partition("=")
    if not _FUNCTION.search(value) and not value.startswith(("'", '"', "[", "{")):
        return f"a character of the value needs quotes; write {as_override(key, value)}"
    if reason.startswith("LexerNoViableAlt"):
        return "quotes are not balanced, or a character needs quotes around the value"
    known = [f"; there are {line.removeprefix('Available: ')}" for line in lines if line.startswith("Available: ")]
    return f"{reason}{''.join(known)}; sweeps are written {SWEEPS}"
