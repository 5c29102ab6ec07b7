"""The space around a setting: factors of its rate, its rank and its alpha."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from foundation.config.compose import compose, options
from sweeper.trainers.port import Settings, plain
from train.spec import AdapterSpec
from train.spec.adapter_kinds import ADAPTER_KINDS
from train.spec.layer_lr import layer_lr, lr_for_layers
from train.spec.optimizer_kinds import OPTIMIZERS

_RATE: Final = 4.0
"""How many times higher and lower than theirs rates are searched."""
_COEFFICIENT: Final = 3.0
"""The same of the factor on a step size that the optimizer finds itself."""
_LARGEST_RANK: Final = 1024


def space_around(settings: Settings, adapter: AdapterSpec) -> dict[str, str | None]:
    """Return `study.space`: sweeps that hold the setting itself, and null for what is not searched.

    `adapter` is the setting's. What the chosen options and data.kind would search beside is taken away: the setting
    may lie outside of that.
    """
    lr = settings["optimizer.lr"]
    space: dict[str, str | None] = dict.fromkeys(_others(settings))
    if OPTIMIZERS[settings["optimizer"]].adaptive:
        if "d_coef" in OPTIMIZERS[settings["optimizer"]].fields:
            space["optimizer.d_coef"] = _interval(settings.get("optimizer.d_coef", 1.0), _COEFFICIENT)
        else:
            space["optimizer.lr"] = f"tag(log, interval({max(lr / 2, 0.1)!r}, {min(lr * 2, 10.0)!r}))"
    elif lr_for_layers(layer_lr(lr, adapter), adapter) == lr:
        space["optimizer.lr"] = _interval(layer_lr(lr, adapter), _RATE, "log, layer")
    else:  # more digits than a rate of layers keeps
        space["optimizer.lr"] = _interval(lr, _RATE)
    if "rank" in ADAPTER_KINDS[adapter.name].fields:
        ranks = {max(1, adapter.rank // 2), adapter.rank, min(adapter.rank * 2, _LARGEST_RANK)}
        space["adapter.rank"] = _choice(ranks)
        space["adapter.alpha_ratio"] = _choice({adapter.alpha_ratio / 2, adapter.alpha_ratio, adapter.alpha_ratio * 2})
    return space


def _others(settings: Mapping[str, Any]) -> list[str]:
    """All that would be searched without a word of ours."""
    composed = compose([f"{group}={settings[group]}" for group in ("adapter", "optimizer")])
    own = [f"{group}.{name}" for group in ("adapter", "optimizer") for name in composed[group].get("space") or {}]
    return list(dict.fromkeys([*_of_every_kind(), *own]))


@lru_cache
def _of_every_kind() -> tuple[str, ...]:
    """What the kinds of data search: which it is shows in the captions alone."""
    kinds = options("kind")
    return tuple(key for kind in kinds for key in compose([f"kind={kind}", f"data.kind={kind}"])["study"]["space"])


def _interval(value: float, factor: float, tags: str = "log") -> str:
    low, high = (float(f"{end:.3g}") for end in (value / factor, value * factor))
    return f"tag({tags}, interval({low!r}, {high!r}))"  # with points: between whole numbers lie whole ones alone


def _choice(values: set[float] | set[int]) -> str:
    return f"choice({', '.join(_text(value) for value in sorted(values))})"


def _text(value: float) -> str:
    return repr(plain(value))
