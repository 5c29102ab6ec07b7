"""CUDA graphs without a GPU: a call's operations are recorded with the tensors they touched, and run again on these.

As on a GPU a replay knows no Python and no new tensors: it reads and writes where the recorded operations did.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Recording(TorchDispatchMode):
    """Operations in order. Refuses what a GPU could not record: a reading, or chance that the graph does not know."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Any, Any, Any, list[Tensor]]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten._local_scalar_dense.default or "bernoulli" in str(func) or "rand" in str(func):
            raise RuntimeError(f"operation not permitted when stream is capturing: {func}")
        made = func(*args, **(kwargs or {}))
        self.calls.append((func, args, kwargs or {}, _tensors(made)))
        return made

    @torch.no_grad()
    def replay(self) -> None:
        """Run them again; what a call makes anew is put where it was made before."""
        for func, args, kwargs, before in self.calls:
            for old, new in zip(before, _tensors(func(*args, **kwargs)), strict=True):
                if old.untyped_storage().data_ptr() != new.untyped_storage().data_ptr():
                    old.copy_(new)


def make_graphed_callables(
    function: Callable[..., Tensor], samples: tuple[Tensor, ...], allow_unused_input: bool, pool: object
) -> Callable[..., Tensor]:
    """As `torch.cuda.make_graphed_callables` of one function with one output."""
    with Recording() as forward:
        static = function(*samples)
    gradient = torch.empty_like(static)
    learned = [sample for sample in samples if sample.requires_grad]
    with Recording() as backward:
        found = iter(torch.autograd.grad(static, learned, gradient, allow_unused=allow_unused_input))
    gradients = [next(found) if sample.requires_grad else None for sample in samples]

    class Graphed(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, *given: Tensor) -> Tensor:
            for sample, new in zip(samples, given, strict=True):
                if sample.data_ptr() != new.data_ptr():
                    sample.copy_(new)
            forward.replay()
            return static.detach()

        @staticmethod
        def backward(ctx: Any, *outer: Tensor) -> tuple[Tensor | None, ...]:
            gradient.copy_(outer[0])
            backward.replay()
            return tuple(None if each is None else each.detach() for each in gradients)

    return Graphed.apply  # type: ignore[no-any-return]


def _tensors(made: Any) -> list[Tensor]:
    leaves: Iterable[Any] = tree_leaves(made)
    return [leaf for leaf in leaves if isinstance(leaf, Tensor)]
