"""The stacks beside one adapted layer: every slot's LoRA in two tensors, and the batched products over them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from peft.tuners.lora.layer import LoraLayer
from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class Rows:
    """Whose rows a batch holds: `parts` equal parts, in each of them an equal share for every slot in turn."""

    slots: tuple[int, ...]
    parts: int
    index: Tensor | None
    """`slots` as the stacks' index, None when they are all of the pack's in order."""
    training: bool
    kept: dict[object, Tensor] = field(default_factory=dict)
    """What dropout kept in each layer, and the state of chance before an adapter apart drew: with activation
    checkpointing a layer runs again in the backward pass, and must run the same."""

    def share(self, num_rows: int) -> int:
        """Rows of one slot in one part."""
        share, over = divmod(num_rows, len(self.slots) * self.parts)
        if over:
            raise ValueError(f"{num_rows} rows cannot be shared by {len(self.slots)} slots in {self.parts} parts")
        return share


@dataclass(slots=True)
class Places:
    """For each of one slot's parameters that lies in a stack: itself, its place there, and their gradients."""

    parameters: list[Tensor] = field(default_factory=list)
    values: list[Tensor] = field(default_factory=list)
    parameter_gradients: list[Tensor] = field(default_factory=list)
    gradients: list[Tensor] = field(default_factory=list)


@dataclass(slots=True)
class StackedLayer:
    """One adapted layer, and the stacks beside it."""

    module: LoraLayer
    num_slots: int
    stacked: dict[int, str] = field(default_factory=dict)
    """Slot to adapter name."""
    apart: dict[int, str] = field(default_factory=dict)
    """As `stacked`, for adapters that are no plain product."""
    down: Tensor | None = None
    up: Tensor | None = None
    scale: Tensor | None = None
    """(K,)"""

    def put(self, slot: int, name: str) -> None:
        """Take in a slot's adapter."""
        if self._is_plain_product(name):
            self.stacked[slot] = name
            self._build()
        else:
            self.apart[slot] = name

    def _is_plain_product(self, name: str) -> bool:
        layer = self.module.base_layer
        fits = isinstance(layer, nn.Linear) or (
            isinstance(layer, nn.Conv2d) and layer.groups == 1 and layer.padding_mode == "zeros"
        )
        return fits and name not in self.module.lora_variant and self.module.lora_B[name].bias is None

    def remove(self, slot: int) -> None:
        """Forget a slot's adapter, if it has one here."""
        self.apart.pop(slot, None)
        if self.stacked.pop(slot, None) is not None:
            self._build()

    def find(self, slot: int, places: Places) -> None:
        """Add the slot's two parameters, if it has any in the stacks."""
        if slot not in self.stacked or self.down is None or self.up is None:
            return
        a, b = self._parameters(slot)
        rank = len(a)
        for stack, place, parameter in (
            (self.down, (slot, slice(rank)), a),
            (self.up, (slot, slice(None), slice(rank)), b),
        ):
            assert stack.grad is not None
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            value = stack.detach()[place]
            places.values.append(value)
            places.gradients.append(stack.grad[place])
            places.parameters.append(parameter.detach().view(value.shape))
            places.parameter_gradients.append(parameter.grad.view(value.shape))

    def gradients(self) -> list[Tensor]:
        """Of the stacks."""
        return [stack.grad for stack in (self.down, self.up) if stack is not None and stack.grad is not None]

    def apply_apart(self, name: str, x: Tensor, result: Tensor) -> Tensor:
        """What PEFT's own forward does for one adapter."""
        module, a = self.module, self.module.lora_A[name]
        x = x.to(a.weight.dtype)
        if name in module.lora_variant:
            varied: Tensor = module.lora_variant[name].forward(module, active_adapter=name, x=x, result=result)
            return varied
        plain: Tensor = result + module.lora_B[name](a(module.lora_dropout[name](x))) * module.scaling[name]
        return plain

    def _parameters(self, slot: int) -> tuple[nn.Parameter, nn.Parameter]:
        name = self.stacked[slot]
        return self.module.lora_A[name].weight, self.module.lora_B[name].weight

    def _build(self) -> None:
        """Lay the stacks out anew, no wider than the largest rank that is there."""
        self.down = self.up = self.scale = None
        if not self.stacked:
            return
        a, b = self._parameters(next(iter(self.stacked)))
        rank = max(len(self._parameters(slot)[0]) for slot in self.stacked)
        self.down = a.new_zeros(self.num_slots, rank, *a.shape[1:]).requires_grad_()
        self.up = a.new_zeros(self.num_slots, b.shape[0], rank).requires_grad_()
        self.scale = torch.zeros(self.num_slots, dtype=a.dtype)
        for stack in (self.down, self.up):
            stack.grad = torch.zeros_like(stack)
        for slot, name in self.stacked.items():
            self.scale[slot] = self.module.scaling[name]
            places = Places()
            self.find(slot, places)
            torch._foreach_copy_(places.values, places.parameters)
        self.scale = self.scale.to(a.device)

    def add(self, result: Tensor, x: Tensor, rows: Rows) -> Tensor:
        """The base layer's output plus every slot's update; a slot that has none here adds zeros."""
        assert self.down is not None and self.up is not None and self.scale is not None
        down, up, scale = self.down, self.up, self.scale
        if rows.index is not None:
            down, up, scale = (stack.index_select(0, rows.index) for stack in (down, up, scale))
        rows.share(len(x))  # that there is one
        if down.dim() == 3:
            dtype = torch.get_autocast_dtype(x.device.type) if torch.is_autocast_enabled(x.device.type) else down.dtype
            operands = (tensor.to(dtype) for tensor in (x, down, up, scale))
            return _LinearUpdate.apply(result, *operands, rows.parts)  # type: ignore[no-any-return, no-untyped-call]
        x, base = _by_slot(x.to(down.dtype), rows.parts, len(down)), _by_slot(result, rows.parts, len(down))
        added = _conv_update(self.module.base_layer, x, base, down, up, scale.view(-1, 1, 1))
        return _by_row(added.to(result.dtype), rows.parts)


def _by_slot(x: Tensor, parts: int, count: int) -> Tensor:
    """(parts · K · n, …) to (K, parts · n, …); a view where there is one part."""
    return x.reshape(parts, count, -1, *x.shape[1:]).transpose(0, 1).flatten(1, 2)


def _by_row(x: Tensor, parts: int) -> Tensor:
    """The way back."""
    return x.view(len(x), parts, -1, *x.shape[2:]).transpose(0, 1).flatten(0, 2)


class _LinearUpdate(torch.autograd.Function):
    """result + scale · up(down(x)), every slot's rows with its own adapter.

    For result (B, …, out), x (B, …, in), down (K, R, in), up (K, out, R), scale (K,). One node in autograd's graph: as
    a dozen small operations a layer, most of a small pack's overhead would be autograd's own.
    """

    @staticmethod
    def forward(ctx: Any, result: Tensor, x: Tensor, down: Tensor, up: Tensor, scale: Tensor, parts: int) -> Tensor:
        rows = _by_slot(x, parts, len(down)).flatten(1, -2)
        inner = torch.bmm(rows, down.mT).mul_(scale[:, None, None])
        ctx.save_for_backward(rows, inner, down, up, scale)
        ctx.shape, ctx.parts = x.shape, parts
        base = _by_slot(result, parts, len(down))
        added = torch.baddbmm(base.flatten(1, -2).to(inner.dtype), inner, up.mT)
        return _by_row(added.view(base.shape), parts).to(result.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        rows, inner, down, up, scale = ctx.saved_tensors
        gradient = _by_slot(gradients[0], ctx.parts, len(down)).flatten(1, -2).to(inner.dtype)
        to_inner = torch.bmm(gradient, up).mul_(scale[:, None, None])
        to_x = None
        if ctx.needs_input_grad[1]:
            shape = (len(down), -1, *ctx.shape[1:])
            to_x = _by_row(torch.bmm(to_inner, down).view(shape), ctx.parts)
        to_down, to_up = torch.bmm(to_inner.mT, rows), torch.bmm(gradient.mT, inner)
        return gradients[0], to_x, to_down, to_up, None, None


def _conv_update(layer: nn.Conv2d, x: Tensor, base: Tensor, down: Tensor, up: Tensor, scale: Tensor) -> Tensor:
    """As `_LinearUpdate`, for x (K, n, in, h, w), down (K, R, in, kh, kw): one convolution, a group for each slot."""
    count = len(x)
    inner = F.conv2d(
        x.transpose(0, 1).flatten(1, 2), down.flatten(0, 1), None, layer.stride, layer.padding, layer.dilation, count
    )
    inner = inner.view(len(inner), count, -1, inner.shape[-2] * inner.shape[-1])  # (n, K, R, h·w)
    inner = inner.transpose(0, 1) * scale[..., None]
    return base + torch.matmul(up[:, None], inner).view(base.shape)
