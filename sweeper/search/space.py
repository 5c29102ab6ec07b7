"""What a study searches, read from the options' `space:` blocks, `study.space` and the command line.

Sweeps are written in Hydra's grammar and mean what they mean there:

    a=4,8,16   a=choice(4,8,16)        one of these
    a=range(1,3)                       1 and 2: the end is left out, as in Hydra's own grid
    a=interval(0.1,0.5)                any number between, both ends included
    a=tag(log,interval(1e-5,1e-3))     the same, evenly in the logarithm
    a=tag(int,interval(1,8))           whole numbers from 1 to 8; `tag(log,int,interval(1,64))` takes both
    lr=tag(log,layer,interval(3e-5,8e-4))  learning rates as layers feel them: each trial's own follows from its rank
                                       and alpha (`train.spec.layer_lr`)
    group=glob(*)                      every option of a config group, without presets (`adapter=ranks/r4`)

Later sources win: the block of a chosen option, then `study.space`, then the command line, where a sweep replaces or
adds a dimension and a plain value removes it (`optimizer.lr=1e-3` removes the learning rates of all options). So does
null in `study.space`, where an experiment searches something else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

from hydra.core.override_parser.types import Override

from foundation.config.compose import SWEEPS, compose, dotted_paths, groups, is_option, options, parse_overrides
from foundation.config.parse import did_you_mean, unknown_key
from foundation.data.spec import OF_TRIALS, why_shared
from foundation.errors import ConfigError
from sweeper.records.config import TRIAL_GROUPS, Config, parse_config
from sweeper.search.checked_space import SWITCHES, Checker
from sweeper.search.dimension import Choices, Dimension, Numbers, Space, Value
from sweeper.search.sweeps import domain_of
from train.spec import OF_THE_STUDY, ObjectiveSpec
from train.spec.layer_lr import LAYER_LR, lr_for_layers

_LR: Final = "optimizer.lr"
_DATA: Final = "data"
_WHY_SHARED: Final = {
    "base.resolution": "trials share what the base draws and validation loss, at this side; data.resolution can be",
}
__all__ = ["Plan", "Space", "domain_of", "plan"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """A study as its command has it, with everything in it checked."""

    config: Config
    """What all trials share; what is searched holds a first value. `study.num_trials` is at most the space's points."""
    space: Space
    """What is searched."""
    fixed: tuple[str, ...]
    """The plain overrides, which hold for every trial."""
    objectives: tuple[ObjectiveSpec, ...]
    """Those of trials, with each value that is searched or both ends of it."""

    def trial(self, params: Mapping[str, Value]) -> Config:
        """Return the config of the trial with these parameters.

        Raises:
            ConfigError: when values that are legal by themselves are not legal together.
        """
        config = parse_config(compose([*self.fixed, *self.space.overrides(params)]))
        if not any(each.is_of_layers for each in self.space.counting(params)):
            return config
        lr = lr_for_layers(config.optimizer.lr, config.adapter)  # until here it was what layers are to feel
        return replace(config, optimizer=replace(config.optimizer, lr=lr))


class Request(NamedTuple):
    """What overrides say, before values are checked."""

    fixed: list[str]
    """The plain ones that compose."""
    swept: list[Override]
    """The sweeps."""
    settled: set[str]
    """Keys that are not searched, whatever a `space:` block says."""
    config: dict[str, Any]
    """The config of the plain ones."""
    space: Space
    """What is searched."""


def plan(overrides: Sequence[str]) -> Plan:
    """Return the study that `overrides` ask for, every option and both ends of every range composed and parsed.

    Raises:
        ConfigError: one problem per mistake, all of them.
    """
    request, problems = read(overrides)
    space, fixed = request.space, request.fixed
    checked, parts = Checker(space=space, fixed=fixed, problems=problems).check()
    if problems or checked is None:
        raise ConfigError(list(dict.fromkeys(problems)))
    study = replace(checked.study, num_trials=space.num_points(at_most=checked.study.num_trials))
    objectives = tuple(each for each in parts["objective"] if isinstance(each, ObjectiveSpec))
    return Plan(config=replace(checked, study=study), space=space, fixed=tuple(fixed), objectives=objectives)


def read(overrides: Sequence[str]) -> tuple[Request, list[str]]:
    """Return what `overrides` say, and a line for each that is wrong by itself."""
    parsed, problems = parse_overrides(overrides)
    last = {each.key_or_group: each for each in parsed}
    swept = [each for each in last.values() if each.is_sweep_override()]
    plain = [each for each in parsed if not last[each.key_or_group].is_sweep_override()]
    plain = [each for each in plain if not each.is_sweep_override()]
    fixed, wrong = _composable([_text(each) for each in plain])
    problems += wrong
    config = compose(fixed)
    settled = {each.key_or_group for each in plain} | _keys_removed(config)
    space = _Reader(config=config, fixed=fixed, settled=settled, problems=problems).read(swept)
    return Request(fixed, swept, settled, config, space), problems


def _keys_removed(config: Mapping[str, Any]) -> set[str]:
    """Keys that `study.space` sets to null."""
    space = config["study"].get("space")
    return {key for key, text in space.items() if text is None} if isinstance(space, Mapping) else set()


def _composable(overrides: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the overrides that compose together, and what is wrong with the others."""
    try:
        compose(overrides)
    except ConfigError as error:
        good: list[str] = []
        for override in sorted(overrides, key=lambda each: each.lstrip("+").partition("=")[0] not in groups()):
            try:
                compose([*good, override])
            except ConfigError:
                continue
            good.append(override)
        return good, list(error.problems)
    return list(overrides), []


def searchable(path: str) -> bool:
    """Whether a field may differ from trial to trial: whether a sweep over it becomes a dimension."""
    sweeps, _ = parse_overrides([f"+{path}=choice(0,1)"])  # `+` also takes what only some options have
    alone = {**compose(), "study": {}}
    space = _Reader(config=alone, fixed=[], settled=set(), problems=[]).read(sweeps)
    return any(each.key.lstrip("+") == path for each in space.dimensions)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Reader:
    """Reads dimensions from their three sources."""

    config: Mapping[str, Any]
    """The composed plain config."""
    fixed: list[str]
    """The overrides that it is composed of."""
    settled: set[str]
    """Keys with a plain value on the command line."""
    problems: list[str]
    """Where mistakes are noted."""

    def read(self, swept: Sequence[Override]) -> Space:
        by_study = self._sweeps("study.space", self.config["study"].get("space"))
        given = {each.key_or_group: each for each in swept}
        explicit = {each.key_or_group: each for each in by_study} | given
        choosers = [found for group in TRIAL_GROUPS if group in explicit for found in self._dimension(explicit[group])]
        chosen = {each.key: [str(value) for value in each.domain.values() or ()] for each in choosers}
        found = [*choosers]
        for key, override in explicit.items():
            if key not in TRIAL_GROUPS:
                found += self._explicit(override, chosen, key in given)
        for group in TRIAL_GROUPS:
            for option in chosen.get(group, [None]):
                block = self._compose(group, option).get(group, {}).get("space", {})
                texts = {f"{group}.{field}": text for field, text in block.items()}
                own = {key: text for key, text in texts.items() if key not in explicit}
                for override in self._sweeps(f"{group}.space", own):
                    found += self._dimension(override, option)
        return Space(dimensions=tuple(_make_dependent(found)))

    def _sweeps(self, where: str, texts: Any) -> list[Override]:
        """The sweeps of a `space` mapping but for settled keys; one that is no mapping is a mistake found elsewhere."""
        items = texts.items() if isinstance(texts, Mapping) else ()
        parsed, problems = parse_overrides(f"{key}={text}" for key, text in items if key not in self.settled)
        plain = [_text(each) for each in parsed if not _sweeps(each)]
        problems += [f"{text} is a single value; a sweep is wanted: {SWEEPS}" for text in plain]
        self.problems.extend(f"{where}: {line}" for line in problems)
        return [each for each in parsed if _sweeps(each)]

    def _explicit(self, override: Override, chosen: Mapping[str, list[str]], is_named: bool) -> list[Dimension]:
        """One dimension, or one for each chosen option when only some of them have the key.

        A study's own space is for any option: what none of the chosen ones has is left out, unless the command names
        it.
        """
        key = override.key_or_group
        group, _, field = key.partition(".")
        if group == _DATA and field in OF_TRIALS:
            return self._dimension(override)
        if group not in TRIAL_GROUPS:
            known = list(dotted_paths(self.config))
            there = key in known or key in groups()
            self.problems.append(_why_not(key) if there else unknown_key(key, override.get_value_string(), known))
            return []
        if group == "train" and key.partition(".")[2] in OF_THE_STUDY:
            self.problems.append(f"{key} cannot be searched; it is one for the whole study, whose trials share a base")
            return []
        among = chosen.get(group, [None])
        paths = {option: set(dotted_paths(self._compose(group, option))) for option in among}
        having = [option for option in among if key in paths[option]]
        if override.is_add() or override.is_force_add() or len(having) == len(among):
            return self._dimension(override)
        if not having and not is_named and key.partition(".")[2] in TRIAL_GROUPS[group].__dataclass_fields__:
            return []
        if not having:
            known = sorted(set().union(*paths.values()))
            self.problems.append(unknown_key(key, override.get_value_string(), known))
        return [found for option in having for found in self._dimension(override, option)]

    def _compose(self, group: str, option: str | None) -> Mapping[str, Any]:
        """The config with this option of the group; None is the one that is there."""
        if option is None:
            return self.config
        try:
            return compose([*self.fixed, f"{group}={option}"])
        except ConfigError as error:
            self.problems.extend([f"{line} (with {group}={option})" for line in error.problems])
            return {}

    def _dimension(self, override: Override, option: str | None = None) -> list[Dimension]:
        """The dimension that counts for `option`, or always; none when its sweep is wrong."""
        group, _, field = override.key_or_group.partition(".")
        try:
            domain = domain_of(override)
        except ValueError as error:
            self.problems.append(f"{_text(override)}: {error}")
            return []
        if not field:
            domain = self._existing(group, domain)
        if isinstance(domain, Numbers) and domain.layer:
            if override.key_or_group != _LR:
                self.problems.append(f"{_text(override)}: the tag layer is for {_LR} alone")
                return []
            field = LAYER_LR
        path = f"{group}.{field}" if field else group
        name = path if option is None else f"{group}={option}:{field}"
        condition = None if option is None else (group, option)
        dimension = Dimension(name=name, key=override.get_key_element(), domain=domain, condition=condition)
        return [dimension] if domain.values() != () else []

    def _existing(self, group: str, domain: Choices | Numbers) -> Choices:
        allowed = options(group)
        values = domain.values() or ("an interval",)
        for value in values:
            if not is_option(group, value):
                line = f"{group} must be one of {', '.join(allowed)}, got {value}{did_you_mean(value, allowed)}"
                self.problems.append(line)
        return Choices(of=tuple(value for value in values if is_option(group, value)))


def _why_not(key: str) -> str:
    """Why what is one for the whole study cannot be searched."""
    group, _, field = key.partition(".")
    if why := why_shared(field) if group == _DATA else _WHY_SHARED.get(key, ""):
        return f"{key} cannot be searched: {why}"
    names = ", ".join((*TRIAL_GROUPS, *(f"{_DATA}.{each}" for each in OF_TRIALS)))
    return f"{key} cannot be searched; what may differ from trial to trial is in {names}"


def _make_dependent(dimensions: Sequence[Dimension]) -> list[Dimension]:
    """Let fields that a searched one switches off depend on that, and come after it."""
    there = {each.name for each in dimensions}
    fields = [each for each in dimensions if each.condition is None and SWITCHES.get(each.key) in there]
    others = [each for each in dimensions if each not in fields]
    return [*others, *(replace(each, condition=(SWITCHES[each.key], True)) for each in fields)]


def _sweeps(override: Override) -> bool:
    return bool(override.is_sweep_override())


def _text(override: Override) -> str:
    assert override.input_line is not None
    return override.input_line
