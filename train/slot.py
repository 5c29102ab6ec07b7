"""One trial's place in a pack: its adapter, optimizer, schedule and its own sources of chance."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from foundation.durable import new_folder
from foundation.errors import AdapterError
from train import adapters
from train.bases import Base
from train.caches import EncodedDataset
from train.draws import Draws
from train.objective import Objective
from train.optimizers import build_optimizer
from train.schedules import build_schedule
from train.spec import TrialSpec
from train.texts import Texts

_ADAPTER_FILE, _STATE_FILE = "adapter.safetensors", "state.pt"


class Slot:
    """Everything that one trial owns. All its randomness comes from its own seed, so company changes nothing.

    The adapter's initialisation is drawn from `seed`, what it learns from by `draws` from a CPU generator, and dropout
    inside the adapter from `chance`, a generator on the device.
    """

    def __init__(self, base: Base, name: str, spec: TrialSpec, data: EncodedDataset, texts: Texts) -> None:
        self.name = name
        self.spec = spec
        self.step = 0
        self._base = base
        self.objective = Objective.of(spec.objective, base.process, data.regularization is not None)
        self.draws = Draws(spec, self.objective, data, texts)
        parts = adapters.add_adapter(base, name, spec.adapter, spec.train.seed)
        self.parameters: list[nn.Parameter] = [*parts[0], *parts[1]]
        self.optimizer: Optimizer = build_optimizer(spec.optimizer, *parts)
        self.schedule: LRScheduler = build_schedule(spec.lr_scheduler, self.optimizer, spec.train.num_steps)
        self.scaler = GradScaler(base.device.type, enabled=spec.train.precision == "fp16")
        self.chance = torch.Generator(base.device).manual_seed(spec.train.seed + 1)
        self.losses: list[Tensor] = []
        """Of the micro-batches since the last optimizer step, on the device."""
        self._at_step = self._chances()

    @property
    def finished(self) -> bool:
        """Whether all steps are done."""
        return self.step >= self.spec.train.num_steps

    @property
    def due(self) -> bool:
        """Whether the next optimizer step has all its micro-batches."""
        return len(self.losses) == self.spec.train.gradient_accumulation

    def optimize(self) -> None:
        """Take the optimizer step that the gathered gradients ask for."""
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.schedule.step()
        self.clear_gradients()
        self.step += 1
        self._at_step = self._chances()

    def clear_gradients(self) -> None:
        """Forget the micro-batches since the last optimizer step."""
        self.losses.clear()
        gradients = [p.grad for p in self.parameters if p.grad is not None]
        if gradients:
            torch._foreach_zero_(gradients)

    def _chances(self) -> dict[str, Any]:
        """All sources of chance as they stand."""
        return {**self.draws.state(), "dropout": self.chance.get_state()}

    def save_state(self, folder: Path) -> None:
        """Write all that a resumed slot needs to `folder`, whole or not at all: as it was after its last whole step."""
        state: dict[str, Any] = {
            "step": self.step,
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "scaler": self.scaler.state_dict(),
            **self._at_step,
        }
        buffer = io.BytesIO()
        torch.save(state, buffer)
        with new_folder(folder) as fresh:
            tensors = {key: tensor.cpu() for key, tensor in adapters.adapter_state(self._base, self.name).items()}
            (fresh / _ADAPTER_FILE).write_bytes(save(tensors))
            (fresh / _STATE_FILE).write_bytes(buffer.getvalue())

    def load_state(self, folder: Path) -> None:
        """Go on from what `save_state` wrote for the same spec.

        Raises:
            AdapterError: when the folder holds no state, or another adapter's.
        """
        if not (folder / _STATE_FILE).is_file():
            raise AdapterError(f"{folder} holds no training state to resume from")
        adapters.load_adapter_state(self._base, self.name, load_file(folder / _ADAPTER_FILE))
        state = torch.load(folder / _STATE_FILE, weights_only=True)
        self.step = int(state["step"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.scaler.load_state_dict(state["scaler"])
        self.draws.load(state)
        self.chance.set_state(state["dropout"])
        self._at_step = self._chances()

    def save_adapter(self, folder: Path) -> None:
        """Write the adapter as a folder that diffusers' `load_lora_weights` takes."""
        with new_folder(folder) as fresh:
            adapters.save_adapter(self._base, self.name, fresh, self.spec.adapter)

    def leave(self) -> None:
        """Take the adapter out of the base."""
        adapters.remove_adapter(self._base, self.name)
