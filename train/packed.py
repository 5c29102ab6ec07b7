"""The packed forward: the LoRAs of many slots as batched products in the layers that all slots share.

The base's tree stays as it is: PEFT's layers, the truth for names, initialisation, saving and loading, are each slot's
own (`train.adapters`). Beside each adapted layer of the base lie two stacks,
`down` (K, R, …) and `up` (K, out, R), with one adapter a slot, padded with zeros to the largest rank there: a slot's
rows meet its own adapter in one batched product for all. Gradients arrive in the stacks and are handed to the slot's
own parameters; after a slot's optimizer step its parameters are copied back. What other kinds add (DoRA's magnitude,
LoHa, OFT …) is no product of that kind: such adapters run one after another on their own rows, in the same pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext

import torch
from torch import Tensor, nn

from train.adapters import TrialAdapter
from train.compiled_blocks import Regions
from train.cuda_graphs import Graphs, can_record
from train.spec import Lasting
from train.stacks import RowAssignment, SlotAdapter, SlotPlaces, StackedLayer

_Shape = tuple[int, ...]


class Packed:
    """Makes a module act on each slot's rows with that slot's adapter. One for each pack and adapted module.

    With `lasting` the training passes of all slots are compiled, or recorded, or both. Stacks are then at least so wide
    and stay where they once were, so that a slot's next trial meets the same code and addresses.
    """

    def __init__(
        self, module: nn.Module, num_slots: int, lasting: Lasting | None = None, device: torch.device | None = None
    ) -> None:
        """`device` is where it computes, if that is not where all of its weights are."""
        self._module = module
        self._device = device or next(module.parameters()).device
        self._num_slots = num_slots
        self._lasting_rank = None if lasting is None else lasting.rank
        self._regions = Regions(module) if lasting and lasting.compiled else None
        self._graphs = Graphs() if lasting and lasting.recorded and can_record(self._device) else None
        self._guests: dict[int, SlotAdapter] = {}
        self._layers: dict[nn.Module, StackedLayer] = {}
        self._places: dict[int, SlotPlaces] = {}
        self._indices: dict[tuple[int, ...], Tensor | None] = {}
        self._masks: dict[_Shape, dict[StackedLayer, Tensor]] = {}
        """For the latents of a foreseen pass with dropout: where each layer's mask lies, in the order in which the pass
        comes to them."""
        self._mask_of: dict[tuple[StackedLayer, _Shape], Tensor] = {}
        """The same whoever the slots' trials are."""
        self._replays: tuple[Tensor, ...] | None = None
        """The masks of the pass that is on, if that is one to record and replay."""

    def put(self, slot: int, adapter: TrialAdapter, chance: torch.Generator) -> None:
        """Let an adapter's part here, if it has one, act on the rows of `slot`, its dropout drawn from `chance`."""
        self._forget_company()
        part = adapter.part_in(self._module)
        if part is not None:
            for name, product in part.products.items():
                self._layer(name).put(slot, product)
            for name, layer in part.apart.items():
                self._layer(name).put_apart(slot, layer)
        self._guests[slot] = SlotAdapter(adapter.name, 0.0 if part is None else part.dropout, chance)

    def _layer(self, name: str) -> StackedLayer:
        """What stands in for the layer of this name."""
        base = self._module.get_submodule(name)
        if base not in self._layers:
            layer = self._layers[base] = StackedLayer(base, self._num_slots, self._lasting_rank)
            base.forward = layer.forward
        return self._layers[base]

    def remove(self, slot: int) -> None:
        """Forget a slot's adapter."""
        self._forget_company()
        for layer in self._layers.values():
            layer.remove(slot)
        del self._guests[slot]

    def _forget_company(self) -> None:
        self._places.clear()
        self._masks.clear()

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
    def rows_of(self, slots: Sequence[int], latents: _Shape | None = None) -> Iterator[None]:
        """Within the block a batch holds an equal share for every slot in turn; without slots the base acts alone.

        For training `latents` is the shape of a slot's batch; then one batch a block, with its backward pass.
        """
        rows = self._rows(tuple(slots), latents is not None)
        layers = self._layers.values()
        for layer in layers:
            layer.begin(rows)
        foreseen = latents is not None and self._is_foreseen(rows)
        masks = self._masks.get(latents or (), {}) if foreseen and rows.drops else {}
        regular = foreseen and (not rows.drops or bool(masks))
        for layer, mask in masks.items():
            layer.draw(rows, mask)
        self._replays = tuple(masks.values()) if regular and self._graphs else None
        try:
            with self._regions.running() if regular and self._regions else nullcontext():
                yield
            if foreseen and latents and rows.dropped:
                self._masks[latents] = {layer: self._mask(layer, latents) for layer in rows.dropped}
        finally:
            self._replays = None
            for layer in layers:
                layer.end()

    def run(self, function: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
        """function(*inputs), which calls the module once, replayed from a recording where the pass is one for that."""
        if self._graphs is None or self._replays is None:
            return function(*inputs)
        stacks = [stack for layer in self._layers.values() for stack in (layer.down, layer.up) if stack is not None]
        return self._graphs.run(function, inputs, stacks, self._replays)

    def _mask(self, layer: StackedLayer, latents: _Shape) -> Tensor:
        """Where the layer's mask lies from now on."""
        assert layer.kept is not None
        return self._mask_of.setdefault((layer, latents), layer.kept)

    def _rows(self, slots: tuple[int, ...], training: bool) -> RowAssignment:
        guests = tuple(self._guests[slot] for slot in slots)
        drops = training and any(guest.dropout for guest in guests)
        return RowAssignment(slots, guests, self._index_of(slots), training, drops)

    def _is_foreseen(self, rows: RowAssignment) -> bool:
        """Whether a training pass is one to compile or record: of all slots, with no adapter apart.

        With dropout an earlier one of the same trials must have shown the masks' shapes, which are drawn before it.
        """
        if self._lasting_rank is None or len(rows.slots) < self._num_slots:
            return False
        return not any(layer.acting_apart for layer in self._layers.values())

    def _index_of(self, slots: tuple[int, ...]) -> Tensor | None:
        """Kept, since a tensor's way to a GPU is waited for."""
        if slots not in self._indices:
            everyone = slots == tuple(range(self._num_slots))
            self._indices[slots] = None if everyone or not slots else torch.tensor(slots, device=self._device)
        return self._indices[slots]

    def _places_of(self, slot: int) -> SlotPlaces:
        """Where the slot's parameters lie in the stacks; looked up once, until a stack is laid out anew."""
        if slot not in self._places:
            places = SlotPlaces()
            for layer in self._layers.values():
                layer.find(slot, places)
            self._places[slot] = places
        return self._places[slot]
