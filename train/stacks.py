"""The stacks beside one adapted layer, every slot's LoRA in two tensors, and what the layer does in a packed pass."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from foundation.devices import KINDS, random_state
from train.products import LoraDelta, conv_update, linear_update, merged_linear, merging_pays


@dataclass(frozen=True, slots=True)
class SlotAdapter:
    """One slot's adapter, as every layer needs to know it."""

    name: str
    dropout: float
    chance: torch.Generator
    """Where the slot's dropout comes from."""


@dataclass(frozen=True, slots=True)
class RowAssignment:
    """Whose rows a pass holds: an equal share for every slot in turn."""

    slots: tuple[int, ...]
    guests: tuple[SlotAdapter, ...]
    """One for each of `slots`."""
    index: Tensor | None
    """`slots` as the stacks' index, None when they are all of the pack's in order."""
    training: bool
    drops: bool
    """Whether any slot has dropout in this pass."""
    dropped: list[StackedLayer] = field(default_factory=list)
    """The layers that have drawn what they drop, in the order in which the pass came to them."""
    states: dict[object, Tensor] = field(default_factory=dict)
    """The state of chance before an adapter apart drew: with activation checkpointing a layer runs again in the
    backward pass, and must run the same."""

    def share(self, num_rows: int) -> int:
        """Rows of one slot."""
        share, over = divmod(num_rows, len(self.slots))
        if over:
            raise ValueError(f"{num_rows} rows cannot be shared by {len(self.slots)} slots")
        return share


@dataclass(slots=True)
class SlotPlaces:
    """For each of one slot's parameters that lies in a stack: itself, its place there, and their gradients."""

    parameters: list[Tensor] = field(default_factory=list)
    values: list[Tensor] = field(default_factory=list)
    parameter_gradients: list[Tensor] = field(default_factory=list)
    gradients: list[Tensor] = field(default_factory=list)


@dataclass(eq=False, slots=True)
class StackedLayer:
    """One layer of the base that slots adapt, and the stacks beside it.

    Its `forward` stands in for the layer's own. What it reads there, all but tensors' values, is what compiled code is
    made for: so it reads little, and `begin` has worked out beforehand what a pass asks of the layer.
    """

    base: nn.Module
    num_slots: int
    lasting_rank: int | None = None
    """Stacks of at least this rank, which stay when their slots leave; None: as narrow as those present allow."""
    stacked: dict[int, LoraDelta] = field(default_factory=dict)
    """What slots add that is a plain product."""
    apart: dict[int, nn.Module] = field(default_factory=dict)
    """For slots with another adapter here, PEFT's own layer around the base's."""
    down: Tensor | None = None
    up: Tensor | None = None
    scale: Tensor | None = None
    """(K,)"""
    rows: RowAssignment | None = None
    """The pass that is on."""
    adds: bool = False
    """Whether the stacks act in it."""
    acting_apart: tuple[int, ...] = ()
    """The slots in it with an adapter apart here."""
    kept: Tensor | None = None
    """What dropout keeps of the layer's input in it, scaled; drawn when the layer is reached, or before."""
    known: tuple[Tensor, Tensor] | None = None
    """An input whose output is known, for an adapter apart that asks the base for it."""

    def put(self, slot: int, product: LoraDelta) -> None:
        """Take in a slot's adapter that is a plain product."""
        self.stacked[slot] = product
        self._build()

    def put_apart(self, slot: int, layer: nn.Module) -> None:
        """Take in a slot's adapter of another kind: PEFT's layer, which gets at the base's through this one."""
        base: Any = layer.base_layer
        base.forward = self._base_output
        self.apart[slot] = layer

    def remove(self, slot: int) -> None:
        """Forget a slot's adapter, if it has one here."""
        self.apart.pop(slot, None)
        if self.stacked.pop(slot, None) is not None:
            self._build()

    def find(self, slot: int, places: SlotPlaces) -> None:
        """Add the slot's two parameters, if it has any in the stacks."""
        if slot not in self.stacked or self.down is None or self.up is None:
            return
        pair = self.stacked[slot].learned
        rank = len(pair.down)
        for stack, place, parameter in (
            (self.down, (slot, slice(rank)), pair.down),
            (self.up, (slot, slice(None), slice(rank)), pair.up),
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

    def _build(self) -> None:
        """Lay the stacks out anew for the adapters that are there."""
        if not self.stacked and self.lasting_rank is None:
            self.down = self.up = self.scale = None
        elif not self.stacked:
            for stack in (self.down, self.up):
                assert stack is not None
                stack.detach().zero_()
        else:
            ranks = [product.rank for product in self.stacked.values()]
            if self.lasting_rank is not None:
                ranks.append(self.lasting_rank)
                self.lasting_rank = max(ranks)
            self._lay_out(max(ranks))

    def _lay_out(self, rank: int) -> None:
        """In the same memory, where that has the right shape: what was recorded of passes names its addresses."""
        pair = next(iter(self.stacked.values())).learned
        if self.down is None or self.up is None or self.scale is None or self.down.shape[1] != rank:
            self.down = pair.down.new_empty(self.num_slots, rank, *pair.down.shape[1:]).requires_grad_()
            self.up = pair.down.new_empty(self.num_slots, len(pair.up), rank).requires_grad_()
            self.scale = pair.down.new_empty(self.num_slots)
            for stack in (self.down, self.up):
                stack.grad = torch.empty_like(stack)
        torch._foreach_zero_([self.down.detach(), self.up.detach(), *self.gradients()])
        scales = [self.stacked[slot].scale if slot in self.stacked else 0.0 for slot in range(self.num_slots)]
        self.scale.copy_(torch.tensor(scales, dtype=self.scale.dtype))
        for slot, product in self.stacked.items():
            places = SlotPlaces()
            self.find(slot, places)
            torch._foreach_copy_(places.values, places.parameters)
            self._lay_out_frozen(slot, product)

    def _lay_out_frozen(self, slot: int, product: LoraDelta) -> None:
        """Behind a slot's learned ranks lies what its update leaves out; no gradient is ever taken from there."""
        if product.less is None:
            return
        assert self.down is not None and self.up is not None
        place = slice(len(product.learned.down), product.rank)
        self.down.detach()[slot, place] = product.less.down
        self.up.detach()[slot, :, place] = -product.less.up.flatten(1)

    def begin(self, rows: RowAssignment) -> None:
        """Act in a pass, until `end`."""
        self.rows = rows
        self.adds = any(slot in self.stacked for slot in rows.slots) or (bool(rows.slots) and self._lasts)
        self.acting_apart = tuple(slot for slot in rows.slots if slot in self.apart)

    @property
    def _lasts(self) -> bool:
        return self.lasting_rank is not None and self.down is not None

    def end(self) -> None:
        """Act as the base's layer does by itself."""
        self.rows = self.kept = None

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """The layer's output, every row with its slot's adapter."""
        rows, base = self.rows, self.base
        result: Tensor
        if rows is not None and self.adds and not rows.training and merging_pays(base, x, len(rows.slots)):
            result = merged_linear(base, x, *self._stacks(x, rows))
        else:
            result = type(base).forward(base, x, *args, **kwargs)
            if rows is None:
                return result
            if self.adds:
                result = self._add(result, self._drop(x, rows), rows)
        for slot in self.acting_apart:
            result = self._add_apart(slot, x, result, rows)
        return result

    def _add(self, result: Tensor, x: Tensor, rows: RowAssignment) -> Tensor:
        """The base layer's output plus every slot's update; a slot that has none here adds zeros."""
        down, up, scale = self._stacks(x, rows)
        if down.dim() == 3:
            return linear_update(result, x, down, up, scale)
        assert isinstance(self.base, nn.Conv2d)
        return conv_update(result, x, down, up, scale, self.base)

    def _stacks(self, x: Tensor, rows: RowAssignment) -> tuple[Tensor, Tensor, Tensor]:
        """Those of the slots in the pass, of which x holds an equal share for each."""
        assert self.down is not None and self.up is not None and self.scale is not None
        rows.share(len(x))  # that there is one
        down, up, scale = self.down, self.up, self.scale
        if rows.index is not None:
            down, up, scale = (stack.index_select(0, rows.index) for stack in (down, up, scale))
        return down, up, scale

    def _drop(self, x: Tensor, rows: RowAssignment) -> Tensor:
        """The layer's input with each slot's own dropout; a slot without any draws nothing."""
        if not rows.drops:
            return x
        kept = self.kept
        if kept is None:
            # Drawn in the order of its indices: in what order x lies in memory hangs on the slot's company.
            kept = self.draw(rows, torch.empty_like(x, memory_format=torch.contiguous_format))
            rows.dropped.append(self)
        return x * kept

    def draw(self, rows: RowAssignment, kept: Tensor) -> Tensor:
        """Draw what dropout keeps of the layer's input in this pass, into a tensor of its shape."""
        kept.fill_(1)
        for slot, guest, part in zip(rows.slots, rows.guests, torch.split(kept, rows.share(len(kept))), strict=True):
            if guest.dropout and slot in self.stacked:
                part.bernoulli_(1 - guest.dropout, generator=guest.chance).div_(1 - guest.dropout)
        self.kept = kept
        return kept

    def _add_apart(self, slot: int, x: Tensor, result: Tensor, rows: RowAssignment) -> Tensor:
        """One slot's adapter as PEFT computes it, on that slot's rows."""
        place = rows.slots.index(slot)
        guest, layer = rows.guests[place], self.apart[slot]
        drops = rows.training and guest.dropout > 0
        if layer.training != drops:
            layer.train(drops)
        length = rows.share(len(x))
        share = torch.arange(place * length, (place + 1) * length, device=x.device)
        own = x[share].contiguous()  # as in `_drop`, for what PEFT's dropout draws
        self.known = own, result[share]
        try:
            with self._dropout_apart(guest, x.device, rows) if drops else nullcontext():
                adapted = layer(own)
        finally:
            self.known = None
        return result.index_copy(0, share, adapted.to(result.dtype))

    def _base_output(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """The base layer's own output, computed anew only when it is not known."""
        if self.known is not None and x is self.known[0]:
            return self.known[1]
        output: Tensor = type(self.base).forward(self.base, x, *args, **kwargs)
        return output

    @contextmanager
    def _dropout_apart(self, guest: SlotAdapter, device: torch.device, rows: RowAssignment) -> Iterator[None]:
        """PEFT's dropout draws from a global random state: let that be the guest's within the block."""
        key = guest.name, id(self)
        again = key in rows.states
        state = rows.states.setdefault(key, guest.chance.get_state())
        with _global_chance(state, device) as drawn:
            yield
            if not again:
                guest.chance.set_state(drawn())


@contextmanager
def _global_chance(state: Tensor, device: torch.device) -> Iterator[Callable[[], Tensor]]:
    """Let the device's global random state be `state` within the block; gives a function that says where it stands.

    What draws on the CPU wherever the layer is (LoHa, LoKr) draws from a state that follows from it.
    """
    get, put = random_state(device)
    before, host = get(), torch.get_rng_state()
    put(state)
    if device.type in KINDS:
        torch.default_generator.manual_seed(zlib.crc32(state.numpy().tobytes()))
        torch.rand(1, device=device)  # so that the next block finds another state
    try:
        yield get
    finally:
        torch.set_rng_state(host)
        put(before)
