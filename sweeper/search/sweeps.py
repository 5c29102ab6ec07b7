"""One sweep of Hydra's grammar as the values that it stands for."""

from __future__ import annotations

from hydra.core.override_parser.types import (
    ChoiceSweep,
    Glob,
    IntervalSweep,
    Override,
    ParsedElementType,
    RangeSweep,
    Transformer,
)

from foundation.config.compose import options
from sweeper.search.dimension import Choices, Numbers, Value


def domain_of(override: Override) -> Choices | Numbers:
    """Return the values of a sweep.

    Raises:
        ValueError: with the reason why it is refused.
    """
    value = override.value()
    if isinstance(value, Glob):
        if "." in override.key_or_group:
            raise ValueError("glob is for the options of a group; write the choice out")
        return Choices.among(value.filter(list(options(override.key_or_group))))
    if isinstance(value, ChoiceSweep | RangeSweep):
        if value.shuffle:
            raise ValueError("shuffle has no meaning here, the sampler decides on the order; leave it out")
        if value.tags:
            raise ValueError("tags are for intervals: tag(log, interval(low,high)), tag(int, interval(low,high))")
    if isinstance(value, ChoiceSweep):
        return Choices.among([_plain(each) for each in value.list])
    if isinstance(value, RangeSweep):
        assert value.start is not None and value.stop is not None
        return Numbers.within_range(value.start, value.stop, value.step)
    assert isinstance(value, IntervalSweep) and value.start is not None and value.end is not None
    return Numbers.within_interval(value.start, value.end, value.tags)


def _plain(element: ParsedElementType) -> Value:
    """A choice's element as Optuna can hold it: what is no number, truth value or null as Hydra's text."""
    return element if element is None or isinstance(element, bool | int | float) else str(Transformer.str(element))
