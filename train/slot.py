"""One trial's place in a pack: its adapter, optimizer, schedule and its own sources of chance."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from foundation.bases.port import Base
from foundation.bases.registry import DTYPES
from foundation.errors import AdapterError, first_line
from foundation.files.durable import new_folder, write_bytes
from foundation.files.sums import is_as_sealed, seal, write_sums
from train.adapters import TrialAdapter
from train.batches import BatchSampler
from train.caches import EncodedDataset
from train.ema import Average
from train.objective import TrainingLoss
from train.optimizers import build_optimizer, factors_of, restore
from train.packed import Packed
from train.schedules import build_schedule
from train.spec import TrialSpec
from train.texts import Texts

_STATE_FILE: Final = "state.pt"
_UNREADABLE: Final = (
    RuntimeError,
    ValueError,
    EOFError,
    UnpicklingError,
    LookupError,
    TypeError,
    AttributeError,
    AssertionError,
)
"""What torch raises on a damaged file, which one of an earlier version, without a checksum, may be."""


class Slot:
    """Everything that one trial owns. All its randomness comes from its own seed, so company changes nothing.

    The adapter's initialisation is drawn from `seed`, what it learns from by `draws` from a CPU generator, and dropout
    inside the adapter from `chance`, a generator on the device.
    """

    def __init__(self, base: Base, name: str, spec: TrialSpec, data: EncodedDataset, texts: Texts) -> None:
        self.name = name
        self.spec = spec
        self.step = 0
        self.objective = TrainingLoss.of(spec.objective, base.process, data.regularization is not None)
        self.draws = BatchSampler(spec, self.objective, data, texts)
        self.adapter = TrialAdapter(base, name, spec.adapter, spec.train.seed, spec.train.num_steps)
        parts = self.adapter.parameters
        self.parameters: list[nn.Parameter] = [*parts[0], *parts[1]]
        stacked = self.adapter.stacked_parameters
        self._stacked = [each for each in self.parameters if each in stacked]
        self._apart = [each for each in self.parameters if each not in stacked]
        factors = factors_of(spec.optimizer, self.adapter.names)
        self.optimizer: Optimizer = build_optimizer(spec.optimizer, *parts, spec.train.images_per_step, factors)
        self.schedule: LRScheduler = build_schedule(spec.lr_scheduler, self.optimizer, spec.train.num_steps)
        self._average = Average(self.parameters, decay) if (decay := spec.train.ema_decay) is not None else None
        self.scaler = GradScaler(base.device.type, enabled=spec.train.precision == "fp16")
        self.chance = torch.Generator(base.device).manual_seed(spec.train.seed + 1)
        self.losses: list[Tensor] = []
        """Of the micro-batches since the last optimizer step, on the device."""
        self._at_step = self._chances()

    @property
    def is_finished(self) -> bool:
        """Whether all steps are done."""
        return self.step >= self.spec.train.last_step

    @property
    def due(self) -> bool:
        """Whether the next optimizer step has all its micro-batches."""
        return len(self.losses) == self.spec.train.gradient_accumulation or self.draws.num_left == 0

    @property
    def share(self) -> float:
        """Of the micro-batch that was just drawn in its optimizer step, which none of the next epoch goes into."""
        return 1 / min(self.spec.train.gradient_accumulation, len(self.losses) + 1 + self.draws.num_left)

    def with_penalty(self, loss: Tensor) -> Tensor:
        """A micro-batch's loss with what the adapter's kind adds to it."""
        penalty = self.adapter.penalty()
        return loss if penalty is None else loss + penalty

    def optimize(self) -> None:
        """Take the optimizer step that the gathered gradients ask for."""
        self.scaler.step(self.optimizer)
        self.adapter.after_step(self.step + 1)
        self.scaler.update()
        self.schedule.step()
        self.clear_gradients()
        self.step += 1
        if self._average is not None:
            self._average.take_in(self.step)
        self._at_step = self._chances()

    def clear_gradients(self) -> None:
        """Forget the micro-batches since the last optimizer step."""
        self.losses.clear()
        gradients = [p.grad for p in self._stacked if p.grad is not None]
        if gradients:
            torch._foreach_zero_(gradients)
        for parameter in self._apart:
            parameter.grad = None  # what a pass left out, the optimizer leaves alone

    @property
    def is_average(self) -> bool:
        """Whether what is judged and saved is an average, and not what training goes on from."""
        return self._average is not None or self.spec.optimizer.kind.schedule_free

    @contextmanager
    def for_use(self) -> Iterator[None]:
        """Within the block the parameters are those to judge and to save; then training goes on to the bit as before.

        They are the moving average of a trial with `train.ema_decay`, and the average that a schedule-free optimizer
        keeps; other trials are used as they train.
        """
        if not self.is_average:
            yield
            return
        raw = [parameter.detach().clone() for parameter in self.parameters]
        optimizer: Any = self.optimizer
        if self._average is None:
            optimizer.eval()
        else:
            self._put(self._average.values)
        try:
            yield
        finally:
            if self._average is None:
                optimizer.train()  # comes back but for rounding
            self._put(raw)

    @torch.no_grad()
    def _put(self, values: Sequence[Tensor]) -> None:
        parameters: list[Tensor] = [*self.parameters]
        torch._foreach_copy_(parameters, [*values])

    def _chances(self) -> dict[str, Any]:
        """All sources of chance as they stand."""
        return {**self.draws.state(), "dropout": self.chance.get_state()}

    def save_state(self, folder: Path) -> None:
        """Write all that a resumed slot needs to `folder`: as it was after its last whole step.

        It is one file, so that at every moment either the old state is there or the new one; its checksum is inside.
        """
        state: dict[str, Any] = {
            "step": self.step,
            "adapter": {key: tensor.cpu() for key, tensor in self.adapter.state().items()},
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "scaler": self.scaler.state_dict(),
            "average": None if self._average is None else self._average.values,
            **self._at_step,
        }
        buffer = io.BytesIO()
        torch.save(state, buffer)
        write_bytes(folder / _STATE_FILE, seal(buffer.getvalue()))

    def load_state(self, folder: Path) -> None:
        """Go on from what `save_state` wrote for the same spec.

        Raises:
            AdapterError: when the folder holds no state, a damaged one, or another adapter's.
        """
        file = folder / _STATE_FILE
        if not file.is_file():
            raise AdapterError(f"{folder} holds no training state to resume from")
        data = file.read_bytes()  # so that what torch cannot read is the file's fault, not the disk's
        if not is_as_sealed(data):
            raise AdapterError(f"{file} is damaged (its checksum differs)")
        try:
            state = torch.load(io.BytesIO(data), weights_only=True, map_location="cpu")  # the device may be another now
            adapter = state["adapter"]
        except _UNREADABLE as error:
            raise AdapterError(f"{file} is damaged ({first_line(error)})") from error
        self.adapter.load_state(adapter)
        self.step = int(state["step"])
        restore(self.optimizer, state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.scaler.load_state_dict(state["scaler"])
        self.draws.load(state)
        if self._average is not None:
            self._average.load(state["average"])
        self.chance.set_state(state["dropout"])
        self._at_step = self._chances()

    def save_adapter(self, folder: Path) -> None:
        """Write the adapter as a folder with its file, in the numbers of `train.save_precision`, and its checksum."""
        with new_folder(folder) as fresh, self.for_use():
            self.adapter.save(fresh, DTYPES[self.spec.train.save_precision])
            write_sums(fresh)


@contextmanager
def for_use(slots: Mapping[int, Slot], packed: Sequence[Packed]) -> Iterator[None]:
    """As `Slot.for_use` of all of these, and of their copies in the stacks."""
    averaged = {number: slot for number, slot in slots.items() if slot.is_average}

    def refresh() -> None:
        for number in averaged:
            for each in packed:
                each.refresh(number)

    try:
        with ExitStack() as stack:
            for slot in averaged.values():
                stack.enter_context(slot.for_use())
            refresh()
            yield
    finally:
        refresh()
