"""The optimizers of other trainers: which of ours each is, its library's defaults, its arguments by ours."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from sweeper.trainers.port import Ours, Settings, Theirs, as_number, plain
from train.spec.optimizer_kinds import OPTIMIZERS

_BETAS: Final = ("beta1", "beta2", "beta3")
_DECAYS: Final = {"adamw": 0.01, "adamw8bit": 0.01}
"""Weight decay that the libraries have by default; 0 for all others."""
_ALIASES: Final = {"bias_correction": "use_bias_correction", "weight_decouple": "decouple"}
_FIXED: Final[Mapping[str, tuple[Any, ...]]] = {
    "scale_parameter": (False,),
    "relative_step": (False,),
    "warmup_init": (False,),
    "foreach": (False, None),
    "fused": (True, False),
    "decouple": (True,),
    "differentiable": (False,),
    "maximize": (False,),
    "capturable": (False,),
}
"""Arguments that are no choice here, and the values by which they are as ours are, or change no number."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Known:
    """An optimizer of another trainer that is one of ours."""

    ours: str
    """Our option."""
    defaults: Mapping[str, Any] = field(default_factory=dict)
    """Arguments that differ there from the library's defaults."""
    remark: str = ""
    """Where it is not quite the same."""


def optimizer_settings(
    theirs: Theirs, names: tuple[str, ...], known: Mapping[str, Known], default: str, arguments: Mapping[str, str]
) -> Settings:
    """The optimizer that the field of these names says, as settings of ours.

    `known` has theirs by name, `default` is the one of a config that names none; `arguments` are names of fields that
    hold an argument, to the argument. What cannot be had is left out with its reason.
    """
    said = {word.lower(): each for word, each in known.items()}
    word = theirs.text(*names, default=default)
    found = said.get(word.lower())
    if found is None:
        theirs.leave(f"{word} is no optimizer here; {said[default.lower()].ours} takes its place", *names)
        found = said[default.lower()]
    if found.remark:
        theirs.remarks.append(found.remark)
    settings: Settings = {"optimizer": found.ours, **_library_defaults(found)}
    for name, argument in arguments.items():
        if name in theirs.fields:
            settings.update(_argument(theirs, found.ours, name, argument))
    return settings


def optimizer_arguments(ours: Ours, known: Mapping[str, Known], default: str) -> tuple[str, dict[str, Any]]:
    """The name there of a trial's optimizer, and its arguments by the library's names.

    Where there is no such optimizer, it is the `default` with its weight decay.
    """
    name = ours["optimizer.name"]
    word = next((word for word, each in known.items() if each.ours == name and not _is_paged_otherwise(each, ours)), "")
    kind = OPTIMIZERS[name]
    found: dict[str, Any] = {"weight_decay": plain(ours["optimizer.weight_decay"])}
    if not word:
        return default, found
    betas = [ours[f"optimizer.{beta}"] for beta in _BETAS[: len(kind.betas)]]
    if kind.betas:
        found["betas"] = [usual if beta is None else beta for usual, beta in zip(kind.betas, betas, strict=True)]
    for path, argument in kind.fields.items():
        if ours[f"optimizer.{path}"] is not None:
            found[argument] = ours[f"optimizer.{path}"]
    return word, {**found, **ours["optimizer.settings"]}


def _is_paged_otherwise(each: Known, ours: Ours) -> bool:
    """Whether one of theirs differs from the trial's by what its name stands for."""
    return bool(each.defaults.get("is_paged", False)) != bool(ours["optimizer.settings"].get("is_paged", False))


def _library_defaults(found: Known) -> Settings:
    kind = OPTIMIZERS[found.ours]
    settings: Settings = {"optimizer.weight_decay": _DECAYS.get(found.ours, 0.0)}
    settings.update({f"optimizer.{beta}": value for beta, value in zip(_BETAS, kind.betas, strict=False)})
    if found.ours == "prodigy":
        settings.update({"optimizer.d_coef": 1.0, "optimizer.safeguard_warmup": False, "optimizer.beta3": None})
    if kind.adaptive:
        settings.update({"optimizer.use_bias_correction": False, "optimizer.settings.d0": 1e-6})
    if found.ours == "sgd":
        settings.update({"optimizer.momentum": 0.0, "optimizer.nesterov": False})
    for argument, value in found.defaults.items():
        settings.update(dict(_as_ours(found.ours, argument, value)))
    return settings


def _argument(theirs: Theirs, option: str, name: str, argument: str) -> Settings:
    """One argument as settings; none, with its reason, where ours takes it not."""
    value = theirs.get(name)
    wanted = dict(_as_ours(option, argument, value))
    if wanted:
        return wanted
    fixed = _FIXED.get(_ALIASES.get(argument, argument), (False, None, 0, "disabled", "auto", "full"))
    if _plain(value) in fixed:
        theirs.idle.add(name)
    else:
        theirs.leave(f"{option} takes no such argument here", name)
    return {}


def _as_ours(option: str, argument: str, value: Any) -> Iterator[tuple[str, Any]]:
    kind = OPTIMIZERS[option]
    argument = _ALIASES.get(argument, argument)
    value = _plain(value)
    if argument == "betas":
        for beta, each in zip(_BETAS[: len(kind.betas)], _numbers(value), strict=False):
            yield f"optimizer.{beta}", each
    elif argument in _BETAS:
        if int(argument[-1]) <= len(kind.betas) or argument in kind.fields:
            yield f"optimizer.{argument}", value
    elif argument == "weight_decay" and isinstance(value, float | int):
        yield "optimizer.weight_decay", float(value)
    elif argument in kind.fields and value is not None:
        yield f"optimizer.{argument}", value
    elif argument in kind.settings and _is(value, kind.settings[argument]):
        whole = kind.settings[argument] is int
        yield f"optimizer.settings.{argument}", int(value) if whole else value


def _is(value: Any, kind: type) -> bool:
    if kind is bool:
        return isinstance(value, bool)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return False
    return kind is float or value == int(value)


def _plain(value: Any) -> Any:
    """A value that may be written as a text: true, None, numbers."""
    if isinstance(value, str):
        word = value.strip().lower()
        if word in ("true", "false"):
            return word == "true"
        if word in ("none", "null"):
            return None
        number = as_number(word)
        return value if number is None else number
    return value


def _numbers(value: Any) -> list[float]:
    parts = value if isinstance(value, list | tuple) else str(value).strip("()[] ").split(",")
    return [number for part in parts if (number := as_number(part)) is not None]
