"""Optimizers by name, each from the library that keeps it; they are imported only when a trial wants them."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from importlib import import_module
from typing import Any, Final

import torch
from torch import nn
from torch.optim import Optimizer

from foundation.devices import CPU
from foundation.errors import AdapterError
from train.spec import OptimizerSpec, check_installed

AWAY: Final = CPU
"""Where states are that wait."""


def build_optimizer(
    spec: OptimizerSpec,
    parameters: Sequence[nn.Parameter],
    text_parameters: Sequence[nn.Parameter] = (),
    images_per_step: int = 1,
    factors: Mapping[Any, float] | None = None,
) -> Optimizer:
    """An optimizer over one trial's own parameters, ready to train; statistics are never shared between trials.

    The text encoder's, if any, are a group of their own with `spec.text_encoder_lr_ratio` times the learning rate,
    which `spec.lr_scaling` fits to `images_per_step`. `factors` are on the rates of single parameters, 1 where it has
    none; those that differ are groups of their own, after those that have none.

    Raises:
        ConfigError: when its package is not installed.
    """
    check_installed(spec)
    constructor: Callable[..., Optimizer] = getattr(import_module(spec.kind.module), spec.kind.class_name)
    arguments = spec.arguments(images_per_step)
    rates: dict[float, list[nn.Parameter]] = {}
    for each in parameters:
        rates.setdefault((factors or {}).get(each, 1.0), []).append(each)
    groups: list[dict[str, Any]] = [
        {"params": own} if factor == 1 else {"params": own, "lr": arguments["lr"] * factor}
        for factor, own in sorted(rates.items(), key=lambda rate: rate[0] != 1)
    ]
    of_text: dict[float, list[nn.Parameter]] = {}
    for each in text_parameters:
        of_text.setdefault((factors or {}).get(each, 1.0), []).append(each)
    for factor, own in of_text.items():
        groups.append({"params": own, "lr": arguments["lr"] * spec.text_encoder_lr_ratio * factor})
    with redirect_stdout(io.StringIO()):  # Prodigy announces itself
        optimizer = constructor(groups, **arguments)
    if spec.kind.schedule_free:
        optimizer.train()  # type: ignore[attr-defined]
    return optimizer


def factors_of(spec: OptimizerSpec, names: Mapping[nn.Parameter, str]) -> dict[Any, float]:
    """What the learning rate of each parameter is multiplied by, by its name.

    Raises:
        AdapterError: a pattern of `lr_by` is in none of them.
    """
    for pattern in spec.lr_by:
        if not any(re.search(pattern, name) for name in names.values()):
            some = next(iter(names.values()), "")
            raise AdapterError(f"optimizer.lr_by: {pattern!r} is in no name of what is trained, such as {some}")
    return {parameter: spec.factor_of(name) for parameter, name in names.items()}


def restore(optimizer: Optimizer, state: dict[str, Any]) -> None:
    """Go on from what `state_dict` gave, on whatever device that was: all of it goes to the parameters' own.

    torch and bitsandbytes move what is kept for each parameter; D-Adaptation keeps tensors beside its settings, too.
    """
    optimizer.load_state_dict(state)
    for group in optimizer.param_groups:
        device = group["params"][0].device
        group.update({key: each.to(device) for key, each in group.items() if isinstance(each, torch.Tensor)})


@contextmanager
def states_away(optimizers: Sequence[Optimizer]) -> Iterator[None]:
    """Within the block what optimizers keep for each parameter is in the machine's memory, and none may step."""
    kept = [each for own in optimizers for state in own.state.values() for each in state.values()]
    tensors = {id(each): each for each in kept if isinstance(each, torch.Tensor)}
    devices = {key: each.device for key, each in tensors.items()}
    for each in tensors.values():
        each.data = each.data.to(AWAY)
    try:
        yield
    finally:
        for key, each in tensors.items():
            each.data = each.data.to(devices[key])


def effective_lr(optimizer: Optimizer) -> float:
    """The denoiser's learning rate of the last step: where the step size is found, d·lr, times what the curve says."""
    group: dict[str, Any] = optimizer.param_groups[0]
    d = group.get("d", 1.0)
    return float(group["lr"]) * (float(d.item()) if isinstance(d, torch.Tensor) else float(d))
