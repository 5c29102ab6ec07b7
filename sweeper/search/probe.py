"""Where a study's learning rates are to lie: ladders of short trainings, and what their validation losses say.

A range of learning rates is a guess about a base, a set of pictures, a batch and a number of steps. Before the first
trial a few short trainings side by side, alike but for their rates, show which of them learns most; the range is moved
there, as wide as it was. Nothing here trains: `ladders` says what to train, `finding_of` what came of it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import torch

from eval.metrics.losses import paired_log_t
from sweeper.records.study_spec import StudySpec
from sweeper.search.dimension import Choices, Dimension, Numbers, Params, Space, Value

SHARE: Final = 0.1
"""Of a study's steps, that all ladders together may take."""
RUNGS: Final = 6
LEAST_STEPS: Final = 20
"""A training of fewer steps tells nothing of one of many."""
_LEAST_ALWAYS: Final = 10
"""What a study gets that wants a probe though it is short."""
_BEYOND: Final = 3.0
"""The ladder begins so many times below the range, and ends as many times above it."""
_SURE: Final = 2.0
"""Student's t of the held-out pictures from which a loss is surely lower than the base's."""
_FALL: Final = 0.4
"""The best rate for s steps goes as s to minus this, on the embedded base: docs/search.md."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ladder:
    """Trainings that differ by one learning rate."""

    dimension: Dimension
    """The rates that are searched."""
    rates: tuple[float, ...]
    """From low to high, evenly in the logarithm."""
    points: tuple[Params, ...]
    """The parameters of each training."""
    steps: int
    """Of each."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """What a ladder says of its range."""

    name: str
    """Of its dimension."""
    low: float
    high: float
    """The range to draw from."""
    words: str
    """Which rate learned most, and what follows, in one line."""


def ladders(space: Space, study: StudySpec, num_steps: int, known: Sequence[Params]) -> list[Ladder]:
    """Return a ladder for each range of learning rates in the space; none where the study is too short for them.

    None, too, where another study has told the range, or a grid is walked.

    A trial has `num_steps`. All else is as in the first of the `known` points of the same optimizer, or in the middle
    of what is searched.
    """
    searched = [each for each in space.dimensions if _is_range_of_rates(each)]
    if study.probe == "never" or study.sampler == "grid" or study.narrow_from or study.learn_from or not searched:
        return []
    steps = int(SHARE * study.num_trials * num_steps / (RUNGS * len(searched)))
    steps = min(steps, num_steps // 2)
    if study.probe == "auto" and steps < LEAST_STEPS:
        return []
    steps = max(steps, min(_LEAST_ALWAYS, num_steps))
    return [_ladder(each, space, steps, known) for each in searched]


def finding_of(ladder: Ladder, losses: Sequence[Sequence[float]], base: Sequence[float], num_steps: int) -> Finding:
    """Return where the ladder's range should lie for trainings of `num_steps`.

    `losses` are those of each rate by held-out picture, from low to high, none of a training that could not go on;
    `base` are the base's own.
    """
    domain = ladder.dimension.domain
    assert isinstance(domain, Numbers)
    learning = [place for place, own in enumerate(losses) if own and _t(own, base) <= -_SURE]
    stay = Finding(name=ladder.dimension.name, low=float(domain.low), high=float(domain.high), words="")
    name = ladder.dimension.name.partition(":")[0]
    if not learning:
        said = f"no rate from {ladder.rates[0]:.2g} to {ladder.rates[-1]:.2g} lowers the validation loss surely"
        return replace(stay, words=f"probe of {name}: {said} in {ladder.steps} steps; the range stays {domain}")
    best = lowest(ladder.rates, losses)
    centre = best * (ladder.steps / num_steps) ** _FALL
    reach = math.sqrt(domain.high / domain.low)
    low, high = (float(f"{end:.3g}") for end in (centre / reach, centre * reach))
    words = (
        f"probe of {name}: in {ladder.steps} steps the rate {best:.2g} learns most of {ladder.rates[0]:.2g} to "
        f"{ladder.rates[-1]:.2g}, so trials of {num_steps} search {low:.2g} to {high:.2g}, not {domain.low:.2g} to "
        f"{domain.high:.2g}"
    )
    return Finding(name=ladder.dimension.name, low=low, high=high, words=words)


def _is_range_of_rates(dimension: Dimension) -> bool:
    domain = dimension.domain
    return dimension.key == "optimizer.lr" and isinstance(domain, Numbers) and domain.log and domain.high > domain.low


def _ladder(dimension: Dimension, space: Space, steps: int, known: Sequence[Params]) -> Ladder:
    domain = dimension.domain
    assert isinstance(domain, Numbers)
    low, high = math.log(domain.low / _BEYOND), math.log(domain.high * _BEYOND)
    rates = tuple(math.exp(low + (high - low) * place / (RUNGS - 1)) for place in range(RUNGS))
    alike = next((each for each in known if dimension.counts(each)), {})
    point: Params = {dimension.condition[0]: dimension.condition[1]} if dimension.condition else {}
    for each in space.dimensions:
        if each.name not in point and each.counts(point):
            point[each.name] = alike.get(each.name, _middle(each.domain))
    points = tuple({**point, dimension.name: float(f"{rate:.4g}")} for rate in rates)
    return Ladder(dimension=dimension, rates=rates, points=points, steps=steps)


def _middle(domain: Choices | Numbers) -> Value:
    if isinstance(domain, Choices):
        return domain.of[len(domain.of) // 2]
    if (values := domain.values()) is not None:
        return values[len(values) // 2]
    return math.sqrt(domain.low * domain.high) if domain.log else (domain.low + domain.high) / 2


def lowest(rates: Sequence[float], losses: Sequence[Sequence[float]]) -> float:
    """Return the rate of the lowest mean loss, of the parabola through it and its neighbours where it has both.

    `rates` lie evenly in the logarithm; `losses` of each are by held-out picture, none of one that could not go on.
    """
    means = [sum(own) / len(own) if own else math.inf for own in losses]
    place = min(range(len(means)), key=lambda each: means[each])
    around = means[max(0, place - 1) : place + 2]
    if len(around) < 3 or not all(map(math.isfinite, around)):
        return rates[place]
    before, here, after = around
    bend = before - 2 * here + after
    shift = 0.5 * (before - after) / bend if bend > 0 else 0.0
    return rates[place] * math.exp(shift * math.log(rates[1] / rates[0]))


def _t(own: Sequence[float], base: Sequence[float]) -> float:
    return paired_log_t(torch.tensor(own), torch.tensor(base))
