"""Tiny pipelines of every family's real class, built once; adapters come and go."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor

from foundation.adapters.files import put_on, take_off
from tests.train.tiny_families import BUILDERS

NAME = "judged"


@functools.cache
def pipeline(family: str) -> Any:
    """One of `BUILDERS`, in evaluation mode."""
    torch.manual_seed(0)
    pipe = BUILDERS[family]()
    for component in pipe.components.values():
        if isinstance(component, torch.nn.Module):
            component.requires_grad_(False).eval()
    return pipe


@torch.no_grad()
def acting(pipe: Any, file: Path, strength: float = 1.0) -> dict[str, Tensor]:
    """What the weights (and biases) of all adapted layers are with a file, by `component.layer`, and the base again."""
    put_on(pipe, file, NAME, strength)
    try:
        return _merged(pipe)
    finally:
        take_off(pipe)


def _merged(pipe: Any) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    for component, module in pipe.components.items():
        for name, layer in module.named_modules() if isinstance(module, torch.nn.Module) else ():
            if not isinstance(layer, BaseTunerLayer):
                continue
            base = layer.get_base_layer()
            before = {key: parameter.data.clone() for key, parameter in base.named_parameters()}
            layer.merge(safe_merge=True, adapter_names=[NAME])
            found |= {f"{component}.{name}.{key}": parameter.data.clone() for key, parameter in base.named_parameters()}
            for key, parameter in base.named_parameters():
                parameter.data = before[key]
    return found


@pytest.fixture
def assert_acts(tmp_path: Path) -> Callable[..., None]:
    """Asserts that a file makes just these weights, of these layers alone; given by `component.layer.weight`."""

    def check(pipe: Any, file: Path, wanted: dict[str, Tensor], strength: float = 1.0) -> None:
        found = acting(pipe, file, strength)
        weights = {name for name in found if name.endswith(".weight")}
        assert weights == {name for name in wanted if name.endswith(".weight")}
        for name, weight in found.items():
            plain = pipe.components[name.partition(".")[0]].get_parameter(name.partition(".")[2])
            expected = wanted.get(name, plain)
            assert (weight - expected).abs().max() <= 1e-5, name
            assert name not in wanted or (expected - plain).abs().max() > 1e-3, f"{name} hardly changes"

    return check
