"""What the YAML of `conf/` adds to the fields: options with their comments, defaults, and the default space."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from foundation.config.compose import compose, groups, options
from foundation.config.config_files import CONFIG
from foundation.config.presets import CONF
from foundation.files.documents import read_yaml
from sweeper.records.config import TRIAL_GROUPS
from sweeper.reference.fields import MISSING, ConfigField


@dataclass(frozen=True, kw_only=True, slots=True)
class Option:
    """One YAML file of a group."""

    name: str
    """What follows `group=`."""
    comment: str
    """The comment that the file begins with, on one line."""
    own: Mapping[str, Any]
    """Dotted path to value, where it differs from the default config; interpolations as they are written."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchedKey:
    """A dimension of the default space."""

    key: str
    """Dotted path or group."""
    sweep: str
    """In Hydra's grammar, interpolations as they are written."""
    option: str | None
    """The option that it counts with; None is always."""


@lru_cache
def default_options() -> Mapping[str, str]:
    """Each group's option in the default config, in the order of `conf/config.yaml`."""
    chosen = {}
    for entry in read_yaml(CONF / f"{CONFIG}.yaml")["defaults"]:
        if isinstance(entry, Mapping):
            (group, option), *_ = entry.items()
            if group in groups():
                chosen[group] = str(option)
    return chosen


@lru_cache
def documented_options(group: str) -> tuple[Option, ...]:
    """The options of a group, the default one first."""
    default = default_options().get(group)
    names = sorted(options(group), key=lambda name: name != default)
    return tuple(Option(name=name, comment=comment_of(group, name), own=_own(group, name)) for name in names)


def default_of(field: ConfigField) -> tuple[Any, str | None]:
    """A field's value in the default config, or else the dataclass's own; and the interpolation that it comes from."""
    path = field.path.split(".")
    value, written = (_at(_default_config(resolve=resolve), path) for resolve in (True, False))
    from_ = written if isinstance(written, str) and "${" in written else None
    return (field.default if value is MISSING else value), from_


@lru_cache
def searched_keys() -> tuple[SearchedKey, ...]:
    """The default space: `study.space`, and the `space` block of each option."""
    by_study = _default_config(resolve=False)["study"]["space"]
    found = [SearchedKey(key=key, sweep=str(text), option=None) for key, text in by_study.items() if text is not None]
    for group in TRIAL_GROUPS:
        for option in documented_options(group):
            block = compose([f"{group}={option.name}"], resolve=False)[group].get("space") or {}
            found += [SearchedKey(key=f"{group}.{key}", sweep=str(block[key]), option=option.name) for key in block]
    return tuple(found)


@lru_cache
def _default_config(*, resolve: bool) -> Mapping[str, Any]:
    return compose(resolve=resolve)


def comment_of(group: str, option: str) -> str:
    """The comment that an option's file begins with, on one line; empty for an option that is not of `conf/`."""
    file = CONF / group / f"{option}.yaml"
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    words = []
    for line in lines:
        if not line.startswith("#"):
            break
        if "@package" not in line:
            words.append(line.lstrip("# "))
    return " ".join(words)


def _own(group: str, option: str) -> dict[str, Any]:
    choice = f"{group}={option}" if group in default_options() else f"+{group}={option}"
    default = dict(_flat(_default_config(resolve=False)))
    chosen = dict(_flat(compose([choice], resolve=False)))
    return {
        path: value
        for path, value in chosen.items()
        if default.get(path, MISSING) != value and path != f"{group}.name" and not _is_space(path)
    }


def _is_space(path: str) -> bool:
    """Whether a key is in the search space of an option, which the fields' rows show."""
    group, _, rest = path.partition(".")
    return group in TRIAL_GROUPS and rest.startswith("space.")


def _flat(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted path to value."""
    for name, value in config.items():
        path = f"{prefix}{name}"
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{path}.")
        else:
            yield path, value


def _at(config: Any, path: list[str]) -> Any:
    for name in path:
        if not isinstance(config, Mapping) or name not in config:
            return MISSING
        config = config[name]
    return config
