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


def build_optimizer(
    spec: OptimizerSpec, parameters: Sequence[nn.Parameter], text_parameters: Sequence[nn.Parameter] = ()
) -> Optimizer:
    """An optimizer over one trial's own parameters; statistics are never shared between trials.

    The text encoder's, if any, are a group of their own with `spec.text_encoder_lr_ratio` times the learning rate.

    Raises:
        ConfigError: when its package is not installed.
    """
    check_installed(spec)
    module, name = _CONSTRUCTORS[spec.name]
    constructor: Callable[..., Optimizer] = getattr(import_module(module), name)
    arguments = spec.arguments()
    if spec.name == "adamw" and "foreach" not in arguments:
        arguments.setdefault("fused", True)  # one call for all parameters instead of ten for each
    groups: list[dict[str, Any]] = [{"params": list(parameters)}]
    if text_parameters:
        groups.append({"params": list(text_parameters), "lr": spec.lr * spec.text_encoder_lr_ratio})
    with redirect_stdout(io.StringIO()):  # Prodigy announces itself
        return constructor(groups, **arguments)


def effective_lr(optimizer: Optimizer) -> float:
    """The denoiser's learning rate of the last step: for Prodigy d·lr, what it found times what the schedule says."""
    group: dict[str, Any] = optimizer.param_groups[0]
    d = group.get("d", 1.0)
    return float(group["lr"]) * (float(d.item()) if isinstance(d, torch.Tensor) else float(d))
