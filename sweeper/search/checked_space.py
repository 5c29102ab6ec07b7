"""Every value of a space, composed and parsed, so that what is wrong shows before anything starts."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeVar

from foundation.config.compose import compose
from foundation.config.parse import parse
from foundation.data.spec import DataSpec
from foundation.errors import ConfigError
from sweeper.records.config import TRIAL_GROUPS, Config, TrialPart, parse_config, parse_part, trial_config
from sweeper.search.dimension import Dimension, Space, Value
from train.spec import (
    AdapterSpec,
    OptimizerSpec,
    TrainingSpec,
    check_attention,
    check_installed,
    check_offload,
    check_quantized,
)

A = TypeVar("A")
T = TypeVar("T")

SWITCHES: Final = {
    "adapter.text_encoder_rank": "adapter.text_encoder",
    "optimizer.text_encoder_lr_ratio": "adapter.text_encoder",
}
"""Fields that count only where another one is true."""
_MAX_COMBINATIONS: Final = 10_000
"""Up to so many combinations are checked for what their parts are to each other; a trial's own is, when it is drawn."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Checker:
    """Composes and parses every value of a space; what is wrong goes to `problems`.

    Hydra takes a fifth of a second for each choice of options, so options are composed one by one (which the reader
    of the space has done, and `compose` remembers), and put together as parsed dataclasses, which costs nothing.
    """

    space: Space
    fixed: Sequence[str]
    problems: list[str]

    def check(self) -> tuple[Config | None, dict[str, list[TrialPart]]]:
        """Check all, and return the config with the first value of all that is searched, and all parts by group."""
        mapping = dict(compose(self.fixed))
        parts: dict[str, list[TrialPart]] = {group: [] for group in TRIAL_GROUPS}
        for group, found in parts.items():
            for number, row in enumerate(self._rows(group)):
                overrides = [each.override(row[each.name]) for each in self._within(group) if each.name in row]
                try:
                    values = compose([*self.fixed, *overrides])[group]
                    mapping[group] = mapping[group] if number else values
                    found.append(parse_part(group, values))
                except ConfigError as error:
                    self.problems.extend(error.problems)
        for optimizer in parts["optimizer"]:
            assert isinstance(optimizer, OptimizerSpec)
            self._note(check_installed, optimizer)
        for train in parts["train"]:
            assert isinstance(train, TrainingSpec)
            self._note(check_attention, train)
        for combination in itertools.islice(itertools.product(*parts.values()), _MAX_COMBINATIONS):
            self._note(trial_config, dict(zip(parts, combination, strict=True)))
        for number, row in enumerate(self._rows("data")):
            overrides = [each.override(row[each.name]) for each in self._within("data")]
            values = compose([*self.fixed, *overrides])["data"]
            mapping["data"] = mapping["data"] if number else values
            self._note(partial(parse, DataSpec, where="data"), values)
        config = self._note(parse_config, mapping)
        if config is not None:
            adapters = [each for each in parts["adapter"] if isinstance(each, AdapterSpec)]
            self._note(partial(check_quantized, config.base), adapters)
            self._note(partial(check_offload, config.base), config.train)
        return config, parts

    def _note(self, check: Callable[[A], T], of: A) -> T | None:
        """What the check returns, or its problems noted."""
        try:
            return check(of)
        except ConfigError as error:
            self.problems.extend(error.problems)
            return None

    def _within(self, group: str) -> list[Dimension]:
        return [each for each in self.space.dimensions if each.group == group]

    def _rows(self, group: str) -> Iterator[dict[str, Value]]:
        """Parameters of one group in which each option occurs, and each corner of the dimensions that count with it."""
        choosers = [each for each in self._within(group) if each.key == group]
        for option in choosers[0].domain.corners() if choosers else (None,):
            row: dict[str, Value] = {group: option} if choosers else {}
            all_on = {**row, **dict.fromkeys(SWITCHES.values(), True)}
            others = [each for each in self._within(group) if each.key != group and each.counts(all_on)]
            longest = max((len(each.domain.corners()) for each in others), default=1)
            for i in range(longest):
                corners = {each.name: each.domain.corners() for each in others}
                yield {**row, **{name: some[i % len(some)] for name, some in corners.items()}}
