"""A reading as an experiment file of ours: its setting is the first trial, and the space lies around it."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from foundation.config.compose import compose
from foundation.config.presets import searched
from foundation.errors import ConfigError
from sweeper.records.config import TRIAL_GROUPS, TrialPart, parse_part
from sweeper.search.recipes import recipes_in
from sweeper.search.space import plan
from sweeper.trainers.around import space_around
from sweeper.trainers.port import Settings
from sweeper.trainers.reading import Reading
from train.spec import AdapterSpec, TrialSpec

RECIPE: Final = "imported"
"""What the setting is called in `study.recipes`."""
_OPTIONS: Final = ("base", "adapter", "optimizer", "lr_scheduler")
_EVALUATIONS: Final = 8
"""About so many evaluations has a trial; the judge's own default is for short ones."""
_ROWS, _AT = 4, 1024
"""Rows that the denoiser takes at once while it draws, at this side; the judge's default is for small pictures."""
_INTERPOLATION: Final = re.compile(r"(\\*)\$\{")
_PLACEHOLDER: Final = "data.path=pictures"


@dataclass(frozen=True, kw_only=True, slots=True)
class Experiment:
    """An experiment file."""

    text: str
    """Its YAML."""
    trial: TrialSpec
    """The first trial."""
    space: Mapping[str, str | None]
    """What is searched."""


def experiment_of(reading: Reading, name: str, source: str) -> Experiment:
    """Return the experiment file that a reading makes; `source` says in a line where that comes from.

    Raises:
        ConfigError: a line for each value that our own checks refuse.
    """
    settings = {path: value for path, value in reading.settings.items() if path not in ("base", "data.path") or value}
    parts, problems = _parts(settings)
    if problems:
        raise ConfigError(problems)
    adapter = parts["adapter"]
    assert isinstance(adapter, AdapterSpec)
    space = space_around(settings, adapter)
    content = _literal(_content(settings, space, name))
    text = f"# @package _global_\n# {source}\n{yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=118)}"
    return Experiment(text=text, trial=_first_trial(text, settings), space=space)


def parts_of(settings: Settings) -> dict[str, Any]:
    """The config that settings make on the defaults, group by group, as plain values."""
    options = [f"{group}={settings[group]}" for group in _OPTIONS if group in settings]
    config = compose([*options, "data=folder"])
    for path, value in settings.items():
        if "." in path:
            _put(config, path.split("."), value)
    return config


def _parts(settings: Settings) -> tuple[dict[str, TrialPart], list[str]]:
    config, parts, problems = parts_of(settings), dict[str, TrialPart](), list[str]()
    for group in TRIAL_GROUPS:
        try:
            parts[group] = parse_part(group, config[group])
        except ConfigError as error:
            problems += error.problems
    return parts, problems


def _content(settings: Settings, space: Mapping[str, str | None], name: str) -> dict[str, Any]:
    defaults = [{f"override /{group}": settings[group]} for group in _OPTIONS if group in settings]
    content: dict[str, Any] = {"defaults": [*defaults, {"override /data": "folder"}]}
    for path, value in settings.items():
        if "." in path:
            _put(content, path.split("."), value)
    steps = settings.get("train.steps")
    if steps:
        _put(content, ["eval", "every"], max(1, round(steps / _EVALUATIONS)))
    most = compose()["eval"]["batch_rows"]
    rows = round(_ROWS * (_AT / settings["base.resolution"]) ** 2)
    _put(content, ["eval", "batch_rows"], min(most, max(2, rows)))
    ours = list(compose()["study"]["recipes"])
    recipe = {path: settings[path] for path, sweep in space.items() if sweep and path in settings}
    content["study"] = {
        "name": name,
        "probe": "never",  # it would move the rates away from theirs
        "recipes": {**dict.fromkeys(ours), RECIPE: {"optimizer": settings["optimizer"], **recipe}},
        "space": dict(space),
    }
    return content


def _literal(value: Any) -> Any:
    """The same with all texts as they are: OmegaConf would put something in the place of `${…}`, such as a secret."""
    if isinstance(value, dict):
        return {key: _literal(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_literal(each) for each in value]
    return _INTERPOLATION.sub(r"\1\1\\${", value) if isinstance(value, str) else value


def _put(into: dict[str, Any], path: list[str], value: Any) -> None:
    for part in path[:-1]:
        into = into.setdefault(part, {})
    into[path[-1]] = value


def _first_trial(text: str, settings: Settings) -> TrialSpec:
    """The trial that a study of this file begins with, as the search itself finds it."""
    with tempfile.TemporaryDirectory() as folder, _search_first(Path(folder)):
        file = Path(folder) / "experiment" / f"{RECIPE}.yaml"
        file.parent.mkdir()
        file.write_text(text, encoding="utf-8")
        found = plan([f"+experiment={RECIPE}", *([] if settings.get("data.path") else [_PLACEHOLDER])])
        recipes = recipes_in(found)
        assert len(recipes.first) == 1, recipes.notes
        return found.trial(recipes.first[0]).trial


@contextmanager
def _search_first(folder: Path) -> Iterator[None]:
    before = searched.folders
    searched.folders = (folder, *before)
    try:
        yield
    finally:
        searched.folders = before
