"""A search space as plain data: which values each hyperparameter may take, and when it counts."""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

Value = None | bool | int | float | str
"""One value of a hyperparameter; a string is Hydra's text for it, so lists and quoted strings come through whole."""

Params = dict[str, Value]
"""One trial's parameters by dimension name."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Choices:
    """Any of several values."""

    of: tuple[Value, ...]
    """The values, all different."""

    @classmethod
    def among(cls, values: Sequence[Value]) -> Choices:
        """Any of `values`.

        Raises:
            ValueError: when there are none, one is not finite, or Optuna could not tell two apart (1, 1.0 and true).
        """
        if not values:
            raise ValueError("there is nothing to choose from")
        for value in values:
            if isinstance(value, float) and not math.isfinite(value):
                raise ValueError(f"{value} is not finite")
        for one, other in itertools.combinations(values, 2):
            if one == other:
                raise ValueError(f"{text_of(one)} and {text_of(other)} are the same; list each value once")
        return cls(of=tuple(values))

    def __str__(self) -> str:
        return f"choice({', '.join(text_of(value) for value in self.of)})"

    def values(self) -> tuple[Value, ...]:
        """Every value."""
        return self.of

    def corners(self) -> tuple[Value, ...]:
        """The values that show whether all are legal: here each one."""
        return self.of

    def holds(self, value: Value) -> bool:
        """Whether it may be taken."""
        return value in self.of


@dataclass(frozen=True, kw_only=True, slots=True)
class Numbers:
    """Numbers from `low` to `high`, both included."""

    low: int | float
    """The smallest."""
    high: int | float
    """The largest."""
    step: int | float | None = None
    """Distance of neighbours, `high` being one of them; None is continuous."""
    log: bool = False
    """Whether they are drawn evenly in their logarithm."""
    layer: bool = False
    """Whether they are learning rates as the adapted layers feel them (`train.spec.layer_lr`)."""

    @classmethod
    def within_range(cls, start: float, stop: float, step: float) -> Numbers:
        """start, start + step, … without `stop`, as Hydra's grid counts; decimal fractions are counted exactly.

        Raises:
            ValueError: when that is no number, or endlessly many.
        """
        first, last, stride = (Decimal(str(number)) for number in (start, stop, step))
        if not all(number.is_finite() for number in (first, last, stride)) or stride == 0:
            raise ValueError(f"a range needs finite numbers and a step that is not 0, got {start}, {stop}, {step}")
        count = math.ceil((last - first) / stride)
        if count < 1:
            raise ValueError(f"the range from {start} to {stop} in steps of {step} is empty (its end is left out)")
        ends = sorted((first, first + (count - 1) * stride))
        number = int if all(isinstance(each, int) for each in (start, stop, step)) else float
        return cls(low=number(ends[0]), high=number(ends[1]), step=number(abs(stride)))

    @classmethod
    def within_interval(cls, low: float, high: float, tags: Collection[str]) -> Numbers:
        """Numbers from `low` to `high`; the tag `int` makes them whole, `log` spreads them evenly in the logarithm.

        The tag `layer` makes them learning rates as layers feel them.

        Raises:
            ValueError: when there are none, or a tag is unknown or does not fit.
        """
        unknown = sorted(set(tags) - {"log", "int", "layer"})
        if unknown:
            raise ValueError(f"the tags of an interval are log, int and layer, got {', '.join(unknown)}")
        if not (math.isfinite(low) and math.isfinite(high) and low <= high):
            raise ValueError(f"an interval goes from a finite low to a finite high, got {low} to {high}")
        log = "log" in tags
        if log and low <= 0:
            raise ValueError(f"an interval that is even in the logarithm starts above 0, got {low}")
        if "layer" in tags:
            if "int" in tags or low <= 0:
                raise ValueError(f"learning rates of layers are no whole numbers and above 0, got {low} to {high}")
            return cls(low=float(low), high=float(high), log=log, layer=True)
        if "int" not in tags and not (isinstance(low, int) and isinstance(high, int)):
            return cls(low=float(low), high=float(high), log=log)
        if low != int(low) or high != int(high):
            raise ValueError(f"the ends of an interval of whole numbers are whole, got {low} to {high}")
        return cls(low=int(low), high=int(high), step=1, log=log)

    def __str__(self) -> str:
        tags = f"{'of layers, ' if self.layer else ''}{'log, ' if self.log else ''}"
        step = "" if self.step is None else f", step {self.step}"
        return f"{tags}{self.low} to {self.high}{step}"

    @property
    def integer(self) -> bool:
        """Whether they are whole numbers."""
        return isinstance(self.low, int)

    def values(self) -> tuple[Value, ...] | None:
        """Every value; None when they are continuous."""
        if self.low == self.high:
            return (self.low,)
        if self.step is None:
            return None
        count = round((self.high - self.low) / self.step) + 1
        return tuple(self.round_to_step(self.low + i * self.step) for i in range(count))

    def corners(self) -> tuple[Value, ...]:
        """The values that show whether all are legal: both ends."""
        return (self.low,) if self.low == self.high else (self.low, self.high)

    def holds(self, value: Value) -> bool:
        """Whether it may be taken; a step is not looked at."""
        return isinstance(value, int | float) and self.low <= value <= self.high

    def round_to_step(self, value: float) -> int | float:
        """`value` without what binary fractions add to a decimal step: 0.30000000000000004 is 0.3."""
        return float(f"{value:.12g}") if self.step is not None and not self.integer else value


@dataclass(frozen=True, kw_only=True, slots=True)
class Dimension:
    """A hyperparameter that is searched."""

    name: str
    """Its name in Optuna: `adapter.rank`, or `optimizer=lion:weight_decay` where it counts only for one option of a
    group; a learning rate of layers is another number than the rate that it sets, `optimizer=lion:layer_lr`."""
    key: str
    """What Hydra's override sets, with a `+` if it has one: `adapter.rank`, `optimizer`, `+optimizer.settings.eps`."""
    domain: Choices | Numbers
    """The values it may take."""
    condition: tuple[str, Value] | None = None
    """The dimension, a group as a rule, and the value that it must have; None counts always."""

    def __str__(self) -> str:
        return f"{self.name}: {self.domain}"

    @property
    def is_of_layers(self) -> bool:
        """Whether it is a learning rate as the adapted layers feel it."""
        return isinstance(self.domain, Numbers) and self.domain.layer

    @property
    def group(self) -> str:
        """The config group that it is of."""
        return self.key.lstrip("+").partition(".")[0]

    def counts(self, params: Mapping[str, Value]) -> bool:
        """Whether it counts in a trial with these other parameters."""
        return self.condition is None or params.get(self.condition[0]) == self.condition[1]

    def nearest(self, value: Value) -> Value:
        """The value itself, or the end of the range that is nearest to it."""
        if isinstance(self.domain, Choices) or not isinstance(value, int | float):
            return value
        return min(max(value, self.domain.low), self.domain.high)

    def override(self, value: Value) -> str:
        """The Hydra override that sets it to `value`."""
        if isinstance(self.domain, Numbers) and isinstance(value, int | float):
            value = self.domain.round_to_step(value)
        return f"{self.key}={text_of(value)}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Space:
    """The dimensions of a search."""

    dimensions: tuple[Dimension, ...]
    """In the order in which they are drawn: those that others depend on come before them."""

    def counting(self, params: Mapping[str, Value]) -> list[Dimension]:
        """The dimensions that count in a trial with these parameters."""
        return [each for each in self.dimensions if each.counts(params)]

    def overrides(self, params: Mapping[str, Value]) -> list[str]:
        """Return one trial's parameters, by dimension name, as Hydra overrides."""
        return [each.override(params[each.name]) for each in self.counting(params)]

    def within(self, params: Params) -> Params | None:
        """What of another space's `params` is a point of this one; None when a value is missing or outside."""
        counting = self.counting(params)
        if any(each.name not in params or not each.domain.holds(params[each.name]) for each in counting):
            return None
        return {each.name: params[each.name] for each in counting}

    def largest(self, key: str, fixed: int) -> int:
        """The largest value of a dimension of whole numbers, whatever it depends on; `fixed` where there is none."""
        corners = [value for each in self.dimensions if each.key == key for value in each.domain.corners()]
        return max((value for value in corners if isinstance(value, int)), default=fixed)

    def with_ranges(self, ranges: Mapping[str, tuple[float, float]]) -> Space:
        """The same with other ends of these ranges, by dimension name."""
        return Space(dimensions=tuple(_with_ends(each, ranges.get(each.name)) for each in self.dimensions))

    def is_finite(self) -> bool:
        """Whether all its points can be listed."""
        return all(each.domain.values() is not None for each in self.dimensions)

    def num_points(self, *, at_most: int) -> int:
        """How many different trials there can be, counted up to `at_most`."""
        return sum(1 for _ in itertools.islice(self.points(), at_most)) if self.is_finite() else at_most

    def points(self) -> Iterator[dict[str, Value]]:
        """Every combination of a finite space, without the dimensions that do not count in it."""
        return _points(self.dimensions, {})

    def fingerprint(self) -> dict[str, str]:
        """Dimension name to values: equal for equal spaces."""
        return {each.name: str(each.domain) for each in self.dimensions}


def _with_ends(dimension: Dimension, ends: tuple[float, float] | None) -> Dimension:
    if ends is None or not isinstance(dimension.domain, Numbers):
        return dimension
    return replace(dimension, domain=replace(dimension.domain, low=ends[0], high=ends[1]))


def _points(dimensions: tuple[Dimension, ...], params: dict[str, Value]) -> Iterator[dict[str, Value]]:
    if not dimensions:
        yield params
        return
    first, *rest = dimensions
    values = first.domain.values()
    if values is None:
        raise ValueError(f"{first.name} is continuous")
    for extended in [{**params, first.name: value} for value in values] if first.counts(params) else [params]:
        yield from _points(tuple(rest), extended)


def text_of(value: Value) -> str:
    """A value as Hydra's grammar reads it."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)
