"""Reads what earlier studies have to say in this one's space: their trials, in its words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from optuna.trial import FrozenTrial, TrialState

from foundation.config.home import at_home
from foundation.errors import StudyError
from sweeper.records.config import default_fields
from sweeper.search.database import past_study, score_of
from sweeper.search.dimension import Dimension, Numbers, Params, Value
from sweeper.search.evidence import MOST_KEPT, Evidence
from sweeper.search.narrowing import differences
from sweeper.search.server import Server
from sweeper.search.space import Plan
from train.spec.layer_lr import LAYER_LR, layer_lr

SETTING: Final = "study.learn_from"
_BASE: Final = ("base.name", "base.path", "base.resolution")
_OF_SCALE: Final = {"rank": int, "alpha_ratio": float, "rslora": lambda text: str(text) in ("True", "true")}
"""Fields of an adapter by which its layers feel a learning rate."""
_UNKNOWN: Final = object()


@dataclass(frozen=True, slots=True)
class Earlier:
    """What the studies of `study.learn_from` say."""

    evidence: tuple[Evidence, ...]
    notes: tuple[str, ...]
    """A line for each on what it tells, or why it is left out, and where it was run otherwise."""


def read_earlier(request: Plan, database: str, server: Server | None = None) -> Earlier:
    """Read the trials of `study.learn_from` as points of the plan's space; `database` is what such files are called.

    Those that are named without a folder are on the `server` where this study is on one.

    A trial with a value that this space does not hold is left out; of what a study did not search, its fixed value
    counts. Pruned trials come behind all finished ones; failed ones say nothing.

    Raises:
        StudyError: one of them is the study itself, or not there.
    """
    evidence, notes = [], []
    for name in request.config.study.learn_from:
        folder = Path(name) if len(Path(name).parts) > 1 else Path(request.config.study.folder) / name
        if folder.resolve() == (Path(request.config.study.folder) / request.config.study.name).resolve():
            raise StudyError(f"{SETTING} names the study itself; leave {name} out, or give this one another study.name")
        place = server if server and len(Path(name).parts) == 1 else folder.parent / database
        found_config, trials = past_study(folder.name, place, SETTING)
        config = {**default_fields(), **found_config}  # an older program did without what is new
        if other := [key for key in _BASE if _at(config, key) != _at(request.config.fingerprint(), key)]:
            now = request.config.fingerprint()
            notes.append(
                f"{SETTING}: study {name} is left out, its base is another one: "
                + ", ".join(f"{key}={config.get(key)}, here {now[key]}" for key in other)
            )
            continue
        found, line = _evidence(name, config, trials, request)
        notes += [line, *(_otherwise(name, config, request) if found else ())]
        evidence += [found] if found else []
    return Earlier(tuple(evidence), tuple(notes))


def _evidence(
    name: str, config: Mapping[str, str], trials: Sequence[FrozenTrial], request: Plan
) -> tuple[Evidence | None, str]:
    """What a study says, and a line on it."""
    sign = -1 if config.get("study.direction", "maximize") == "minimize" else 1
    scored = [(each, score) for each in trials if _tells(each) and (score := score_of(each)) is not None]
    scored.sort(key=lambda pair: (pair[0].state != TrialState.COMPLETE, -sign * pair[1], pair[0].number))
    points = [point for each, _ in scored if (point := _point(each.params, config, request))]
    running = sum(each.state == TrialState.RUNNING for each in trials)
    more = f"; {running} that had not ended say nothing yet" if running else ""
    if not scored:
        return None, f"{SETTING}: study {name} is left out, it has no trial with a score{more}"
    if not points:
        why = f"none of its {len(scored)} trials lies in this space"
        return None, f"{SETTING}: study {name} is left out, {why}{more}"
    outside = len(scored) - len(points)
    lies = f", {outside} more lie outside of this space" if outside else ""
    words = f"{SETTING}: {len(points)} trials of study {name} shape the first draws{lies}{more}"
    return Evidence(name, tuple(points)).spread(MOST_KEPT), words


def _otherwise(name: str, config: Mapping[str, str], request: Plan) -> list[str]:
    searched = {dimension.key for dimension in request.space.dimensions}
    return differences(name, config, request.config.fingerprint(), searched)


def _tells(trial: FrozenTrial) -> bool:
    return trial.state in (TrialState.COMPLETE, TrialState.PRUNED)


def _at(config: Mapping[str, str], key: str) -> str:
    return at_home(config.get(key, ""))


def _point(params: Params, config: Mapping[str, str], request: Plan) -> Params | None:
    """A trial in this space, without what is unknown of it; None where it is outside."""
    settings = {_path(name): value for name, value in params.items()}
    point: Params = {}
    for dimension in request.space.dimensions:
        if not dimension.counts(point):
            continue
        value = _value(dimension, settings, config, request)
        if value is _UNKNOWN:
            continue
        if not dimension.domain.holds(value):  # type: ignore[arg-type]
            return None
        point[dimension.name] = value  # type: ignore[assignment]
    return point


def _path(name: str) -> str:
    """`optimizer.lr` of what the search knows as `optimizer=lion:lr`."""
    option, colon, field = name.partition(":")
    return f"{option.partition('=')[0]}.{field}" if colon else name


def _value(
    dimension: Dimension, settings: Mapping[str, Value], config: Mapping[str, str], request: Plan
) -> Value | object:
    """What a trial had there, in the dimension's own kind of value; _UNKNOWN where nothing tells."""
    key = dimension.key.lstrip("+")
    if not dimension.is_of_layers:
        return _as_type(dimension, _setting(key, settings, config))
    of_layers = _setting(f"{dimension.group}.{LAYER_LR}", settings, {})
    if of_layers is not _UNKNOWN:
        return of_layers
    raw = _setting(key, settings, config)
    known = {name: read(found) for name, read, found in _scales(settings, config) if found is not _UNKNOWN}
    try:
        return layer_lr(float(raw), replace(request.config.adapter, **known))  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return _UNKNOWN


def _scales(settings: Mapping[str, Value], config: Mapping[str, str]) -> Iterator[tuple[str, type, Value | object]]:
    for name, read in _OF_SCALE.items():
        yield name, read, _setting(f"adapter.{name}", settings, config)  # type: ignore[misc]


def _setting(key: str, settings: Mapping[str, Value], config: Mapping[str, str]) -> Value | object:
    """What was searched, else what was fixed; of an option that was searched only the first is in the config."""
    if key in settings:
        return settings[key]
    group = key.partition(".")[0]
    if group in settings and str(settings[group]) != config.get(f"{group}.name"):
        return _UNKNOWN
    if key == "data.resolution" and config.get(key) == "None":
        return config["base.resolution"]
    return config.get(key, config.get(f"{key}.name", _UNKNOWN))


def _as_type(dimension: Dimension, value: Value | object) -> Value | object:
    """A config's text as the dimension's own value; what was searched is one."""
    domain = dimension.domain
    if isinstance(domain, Numbers):
        try:
            number = float(str(value))
        except ValueError:
            return _UNKNOWN
        return round(number) if domain.integer else number
    return next((each for each in domain.of if each == value or str(each) == str(value)), value)
