"""What earlier studies' trials say of a point, how far that is to be trusted, and how a sampler gets to know it.

Trust hangs on this study's own trials: how often the earlier ones tell which of two is better. So they shape the first
draws, and count for nothing where the pictures are others and want something else.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from optuna.trial import FrozenTrial, create_trial

from foundation.config.plain import text
from sweeper.search.dimension import Dimension, Numbers, Params, Space
from sweeper.search.sampling import distribution_of

MOST_KEPT: Final = 64
"""Trials of an earlier study that are kept, spread evenly from its best to its worst."""
MOST_SHOWN: Final = 10
"""Earlier trials that a sampler gets to see at once, of all studies together, where they are trusted in full."""
_LEAST: Final = 0.25
"""An earlier study that is trusted less has no turn."""
_PAIRS: Final = 4.0
"""Trust begins as if so many pairs of own trials had been told apart, …"""
_RIGHT: Final = 0.75
"""… with so many of them right."""
_REACH: Final = 0.2
"""Width of the kernel, of a dimension's range, for each dimension (times its root)."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Trials of one earlier study as points of this one's space, the best first."""

    study: str
    points: tuple[Params, ...]
    """A point may lack dimensions that the earlier study says nothing of."""

    @property
    def ranks(self) -> NDArray[np.float64]:
        """(N,) in (0, 1), higher for better."""
        count = len(self.points)
        return (count - np.arange(count) - 0.5) / count

    def spread(self, count: int) -> Evidence:
        """At most so many of its trials, from best to worst."""
        if len(self.points) <= count:
            return self
        places = np.linspace(0, len(self.points) - 1, count).round().astype(int)
        return Evidence(self.study, tuple(self.points[place] for place in places))

    def within(self, space: Space) -> Evidence:
        """Those of its trials that say something of every dimension."""
        return Evidence(self.study, tuple(point for point in self.points if space.within(point) is not None))

    def to_json(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {"study": self.study, "points": [dict(point) for point in self.points]}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Evidence:
        """Read what `to_json` returned."""
        return cls(text(values["study"]), tuple(dict(point) for point in values["points"]))


@dataclass(frozen=True, slots=True)
class Turn:
    """An earlier study's turn to say what is tried."""

    study: Evidence
    point: Params
    """What is tried; empty where a sampler draws by the study's trials."""


def trust(earlier: Evidence, own: Sequence[tuple[Params, float]], space: Space) -> float:
    """Return how far earlier trials are to be trusted, 0 to 1; `own` are this study's with their scores, up is better.

    The earlier ones predict each own trial's place by a kernel mean of their ranks. The share of pairs that they put in
    the right order, half of them by chance, is mapped to 0 … 1; before any pair it is ½.

    Source: the weights by ranking of Wistuba et al. 2016, doi:10.1007/978-3-319-46128-1_3, and Feurer et al. 2018,
    arXiv:1802.02219.
    """
    values = np.array([score for _, score in own])
    expected = np.array([_predict(earlier, point, space) for point, _ in own])
    upper = np.triu_indices(len(own), 1)
    actual = np.sign(values[upper[0]] - values[upper[1]])
    told = np.sign(expected[upper[0]] - expected[upper[1]])
    differ = actual != 0
    right = float(((1 + actual * told) / 2)[differ].sum())
    share = (right + _PAIRS * _RIGHT) / (int(differ.sum()) + _PAIRS)
    return max(0.0, 2 * share - 1)


def turn_of(earlier: Sequence[Evidence], own: Sequence[tuple[Params, float]], space: Space, place: int) -> Turn | None:
    """Return which earlier study a trial is drawn by that else would be drawn at random; None for at random still.

    `place` counts these trials; every other one is an earlier study's, each in its turn, as long as it is trusted: its
    best point first, then what a sampler makes of its trials. `own` are this study's, up is better, in `space`.
    """
    if place % 2:
        return None
    trusted = [each for each in earlier if trust(each, own, space) >= _LEAST]
    if not trusted:
        return None
    study = trusted[place // 2 % len(trusted)]
    whole = space.within(study.points[0])
    return Turn(study, whole if whole is not None and place // 2 < len(earlier) else {})


def shown_of(earlier: Sequence[Evidence], own: Sequence[tuple[Params, float]], space: Space) -> list[Evidence]:
    """Return as many trials of each earlier study as it is trusted; see `turn_of` for the arguments."""
    counts = [round(trust(each, own, space) * MOST_SHOWN / len(earlier)) for each in earlier]
    return [each.spread(count) for each, count in zip(earlier, counts, strict=True) if count]


def as_trials(
    shown: Sequence[Evidence], own: Sequence[tuple[Params, float]], space: Space, sign: int
) -> list[FrozenTrial]:
    """Return earlier trials as a sampler is to see them, with values of this study, whose scores have the `sign`.

    `own` are its trials, up is better, in `space`. An earlier trial's value is the quantile of the own ones at its
    rank: whatever it scored on its own pictures, it is never better than the best here.
    """
    scores = [score for _, score in own]
    found: list[FrozenTrial] = []
    for each in shown:
        for point, rank in zip(each.points, each.ranks, strict=True):
            value = float(np.quantile(scores, rank)) if scores else float(rank)
            kinds = {dim.name: distribution_of(dim) for dim in space.dimensions if dim.name in point}
            found.append(create_trial(params=point, distributions=kinds, value=sign * value))
    return found


def _predict(earlier: Evidence, point: Params, space: Space) -> float:
    """The mean rank of earlier trials, by how near they are to the point."""
    shared = [_distances(each, point, earlier.points) for each in space.dimensions if each.name in point]
    squared = np.sum([distance**2 for distance in shared], axis=0) if shared else np.zeros(len(earlier.points))
    nearness = np.exp(-(squared - squared.min()) / (2 * _REACH**2 * max(1, len(shared))))
    return float((nearness * earlier.ranks).sum() / nearness.sum())


def _distances(dimension: Dimension, point: Params, others: Sequence[Params]) -> NDArray[np.float64]:
    """(N,) 0 to 1; 0 to a point that lacks the dimension: one that counts with another option is far by that."""
    own, found = _place(dimension, point), []
    for other in others:
        if dimension.name not in other:
            found.append(0.0)
        elif own is None:
            found.append(float(other[dimension.name] != point[dimension.name]))
        else:
            found.append(abs(own - (_place(dimension, other) or 0.0)))
    return np.array(found)


def _place(dimension: Dimension, point: Params) -> float | None:
    """Where in its range a number lies, 0 to 1; None for other choices."""
    domain, value = dimension.domain, point[dimension.name]
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(domain, Numbers):
        into = math.log if domain.log else float
        width = into(domain.high) - into(domain.low)
        return (into(value) - into(domain.low)) / width if width else 0.0
    numbers = sorted(each for each in domain.of if isinstance(each, int | float) and not isinstance(each, bool))
    return numbers.index(value) / max(1, len(numbers) - 1) if len(numbers) == len(domain.of) else None
