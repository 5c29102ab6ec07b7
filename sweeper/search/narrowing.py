"""A smaller space around what worked in an earlier study."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Final

from foundation.errors import StudyError
from sweeper.search.dimension import Choices, Dimension, Numbers, Params, Space, Value

SHARE: Final = 0.25
"""So much of the earlier study's finished trials counts as what worked, …"""
LEAST_TRIALS: Final = 3
"""… but at least so many."""
RANGE_MARGIN: Final = 0.25
"""A range keeps so much of its old width on each side of what worked."""

_MATTERS: Final = {
    "train.steps": "learning rates that were best there may be too high for more steps, too low for fewer",
    "train.epochs": "learning rates that were best there may be too high for more steps, too low for fewer",
    "train.batch_size": "learning rates that were best there may be too low for larger batches, too high for smaller",
    "base.name": "what was best on one base may not be on another",
    "data.kind": "what was best for one kind of pictures may not be for another",
}
"""What decides on which learning rate is best, and how."""


def narrow(space: Space, ranking: Sequence[Params]) -> tuple[Space, list[Params]]:
    """Return the space around the best of `ranking` (finished trials' parameters, best first), and those best to try.

    A range shrinks to where the best lie, with a margin; a choice among numbers to the stretch they span, with a
    neighbour on each side; any other choice to what occurs among them. What none of them tells of stays as it is,
    unless it counts only for an option that is gone. To try are those of the best that lie in the new space.

    Raises:
        StudyError: none of the trials shares a hyperparameter with the space.
    """
    best = ranking[: max(LEAST_TRIALS, math.ceil(SHARE * len(ranking)))]
    known = {name for params in best for name in params}
    if not known & {dimension.name for dimension in space.dimensions}:
        raise StudyError("study.narrow_from names a study that searched nothing of what this one searches")
    kept: list[Dimension] = []
    for dimension in space.dimensions:
        if dimension.condition is not None and not _is_offered(dimension.condition, kept):
            continue
        seen = [params[dimension.name] for params in best if dimension.name in params]
        kept.append(replace(dimension, domain=_around(dimension.domain, seen)))
    smaller = Space(dimensions=tuple(kept))
    return smaller, [params for params in map(smaller.within, best) if params]


def changes(before: Space, after: Space, first: int) -> str:
    """Say what of the space `before` was narrowed, from what to what; `first` of the earlier trials come first."""
    was, now = before.fingerprint(), after.fingerprint()
    parts = [f"{name} from {was[name]} to {now[name]}" for name in was if name in now and now[name] != was[name]]
    parts += [f"{name} is gone with its option" for name in was if name not in now]
    tried = f"; {first} of the best are tried first" if first else ""
    return f"narrowed: {'; '.join(parts) or 'nothing, the best lie all over the space'}{tried}"


def differences(name: str, before: Mapping[str, str], now: Mapping[str, str], searched: Collection[str]) -> list[str]:
    """Say where the earlier study `name` was run otherwise, so that what was best there may not be best here.

    `before` and `now` are dotted names to values; what is `searched` now is not compared.
    """
    lines = []
    for key, consequence in _MATTERS.items():
        if key not in searched and key in before and key in now and before[key] != now[key]:
            lines.append(f"study {name} had {key}={before[key]}, this one has {now[key]}: {consequence}")
    return lines


def _is_offered(condition: tuple[str, Value], dimensions: Sequence[Dimension]) -> bool:
    """Whether the value can still be chosen; a group that is not searched has the option that it has."""
    name, value = condition
    chooser = next((each for each in dimensions if each.name == name), None)
    return chooser is None or value in (chooser.domain.values() or ())


def _around(domain: Choices | Numbers, seen: Sequence[Value]) -> Choices | Numbers:
    if isinstance(domain, Numbers):
        return _range_around(domain, [float(value) for value in seen if isinstance(value, int | float)])
    places = sorted({domain.of.index(value) for value in seen if value in domain.of})
    if not places:
        return domain
    if all(_is_number(value) for value in domain.of) and list(domain.of) == sorted(domain.of):  # type: ignore[type-var]
        return Choices(of=domain.of[max(0, places[0] - 1) : places[-1] + 2])
    return Choices(of=tuple(domain.of[place] for place in places))


def _range_around(domain: Numbers, seen: Sequence[float]) -> Numbers:
    seen = [value for value in seen if domain.low <= value <= domain.high]
    if not seen:
        return domain
    into, back = (math.log, math.exp) if domain.log else (float, float)
    margin = RANGE_MARGIN * (into(domain.high) - into(domain.low))
    low = max(domain.low, back(into(min(seen)) - margin))
    high = min(domain.high, back(into(max(seen)) + margin))
    if domain.step is None:
        return replace(domain, low=float(f"{low:.4g}"), high=float(f"{high:.4g}"))
    first = math.floor((low - domain.low) / domain.step)
    last = math.ceil((high - domain.low) / domain.step)
    low, high = (domain.round_to_step(domain.low + number * domain.step) for number in (first, last))
    return replace(domain, low=low, high=high)


def _is_number(value: Value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
