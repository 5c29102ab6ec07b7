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
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from peft.tuners.lora.layer import LoraLayer
from torch import Tensor, nn

from train.stacks import Places, Rows, StackedLayer


@dataclass(frozen=True, slots=True)
class _Guest:
    """One slot's adapter, as every layer needs to know it."""

    name: str
    dropout: float
    chance: torch.Generator
    """Where the slot's dropout comes from."""


class Packed:
    """Makes a module act on each slot's rows with that slot's adapter. One for each pack and adapted module."""

    def __init__(self, module: nn.Module, num_slots: int) -> None:
        self._module = module
        self._num_slots = num_slots
        self._guests: dict[int, _Guest] = {}
        self._layers: dict[nn.Module, StackedLayer] = {}
        self._places: dict[int, Places] = {}
        self._rows: Rows | None = None

    def put(self, slot: int, name: str, chance: torch.Generator) -> None:
        """Let PEFT's adapter `name`, if it is here, act on the rows of `slot`, its dropout drawn from `chance`."""
        dropout = 0.0
        self._places.clear()
        for module in self._module.modules():
            if isinstance(module, LoraLayer) and name in module.lora_A:
                layer = self._layers.get(module)
                if layer is None:
                    layer = self._layers[module] = StackedLayer(module, self._num_slots)
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
        self._rows = Rows(tuple(slots), parts, index, training)
        try:
            yield
        finally:
            self._rows = None

    def _device(self) -> torch.device:
        return next(self._module.parameters()).device

    def _places_of(self, slot: int) -> Places:
        """Where the slot's parameters lie in the stacks; looked up once, until a stack is laid out anew."""
        if slot not in self._places:
            places = Places()
            for layer in self._layers.values():
                layer.find(slot, places)
            self._places[slot] = places
        return self._places[slot]

    def _forward(self, layer: StackedLayer, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
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

    def _dropped(self, layer: StackedLayer, x: Tensor, rows: Rows) -> Tensor:
        """The layer's input with each slot's own dropout; a slot without any draws nothing."""
        guests = [self._guests[slot] for slot in rows.slots]
        if not rows.training or not any(guest.dropout for guest in guests):
            return x
        kept = rows.kept.get(id(layer))
        if kept is None:
            kept = rows.kept[id(layer)] = self._draw_kept(layer, x, rows, guests)
        return x * kept

    @staticmethod
    def _draw_kept(layer: StackedLayer, x: Tensor, rows: Rows, guests: list[_Guest]) -> Tensor:
        kept = torch.ones_like(x)
        for slot, guest, part in zip(rows.slots, guests, torch.split(kept, rows.share(len(x))), strict=True):
            if guest.dropout and slot in layer.stacked:
                part.bernoulli_(1 - guest.dropout, generator=guest.chance).div_(1 - guest.dropout)
        return kept

    def _add_apart(self, layer: StackedLayer, slot: int, x: Tensor, result: Tensor, rows: Rows) -> Tensor:
        """One slot's adapter as PEFT computes it, on that slot's rows."""
        guest, count = self._guests[slot], len(rows.slots)
        place = rows.slots.index(slot)
        share = torch.arange(len(x), device=x.device).view(rows.parts, count, -1)[:, place].flatten()
        layer.module.training = rows.training  # DoRA asks it, too
        layer.module.lora_dropout[guest.name].train(rows.training)
        with self._dropout_apart(layer, guest, x.device, rows) if guest.dropout and rows.training else nullcontext():
            own = layer.apply_apart(guest.name, x[share], result[share])
        return result.index_copy(0, share, own.to(result.dtype))

    @staticmethod
    @contextmanager
    def _dropout_apart(layer: StackedLayer, guest: _Guest, device: torch.device, rows: Rows) -> Iterator[None]:
        """PEFT's dropout draws from the device's global random state: let that be the guest's within the block."""
        key = id(guest), id(layer)
        again = key in rows.kept
        state = rows.kept.setdefault(key, guest.chance.get_state())
        with _global_chance(state, device) as drawn:
            yield
            if not again:
                guest.chance.set_state(drawn())


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
