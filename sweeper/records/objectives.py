"""What a study may be asked to make better: the judge's numbers, each with its direction."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final, Literal

from eval.evaluation import Evaluation, value_of

Direction = Literal["maximize", "minimize"]
Metric = Literal[
    "style",
    "prompt_match",
    "prompt_kept",
    "copy_rate",
    "diversity",
    "drift",
    "val_ratio",
    "image_similarity",
    "cmmd",
    "kid",
    "fid",
]
Objective = Literal["score"] | Metric

DIRECTIONS: Final[Mapping[Metric, Direction]] = {
    "style": "maximize",
    "prompt_match": "maximize",
    "prompt_kept": "maximize",
    "copy_rate": "minimize",
    "diversity": "maximize",
    "drift": "minimize",
    "val_ratio": "minimize",
    "image_similarity": "maximize",
    "cmmd": "minimize",
    "kid": "minimize",
    "fid": "minimize",
}
"""Which way each is better; the score's own way is `study.direction`."""

UNMEASURED: Final = 1e6
"""Stands in, with the sign that is worse, for what a checkpoint does not have: no metric is ever as bad."""


def measured(evaluation: Evaluation, objectives: Sequence[Objective]) -> dict[str, float]:
    """The objectives' values by name as they were judged; NaN for what was not measured."""
    known = {**evaluation.metrics, "score": evaluation.score}
    return {name: known.get(name, math.nan) for name in objectives}


def values_of(evaluation: Evaluation, objectives: Sequence[Objective]) -> tuple[float, ...]:
    """The objectives' values as the search takes them, always finite."""
    raw = measured(evaluation, objectives)
    return tuple(value_of(evaluation) if name == "score" else _finite(raw[name], name) for name in objectives)


def _finite(value: float, name: Metric) -> float:
    if math.isfinite(value):
        return value
    return -UNMEASURED if DIRECTIONS[name] == "maximize" else UNMEASURED
