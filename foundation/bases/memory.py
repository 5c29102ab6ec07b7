"""What a base takes of a device's memory by its shapes, without and with pictures on their way through it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import torch

from foundation.bases.offload import blocks_of
from foundation.bases.port import Base
from foundation.bases.quantization import plain_tensors
from foundation.bases.spec import IN_TORCHAO, BaseSpec
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


@dataclass(frozen=True, kw_only=True, slots=True)
class Away:
    """Bytes of weights that are not on the device while this is done; see `base.offload`."""

    training: int = 0
    drawing: int = 0
    """While the denoiser is at work without gradients."""
    decoding: int = 0
    """While pictures are made of latents, or latents of pictures."""
    reading: int = 0
    """While captions are read."""


def away_of(base: Base, spec: BaseSpec, device: str, trained: Collection[str] = ()) -> Away:
    """What `spec.offload` keeps in the machine's memory, for a kind of device; nothing for the machine itself.

    `trained` are the parts beside the denoiser that are trained, and stay.
    """
    if spec.offload == "none" or device == "cpu":
        return Away()
    weights = weights_of(base, spec)
    own = next(part for part in weights if base.pipeline.components[part] is base.denoiser)
    others = {part: size for part, size in weights.items() if part != own and part not in trained}
    rest, reading = sum(others.values()), max((size for part, size in others.items() if part != "vae"), default=0)
    blocks, present = _block_sizes(base, spec, weights), 1 if device == "mps" else 2
    inside = sum(blocks) - sum(sorted(blocks)[-present:])
    whole = weights[own] if spec.offload == "model" else sum(blocks)
    return Away(
        training=rest + inside,
        drawing=rest + inside,
        decoding=rest - others["vae"] + whole,
        reading=rest - reading + whole,
    )


def _block_sizes(base: Base, spec: BaseSpec, weights: Mapping[str, int]) -> list[int]:
    """Bytes of each of the denoiser's blocks that move; quantised all shrink alike."""
    if spec.offload != "blocks":
        return []
    own: Any = base
    found = blocks_of(base.denoiser, own.blocks).values()
    part = next(part for part in weights if base.pipeline.components[part] is base.denoiser)
    share = weights[part] / _bytes_of(base.denoiser)
    return [int(share * _bytes_of(each)) for each in found]


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
        return sum(each.nbytes for each in plain_tensors(held))
    return sum(_bytes_of(each) for each in (*held.parameters(), *held.buffers()))


def _packed_size(weight: torch.Tensor, quantization: str) -> int:
    """Bytes of a linear layer's weights with their scales: of a row in torchao, of a block in bitsandbytes."""
    count = weight.numel()
    if quantization in IN_TORCHAO:
        return count + (5 if quantization == "int8" else 4) * len(weight)
    return count // 2 + 4 * -(-count // _BLOCK)
