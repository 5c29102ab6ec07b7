"""What a study may make better: the judge's numbers, each with its direction."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Final, Literal

from eval.evaluation import Evaluation, value_of
from eval.metrics.registry import METRICS, Direction, check_chosen
from foundation.config.installed import NameIn
from foundation.errors import ConfigError

if TYPE_CHECKING:
    Objective = str
else:
    Objective = Literal["score"] | Annotated[str, NameIn(METRICS, counts=lambda metric: metric.direction is not None)]

UNMEASURED: Final = 1e6
"""Stands in, with the sign that is worse, for what a checkpoint does not have: no metric is ever as bad."""


def direction_of(name: Objective) -> Direction:
    """Which way a metric is better; the score's own way is `study.direction`.

    Raises:
        ConfigError: neither way is, or it is a package's that cannot be loaded.
    """
    direction = METRICS[name].direction
    if direction is None:  # of ours such names are not taken
        raise ConfigError([f"study.objectives: {METRICS.origin(name)} says no direction, so it can be no objective"])
    return direction


def of_packages(objectives: Sequence[Objective]) -> tuple[str, ...]:
    """Those that are metrics of other packages: being objectives, they are chosen.

    Raises:
        ConfigError: one of them cannot be measured.
    """
    names = tuple(name for name in objectives if name != "score" and name not in METRICS.built_in)
    check_chosen(names)
    return names


def raw_values(evaluation: Evaluation, objectives: Sequence[Objective]) -> dict[str, float]:
    """The objectives' values by name as they were judged; NaN for what was not measured."""
    known = {**evaluation.metrics, "score": evaluation.score}
    return {name: known.get(name, math.nan) for name in objectives}


def values_of(evaluation: Evaluation, objectives: Sequence[Objective]) -> tuple[float, ...]:
    """The objectives' values as the search takes them, always finite."""
    raw = raw_values(evaluation, objectives)
    return tuple(value_of(evaluation) if name == "score" else _finite(raw[name], name) for name in objectives)


def _finite(value: float, name: Objective) -> float:
    if math.isfinite(value):
        return value
    return -UNMEASURED if direction_of(name) == "maximize" else UNMEASURED
