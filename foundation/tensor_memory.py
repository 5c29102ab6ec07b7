"""How much memory tensors take at a time, counted without having any: PyTorch computes shapes, and no numbers.

Within `counting` tensors are fake ones of the CPU (`torch._subclasses.FakeTensorMode`): they have shapes, types and
places in one another's memory, and take none. What is counted is every storage from its first operation until nobody
holds it, by autograd's graph as well, as an allocator would. What a kernel needs for itself is not seen.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

_LARGE: Final = 32 * 2**20
"""Bytes of a block that glibc takes from the system and gives back (M_MMAP_THRESHOLD's most), beside its heap."""
_HEAP: Final = 1.25
"""What its heap holds of smaller blocks that come and go, on the CPU (docs/memory.md, measured)."""
_CACHE: Final = 1.1
"""What torch's allocator on a GPU holds of them. Not measured here."""


def block_size(size: int, device: str) -> int:
    """Bytes that an allocator holds, on a kind of device, for a tensor of this size that comes and goes."""
    if device == "cpu":
        return size if size >= _LARGE else int(_HEAP * size)
    return int(_CACHE * size)


class TensorMemory(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Bytes of the tensors that are alive, and the most that were so at once."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.alive = 0
        self.held: Callable[[int], int] = lambda size: size
        """Bytes that count for a tensor of so many, from now on."""
        self._most = 0
        self._sizes: dict[int, int] = {}

    @contextmanager
    def peak(self) -> Iterator[list[int]]:
        """Yield a list that holds, once the block has ended, the most bytes that were alive at once within it."""
        before, self._most = self._most, self.alive
        found: list[int] = []
        try:
            yield found
        finally:
            found.append(self._most)
            self._most = max(before, self._most)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation, and count the memory that it has made."""
        made = func(*args, **(kwargs or {}))
        for each in tree_iter(made):
            if isinstance(each, Tensor):
                self._count(each.untyped_storage())
        return made

    def _count(self, storage: torch.UntypedStorage) -> None:
        place = storage._cdata
        if place not in self._sizes:
            self._sizes[place] = self.held(storage.nbytes())
            self.alive += self._sizes[place]
            self._most = max(self._most, self.alive)
            weakref.finalize(storage, self._forget, place)

    def _forget(self, place: int) -> None:
        self.alive -= self._sizes.pop(place)


@dataclass(frozen=True, slots=True)
class Growth:
    """Bytes that grow by as much with each further one of something, as they grew from the first to the second."""

    one: int
    two: int

    def at(self, count: int) -> int:
        """The bytes of so many, from 1."""
        return self.one + (count - 1) * (self.two - self.one)


@contextmanager
def counting() -> Iterator[TensorMemory]:
    """Within the block tensors are fake ones, and counted."""
    from torch._subclasses.fake_tensor import FakeTensorMode  # takes 100 MB of memory to import

    whole = nn.Module._apply
    nn.Module._apply = _replace_parameters  # type: ignore[method-assign]
    try:
        with FakeTensorMode(allow_non_fake_inputs=True), TensorMemory() as memory:
            yield memory
    finally:
        nn.Module._apply = whole  # type: ignore[method-assign]


def _replace_parameters(module: nn.Module, change: Callable[[Tensor], Tensor], recurse: bool = True) -> nn.Module:
    """As `nn.Module._apply`, which would swap the insides of two fake tensors, and that torch 2.13 refuses."""
    for child in module.children() if recurse else ():
        _replace_parameters(child, change)
    for name, own in module._parameters.items():
        if own is not None and (changed := change(own.detach())).dtype != own.dtype:
            module._parameters[name] = nn.Parameter(changed, own.requires_grad)
    module._buffers.update({name: each if each is None else change(each) for name, each in module._buffers.items()})
    return module


_NORMS: Final = ("layer_norm", "group_norm", "softmax")
"""Of `torch.nn.functional`: what autocast has in float32 on CUDA and not on the CPU."""


def _as_float(value: Any) -> Any:
    return value.float() if isinstance(value, Tensor) and value.dtype in (torch.float16, torch.bfloat16) else value


@contextmanager
def kernels_of(device: str) -> Iterator[None]:
    """Within the block autocast has norms and softmax in the numbers that it has them in on this kind of device.

    Checkpoints that are computed again in a backward pass would not find PyTorch's own `TorchFunctionMode` there.
    """
    whole = {name: getattr(F, name) for name in _NORMS}
    try:
        for name, function in whole.items() if device != "cpu" else ():
            setattr(F, name, _in_full_precision(function))
        yield
    finally:
        for name, function in whole.items():
            setattr(F, name, function)


def _in_full_precision(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def run(*args: Any, **kwargs: Any) -> Tensor:
        if torch.is_autocast_enabled("cpu"):
            args = tuple(map(_as_float, args))
            kwargs = {name: _as_float(each) for name, each in kwargs.items()}
        return function(*args, **kwargs)

    return run


def autocast_to(dtype: torch.dtype) -> AbstractContextManager[object]:
    """Within the block fake tensors are multiplied in these numbers."""
    return nullcontext() if dtype == torch.float32 else torch.autocast("cpu", dtype)
