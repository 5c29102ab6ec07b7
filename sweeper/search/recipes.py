"""Known good settings as a study's first trials, so that it never ends below what it could have been told."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from foundation.config.compose import compose, is_option
from foundation.errors import ConfigError
from sweeper.records.config import TRIAL_GROUPS, Config, parse_part
from sweeper.search.dimension import Choices, Dimension, Params, Value
from sweeper.search.space import Plan
from train.spec import AdapterSpec
from train.spec.layer_lr import layer_lr


@dataclass(frozen=True, slots=True)
class Recipes:
    """What becomes of `study.recipes` in a space."""

    first: tuple[Params, ...]
    """The points of those that it holds, in their order; what a recipe leaves open the sampler draws."""
    notes: tuple[str, ...]
    """A line for each that it does not hold."""


def recipes_in(request: Plan) -> Recipes:
    """Put `study.recipes` into the plan's space: numbers to the nearest that it has.

    A recipe is left out where the space does not offer its optimizer, its layers or another choice that it names. What
    is not searched is as the study has it. A grid takes its points in their own order, and a study around an earlier
    one begins with that one's best: they have no recipes.

    Raises:
        ConfigError: one problem for each value of a recipe that is none, and each name that none may have.
    """
    study = request.config.study
    if study.sampler == "grid" or study.narrow_from is not None:
        return Recipes((), ())
    first: list[Params] = []
    left_out: dict[str, list[str]] = defaultdict(list)
    problems: list[str] = []
    for name, recipe in (study.recipes or {}).items():
        if recipe is None:
            continue
        if _is_of_another(request, recipe):
            left_out[f"the study trains with optimizer={'|'.join(map(str, _optimizers(request)))}"].append(name)
            continue
        if wrong := list(_problems(request, name, recipe)):
            problems += wrong
            continue
        point = _point(request, recipe)
        if isinstance(point, str):
            left_out[point].append(name)
        elif point and point not in first:
            first.append(point)
    if problems:
        raise ConfigError(problems)
    notes = tuple(f"not among the first trials: {', '.join(names)} ({why})" for why, names in left_out.items())
    return Recipes(tuple(first[: study.num_trials]), notes)


def _problems(request: Plan, name: str, recipe: Mapping[str, Value]) -> Iterator[str]:
    """A line for each of a recipe's values that cannot be."""
    for group in dict.fromkeys(key.partition(".")[0] for key in recipe):
        where = f"study.recipes.{name}"
        if group not in TRIAL_GROUPS:
            yield f"{where}: {group} cannot be set; what may differ from trial to trial is in {', '.join(TRIAL_GROUPS)}"
            continue
        option = [f"{group}={recipe[group]}"] if group in recipe else []
        fields = {key.partition(".")[2]: value for key, value in recipe.items() if key.startswith(f"{group}.")}
        try:
            parse_part(group, {**compose([*request.fixed, *option])[group], **fields})
        except ConfigError as error:
            yield from (f"{where}: {line}" for line in error.problems)


def _point(request: Plan, recipe: Mapping[str, Value]) -> Params | str:
    """The recipe in the space, or why it is none of its points."""
    point: Params = {}
    for dimension in request.space.dimensions:
        key = dimension.key.lstrip("+")
        if key not in recipe or not dimension.counts(point):
            continue
        wanted = recipe[key]
        if dimension.is_of_layers:
            wanted = layer_lr(float(wanted), _adapter(request.config, recipe))  # type: ignore[arg-type]
        value = _nearest(dimension, wanted)
        if not dimension.domain.holds(value):
            return f"the study searches {key} in {dimension.domain}"
        point[dimension.name] = value
    return point


def _is_of_another(request: Plan, recipe: Mapping[str, Value]) -> bool:
    """Whether a recipe is for an optimizer that the study has not, whose rates its own are not."""
    wanted = recipe.get("optimizer")
    is_one = wanted is not None and is_option("optimizer", str(wanted))  # what is none is a mistake
    return is_one and _kin(wanted) not in map(_kin, _optimizers(request))


def _optimizers(request: Plan) -> Sequence[Value]:
    """Those that the study searches, or the one that it has."""
    searched = [each.domain.values() or () for each in request.space.dimensions if each.key == "optimizer"]
    return searched[0] if searched else (request.config.optimizer.name,)


def _kin(optimizer: Value) -> str:
    """What an optimizer is but for the bits of its state: what is good for AdamW is good for the 8-bit one."""
    return str(optimizer).removesuffix("8bit")


def _adapter(config: Config, recipe: Mapping[str, Value]) -> AdapterSpec:
    """The study's adapter with what the recipe says of it."""
    said = {key.partition(".")[2]: value for key, value in recipe.items() if key.startswith("adapter.")}
    known = {name: value for name, value in said.items() if name in ("rank", "alpha_ratio", "rslora")}
    return replace(config.adapter, **known)  # type: ignore[arg-type]


def _nearest(dimension: Dimension, wanted: Value) -> Value:
    """The value of a dimension that is nearest to what is wanted; None where nothing is near."""
    domain = dimension.domain
    if isinstance(domain, Choices):
        if wanted in domain.of:
            return wanted
        if dimension.key == "optimizer":
            return next((each for each in domain.of if _kin(each) == _kin(wanted)), None)
        numbers = [each for each in domain.of if _is_positive(each)]
        if not _is_positive(wanted) or not numbers:
            return None
        return min(numbers, key=lambda each: abs(math.log(each / wanted)))  # type: ignore[operator]
    if not isinstance(wanted, int | float) or isinstance(wanted, bool):
        return None
    inside = min(max(wanted, domain.low), domain.high)
    if domain.step is None:
        return inside
    return domain.round_to_step(domain.low + round((inside - domain.low) / domain.step) * domain.step)


def _is_positive(value: Value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0
