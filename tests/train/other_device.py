"""A device that is not the host's, without having one: PyTorch's `meta`, whose tensors have no numbers.

Whoever lets tensors of two devices meet, or reads a number, is refused, as a GPU would refuse or make the host wait.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, Final

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from foundation.bases.port import Base

DEVICE: Final = torch.device("meta")
_aten: Any = torch.ops.aten
_MOVES: Final = (_aten._to_copy.default, _aten.copy_.default)


class Border(TorchDispatchMode):
    """Refuses operations between the devices; notes the tensors that are brought over."""

    def __init__(self) -> None:
        super().__init__()
        self.brought: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        tensors = [leaf for leaf in tree_leaves((args, kwargs, made)) if isinstance(leaf, Tensor)]
        sized = {
            tensor.device.type for tensor in tensors if tensor.ndim
        }  # a host's scalar is an argument like a number
        if len(sized) > 1 or (func in _MOVES and len({tensor.device for tensor in tensors}) > 1):
            if func not in _MOVES:
                raise AssertionError(f"{func} of {[(tensor.device.type, tuple(tensor.shape)) for tensor in tensors]}")
            self.brought.append(str(func))
        return made


@contextmanager
def elsewhere(
    base: Base, monkeypatch: pytest.MonkeyPatch, move: Callable[[nn.Module], object] = lambda each: each.to(DEVICE)
) -> Iterator[Border]:
    """Within the block the base lies on the other device, where `move` brings each of its parts."""
    for module in base.pipeline.components.values():
        if isinstance(module, nn.Module):
            move(module)
    process: Any = base.process
    monkeypatch.setattr(base, "device", DEVICE)
    if process.alphas_cumprod is not None:
        object.__setattr__(process, "alphas_cumprod", process.alphas_cumprod.to(DEVICE))
    generator = torch.Generator
    monkeypatch.setattr(torch, "Generator", lambda device="cpu": generator())
    monkeypatch.setattr(torch.random, "fork_rng", lambda *given, **named: nullcontext())
    monkeypatch.setattr(torch, "is_autocast_enabled", lambda device: False)
    with Border() as border:
        yield border
