"""torch.compile for the blocks that a denoiser repeats, and only for the passes that the compiled code was made for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import torch
from torch import nn

_RESIDUAL: Final = ("ResnetBlock2D",)
"""Repeated by every UNet of diffusers, which names its transformer blocks only."""
_MOST_VARIANTS: Final = 64
"""Of one class's code: a UNet has blocks of a dozen shapes, and each has two variants, with and without dropout."""


class Regions:
    """The repeated blocks of a denoiser, each compiled when a pass within `compiled` first meets its shape.

    Blocks of one class and one shape share compiled code. Everywhere else they run as they are.
    """

    def __init__(self, denoiser: nn.Module) -> None:
        names = (*getattr(denoiser, "_repeated_blocks", ()), *_RESIDUAL)
        blocks: list[Any] = [module for module in denoiser.modules() if type(module).__name__ in names]
        torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, _MOST_VARIANTS)
        self._blocks = [(block, torch.compile(block.forward, dynamic=False)) for block in blocks]

    @contextmanager
    def running(self) -> Iterator[None]:
        """Within the block the denoiser runs compiled code."""
        for block, forward in self._blocks:
            block.forward = forward
        try:
            yield
        finally:
            for block, _ in self._blocks:
                del block.forward
