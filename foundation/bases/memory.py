"""What a base takes of a device's memory by its shapes, without and with pictures on their way through it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

import torch

from foundation.bases.port import Base
from foundation.bases.spec import BaseSpec
from foundation.tensor_memory import Growth, TensorMemory, autocast_to, kernels_of

_BLOCK: Final = 64
"""Weights that share a scale in bitsandbytes' 4 bits."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BaseMemory:
    """The most that is alive at once, the base included, in bytes."""

    weights: Mapping[str, int]
    """Of each part of the pipeline."""
    encoding: Growth
    """While so many pictures are encoded at once."""
    denoising: Growth
    """While so many rows go through the denoiser at once, without gradients."""
    decoding: Growth
    """While so many pictures are decoded at once."""


def base_memory(base: Base, spec: BaseSpec, memory: TensorMemory, dtype: torch.dtype, device: str) -> BaseMemory:
    """Let pictures go through a fake base, which `memory` has counted.

    It computes in `dtype`, as on a `device` of this kind. `spec` says how its weights are quantised.
    """
    side, shape = base.resolution, latent_shape(base)

    def denoise(count: int) -> None:
        with autocast_to(dtype):
            base.predict(torch.empty(count, *shape), torch.zeros(count), torch.empty(count, *base.text_shape))

    def decode(count: int) -> None:
        with autocast_to(dtype):
            base.decode_images(torch.empty(count, *shape))

    base.denoiser.eval()
    with torch.no_grad(), kernels_of(device):
        return BaseMemory(
            weights=weights_of(base, spec),
            encoding=_growth(memory, lambda count: base.encode_images(torch.empty(count, 3, side, side))),
            denoising=_growth(memory, denoise),
            decoding=_growth(memory, decode),
        )


def latent_shape(base: Base) -> tuple[int, ...]:
    """C, h and w of the latents of a picture of the base's resolution."""
    return tuple(base.encode_images(torch.empty(1, 3, base.resolution, base.resolution))[0].shape[1:])


def _growth(memory: TensorMemory, work: Callable[[int], object]) -> Growth:
    return Growth(*(_peak(memory, partial(work, count)) for count in (1, 2)))


def _peak(memory: TensorMemory, work: Callable[[], object]) -> int:
    with memory.peak() as peak:
        work()
    return peak[0]


def weights_of(base: Base, spec: BaseSpec) -> dict[str, int]:
    """Bytes of each part's weights on the device, quantised where `spec` says so."""
    parts = {part: each for part, each in base.pipeline.components.items() if isinstance(each, torch.nn.Module)}
    found = {part: _bytes_of(module) for part, module in parts.items()}
    if spec.quantization is not None:
        linear = [each for each in base.denoiser.modules() if isinstance(each, torch.nn.Linear)]
        saved = sum(_bytes_of(each.weight) - _packed_size(each.weight, spec.quantization) for each in linear)
        found[next(part for part, each in parts.items() if each is base.denoiser)] -= saved
    return found


def _bytes_of(held: torch.nn.Module | torch.Tensor) -> int:
    """Of a tensor, or of all parameters and buffers of a module; those that are tied count once."""
    if isinstance(held, torch.Tensor):
        return held.numel() * held.element_size()
    return sum(_bytes_of(each) for each in (*held.parameters(), *held.buffers()))


def _packed_size(weight: torch.Tensor, quantization: str) -> int:
    """Bytes of a linear layer's weights as bitsandbytes keeps them, with their scales in float32."""
    count = weight.numel()
    return count + 4 * len(weight) if quantization == "int8" else count // 2 + 4 * -(-count // _BLOCK)
