"""The packed forward: the LoRAs of many slots as batched products in the layers that all slots share.

PEFT's modules stay the truth for names, initialisation, saving and loading. Beside each adapted layer lie two stacks,
`down` (K, R, …) and `up` (K, out, R), with one adapter a slot, padded with zeros to the largest rank there: a slot's
rows meet its own adapter in one batched product for all. Gradients arrive in the stacks and are handed to the slot's
own parameters; after a slot's optimizer step its parameters are copied back. What a LoRA variant adds (DoRA's
magnitude) is no product of that kind: such adapters run one after another on their own rows, in the same pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from peft.tuners.lora.layer import LoraLayer
from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class _Guest:
    """One slot's adapter, as every layer needs to know it."""

    name: str
    dropout: float
    chance: torch.Generator
    """Where the slot's dropout comes from."""


@dataclass(frozen=True, slots=True)
class _Rows:
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
class _Places:
    """For each of one slot's parameters that lies in a stack: itself, its place there, and their gradients."""

    parameters: list[Tensor] = field(default_factory=list)
    values: list[Tensor] = field(default_factory=list)
    parameter_gradients: list[Tensor] = field(default_factory=list)
    gradients: list[Tensor] = field(default_factory=list)


class Packed:
    """Makes a denoiser act on each slot's rows with that slot's adapter. One for each pack."""

    def __init__(self, denoiser: nn.Module, num_slots: int) -> None:
        self._denoiser = denoiser
        self._num_slots = num_slots
        self._guests: dict[int, _Guest] = {}
        self._layers: dict[nn.Module, _Layer] = {}
        self._places: dict[int, _Places] = {}
        self._rows: _Rows | None = None

    def put(self, slot: int, name: str, chance: torch.Generator) -> None:
        """Let PEFT's adapter `name` act on the rows of `slot`, its dropout drawn from `chance`."""
        dropout = 0.0
        self._places.clear()
        for module in self._denoiser.modules():
            if isinstance(module, LoraLayer) and name in module.lora_A:
                layer = self._layers.get(module)
                if layer is None:
                    layer = self._layers[module] = _Layer(module, self._num_slots)
                    module.forward = partial(self._forward, layer)
                layer.put(slot, name)
                dropout = float(getattr(module.lora_dropout[name], "p", 0.0))
        self._guests[slot] = _Guest(name, dropout, chance)

    def remove(self, slot: int) -> None:
        """Forget a slot's adapter."""
        self._places.clear()
        for layer in self._layers.values():
            layer.remove(slot)
        del self._guests[slot]

    def refresh(self, slot: int) -> None:
        """Copy the slot's parameters into the stacks, after they changed."""
        places = self._places_of(slot)
        if places.values:
            torch._foreach_copy_(places.values, places.parameters)

    def take_gradients(self, slots: Sequence[int]) -> None:
        """Add what the last backward left in the stacks to the slots' own parameters, and clear the stacks."""
        for slot in slots:
            places = self._places_of(slot)
            if places.values:
                torch._foreach_add_(places.parameter_gradients, places.gradients)
        self.drop_gradients()

    def drop_gradients(self) -> None:
        """Clear the stacks' gradients."""
        gradients = [gradient for layer in self._layers.values() for gradient in layer.gradients()]
        if gradients:
            torch._foreach_zero_(gradients)

    @contextmanager
    def rows_of(self, slots: Sequence[int], parts: int = 1, training: bool = False) -> Iterator[None]:
        """Within the block a batch is `parts` equal parts, and each part holds an equal share for every slot in turn.

        Guidance makes two parts, unconditional before conditional rows. Without slots the base acts alone. One batch
        a block in training, with its backward pass.
        """
        everyone = tuple(slots) == tuple(range(self._num_slots))
        index = None if everyone or not slots else torch.tensor(slots, device=self._device())
        self._rows = _Rows(tuple(slots), parts, index, training)
        try:
            yield
        finally:
            self._rows = None

    def _device(self) -> torch.device:
        return next(self._denoiser.parameters()).device

    def _places_of(self, slot: int) -> _Places:
        """Where the slot's parameters lie in the stacks; looked up once, until a stack is laid out anew."""
        if slot not in self._places:
            places = _Places()
            for layer in self._layers.values():
                layer.find(slot, places)
            self._places[slot] = places
        return self._places[slot]

    def _forward(self, layer: _Layer, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        rows, module = self._rows, layer.module
        if rows is None:  # PEFT's own way, as when one adapter acts alone
            result: Tensor = type(module).forward(module, x, *args, **kwargs)
            return result
        result = module.base_layer(x, *args, **kwargs)
        stacked = [slot for slot in rows.slots if slot in layer.stacked]
        apart = [slot for slot in rows.slots if slot in layer.apart]
        if not stacked and not apart:
            return result
        if stacked:
            result = layer.add(result, self._dropped(layer, x, rows), rows)
        for slot in apart:
            result = self._add_apart(layer, slot, x, result, rows)
        return result

    def _dropped(self, layer: _Layer, x: Tensor, rows: _Rows) -> Tensor:
        """The layer's input with each slot's own dropout; a slot without any draws nothing."""
        guests = [self._guests[slot] for slot in rows.slots]
        if not rows.training or not any(guest.dropout for guest in guests):
            return x
        kept = rows.kept.get(id(layer))
        if kept is None:
            kept = rows.kept[id(layer)] = self._draw_kept(layer, x, rows, guests)
        return x * kept

    @staticmethod
    def _draw_kept(layer: _Layer, x: Tensor, rows: _Rows, guests: list[_Guest]) -> Tensor:
        kept = torch.ones_like(x)
        for slot, guest, part in zip(rows.slots, guests, torch.split(kept, rows.share(len(x))), strict=True):
            if guest.dropout and slot in layer.stacked:
                part.bernoulli_(1 - guest.dropout, generator=guest.chance).div_(1 - guest.dropout)
        return kept

    def _add_apart(self, layer: _Layer, slot: int, x: Tensor, result: Tensor, rows: _Rows) -> Tensor:
        """One slot's adapter as PEFT computes it, on that slot's rows."""
        guest, count = self._guests[slot], len(rows.slots)
        place = rows.slots.index(slot)
        share = torch.arange(len(x), device=x.device).view(rows.parts, count, -1)[:, place].flatten()
        layer.module.lora_dropout[guest.name].train(rows.training)
        with self._dropout_apart(layer, guest, x.device, rows) if guest.dropout and rows.training else nullcontext():
            own = layer.apply_apart(guest.name, x[share], result[share])
        return result.index_copy(0, share, own.to(result.dtype))

    @staticmethod
    @contextmanager
    def _dropout_apart(layer: _Layer, guest: _Guest, device: torch.device, rows: _Rows) -> Iterator[None]:
        """PEFT's dropout draws from the device's global random state: let that be the guest's within the block."""
        key = id(guest), id(layer)
        again = key in rows.kept
        state = rows.kept.setdefault(key, guest.chance.get_state())
        with _global_chance(state, device) as drawn:
            yield
            if not again:
                guest.chance.set_state(drawn())


@dataclass(slots=True)
class _Layer:
    """One adapted layer of the denoiser, and the stacks beside it."""

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
        self.apart.pop(slot, None)
        if self.stacked.pop(slot, None) is not None:
            self._build()

    def find(self, slot: int, places: _Places) -> None:
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
            places = _Places()
            self.find(slot, places)
            torch._foreach_copy_(places.values, places.parameters)
        self.scale = self.scale.to(a.device)

    def add(self, result: Tensor, x: Tensor, rows: _Rows) -> Tensor:
        """The base layer's output plus every slot's update; a slot that has none here adds zeros."""
        assert self.down is not None and self.up is not None and self.scale is not None
        down, up, scale = self.down, self.up, self.scale
        if rows.index is not None:
            down, up, scale = (stack.index_select(0, rows.index) for stack in (down, up, scale))
        count = len(rows.slots)
        rows.share(len(x))  # that there is one
        x, base = _by_slot(x.to(down.dtype), rows.parts, count), _by_slot(result, rows.parts, count)
        update = _linear_update if down.dim() == 3 else partial(_conv_update, self.module.base_layer)
        added = update(x, base, down, up, scale.view(-1, 1, 1)).to(result.dtype)
        return _by_row(added, rows.parts)


def _by_slot(x: Tensor, parts: int, count: int) -> Tensor:
    """(parts · K · n, …) to (K, parts · n, …); a view where there is one part."""
    return x.view(parts, count, -1, *x.shape[1:]).transpose(0, 1).flatten(1, 2)


def _by_row(x: Tensor, parts: int) -> Tensor:
    """The way back."""
    return x.view(len(x), parts, -1, *x.shape[2:]).transpose(0, 1).flatten(0, 2)


def _linear_update(x: Tensor, base: Tensor, down: Tensor, up: Tensor, scale: Tensor) -> Tensor:
    """base + scale · up(down(x)) for x (K, n, …, in), down (K, R, in), up (K, out, R), scale (K, 1, 1)."""
    inner = torch.bmm(x.flatten(1, -2), down.mT) * scale
    return torch.baddbmm(base.flatten(1, -2).to(inner.dtype), inner, up.mT).view(base.shape)


def _conv_update(layer: nn.Conv2d, x: Tensor, base: Tensor, down: Tensor, up: Tensor, scale: Tensor) -> Tensor:
    """As `_linear_update` for x (K, n, in, h, w), down (K, R, in, kh, kw): one convolution, a group for each slot."""
    count = len(x)
    inner = F.conv2d(
        x.transpose(0, 1).flatten(1, 2), down.flatten(0, 1), None, layer.stride, layer.padding, layer.dilation, count
    )
    inner = inner.view(len(inner), count, -1, inner.shape[-2] * inner.shape[-1])  # (n, K, R, h·w)
    inner = inner.transpose(0, 1) * scale[..., None]
    return base + torch.matmul(up[:, None], inner).view(base.shape)


@contextmanager
def _global_chance(state: Tensor, device: torch.device) -> Iterator[Callable[[], Tensor]]:
    """Let the device's global random state be `state` within the block; gives a function that says where it stands."""
    on_gpu = device.type == "cuda"
    get: Callable[[], Tensor] = partial(torch.cuda.get_rng_state, device) if on_gpu else torch.get_rng_state
    put = partial(torch.cuda.set_rng_state, device=device) if on_gpu else torch.set_rng_state
    before = get()
    put(state)
    try:
        yield get
    finally:
        put(before)
