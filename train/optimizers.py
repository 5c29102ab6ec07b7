"""Optimizers by name, each from the library that keeps it; they are imported only when a trial wants them."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from importlib import import_module
from typing import Any, Final

import torch
from torch import nn
from torch.optim import Optimizer

from train.spec import OptimizerName, OptimizerSpec, check_installed

_CONSTRUCTORS: Final[dict[OptimizerName, tuple[str, str]]] = {
    "adamw": ("torch.optim", "AdamW"),
    "adamw8bit": ("bitsandbytes.optim", "AdamW8bit"),
    "lion": ("lion_pytorch", "Lion"),
    "prodigy": ("prodigyopt", "Prodigy"),
}
"""Module and class of every optimizer."""


def build_optimizer(spec: OptimizerSpec, parameters: Sequence[nn.Parameter]) -> Optimizer:
    """An optimizer over one trial's own parameters; statistics are never shared between trials.

    Raises:
        ConfigError: when its package is not installed.
    """
    check_installed(spec)
    module, name = _CONSTRUCTORS[spec.name]
    constructor: Callable[..., Optimizer] = getattr(import_module(module), name)
    arguments = spec.arguments()
    if spec.name == "adamw" and "foreach" not in arguments:
        arguments.setdefault("fused", True)  # one call for all parameters instead of ten for each
    with redirect_stdout(io.StringIO()):  # Prodigy announces itself
        return constructor(parameters, **arguments)


def effective_lr(optimizer: Optimizer) -> float:
    """The learning rate of the last step: for Prodigy d·lr, what it found times what the schedule says."""
    group: dict[str, Any] = optimizer.param_groups[0]
    d = group.get("d", 1.0)
    return float(group["lr"]) * (float(d.item()) if isinstance(d, torch.Tensor) else float(d))
