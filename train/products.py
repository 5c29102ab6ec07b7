"""The batched products of a packed layer: every slot's rows with that slot's own LoRA."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeGuard

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils._python_dispatch import is_traceable_wrapper_subclass


@dataclass(frozen=True, slots=True)
class LowRankFactors:
    """Two factors: `down` (R, in, …) and `up` (out, R, …), whose further dimensions are a convolution's window."""

    down: Tensor
    up: Tensor


@dataclass(frozen=True, slots=True)
class LoraDelta:
    """What one adapter adds to a layer: scale · (up·down - less.up·less.down), where the first pair is learned."""

    learned: LowRankFactors
    scale: float
    less: LowRankFactors | None = None
    """Of the learned pair's shapes, and frozen."""

    @property
    def rank(self) -> int:
        """How many rows it takes of a stack."""
        return len(self.learned.down) + (0 if self.less is None else len(self.less.down))


def linear_update(result: Tensor, x: Tensor, down: Tensor, up: Tensor, scale: Tensor) -> Tensor:
    """result + scale · up(down(x)) for result (B, …, out), x (B, …, in), down (K, R, in), up (K, out, R), scale (K,).

    The B rows are an equal share for every slot in turn. The products are taken in autocast's numbers where it is on,
    else in those of `down`.
    """
    device = x.device.type
    dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else down.dtype
    updated: Tensor = _LinearUpdate.apply(  # type: ignore[no-untyped-call]
        result, x.to(dtype), down.to(dtype), up.to(dtype), scale.to(dtype)
    )
    return updated


def merging_pays(layer: nn.Module, x: Tensor, count: int) -> TypeGuard[nn.Linear]:
    """Whether `merged_linear`, which makes a weight for each of `count` slots, is the cheaper way.

    In half precision never: what a LoRA adds would be rounded to the steps of the weight that it is added to.
    """
    if type(layer) is not nn.Linear or torch.is_grad_enabled() or torch.is_autocast_enabled(x.device.type):
        return False
    if is_traceable_wrapper_subclass(layer.weight):  # quantised
        return False
    if x.dtype != layer.weight.dtype or x.dtype not in (torch.float32, torch.float64):
        return False
    rows = x.numel() // layer.in_features // count
    return rows * (layer.in_features + layer.out_features) > layer.in_features * layer.out_features


def merged_linear(layer: nn.Linear, x: Tensor, down: Tensor, up: Tensor, scale: Tensor) -> Tensor:
    """As `linear_update` of the layer's own output, by one product with the weight of each slot, its LoRA merged in.

    It spares the updates' own passes over the rows. Where gradients are wanted it would be no use: they are taken of
    `down` and `up`, which such a weight hides.
    """
    count, out, dtype = len(down), layer.out_features, layer.weight.dtype
    added = (up * scale.view(-1, 1, 1)).to(dtype), down.to(dtype)
    weights = torch.baddbmm(layer.weight.expand(count, -1, -1), *added)  # (K, out, in)
    rows = _by_slot(x, count).flatten(1, -2)
    if layer.bias is None:
        result = torch.bmm(rows, weights.mT)
    else:
        result = torch.baddbmm(layer.bias.expand(count, 1, out), rows, weights.mT)
    return result.view(*x.shape[:-1], out)


def conv_update(result: Tensor, x: Tensor, down: Tensor, up: Tensor, scale: Tensor, layer: nn.Conv2d) -> Tensor:
    """As `linear_update`, for a convolution `layer` with `result` (B, out, h', w'): one convolution, a group a slot.

    `x` (B, in, h, w), `down` (K, R, in, kh, kw), `up` (K, out, R), `scale` (K,).
    """
    count = len(down)
    x, base = _by_slot(x.to(down.dtype), count), _by_slot(result, count)
    inner = F.conv2d(
        x.transpose(0, 1).flatten(1, 2), down.flatten(0, 1), None, layer.stride, layer.padding, layer.dilation, count
    )
    inner = inner.view(len(inner), count, -1, inner.shape[-2] * inner.shape[-1])  # (n, K, R, h·w)
    inner = inner.transpose(0, 1) * scale.view(-1, 1, 1, 1)
    added = base + torch.matmul(up[:, None], inner).view(base.shape)
    return added.to(result.dtype).flatten(0, 1)


def _by_slot(x: Tensor, count: int) -> Tensor:
    """(K · n, …) to (K, n, …)."""
    return x.reshape(count, -1, *x.shape[1:])


class _LinearUpdate(torch.autograd.Function):
    """`linear_update` as one node in autograd's graph.

    As a dozen small operations a layer, most of a small pack's overhead would be autograd's own.
    """

    @staticmethod
    def forward(ctx: Any, result: Tensor, x: Tensor, down: Tensor, up: Tensor, scale: Tensor) -> Tensor:
        rows = _by_slot(x, len(down)).flatten(1, -2)
        inner = torch.bmm(rows, down.mT).mul_(scale[:, None, None])
        ctx.save_for_backward(rows, inner, down, up, scale)
        ctx.shape = x.shape
        base = _by_slot(result, len(down))
        added = torch.baddbmm(base.flatten(1, -2).to(inner.dtype), inner, up.mT)
        return added.view(result.shape).to(result.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        rows, inner, down, up, scale = ctx.saved_tensors
        gradient = _by_slot(gradients[0], len(down)).flatten(1, -2).to(inner.dtype)
        to_inner = torch.bmm(gradient, up).mul_(scale[:, None, None])
        to_x = None
        if ctx.needs_input_grad[1]:
            to_x = torch.bmm(to_inner, down).view(ctx.shape)
        to_down, to_up = torch.bmm(to_inner.mT, rows), torch.bmm(gradient.mT, inner)
        return gradients[0], to_x, to_down, to_up, None
