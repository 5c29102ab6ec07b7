"""One trial's place in a pack: its adapter, optimizer, schedule and its own sources of chance."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
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
from train.caches import Encoded
from train.optimizers import build_optimizer
from train.schedules import build_schedule
from train.spec import TrialSpec

_ADAPTER_FILE, _STATE_FILE = "adapter.safetensors", "state.pt"


@dataclass(frozen=True, slots=True)
class Batch:
    """One micro-batch on the device: clean latents (B, C, h, w), noise alike, timesteps (B,), embeddings (B, T, D)."""

    latents: Tensor
    noise: Tensor
    timesteps: Tensor
    embeddings: Tensor


class Slot:
    """Everything that one trial owns. All its randomness comes from its own seed, so company changes nothing.

    The adapter's initialisation is drawn from `seed`, data order, timesteps, noise and caption dropout from a
    CPU generator, and dropout inside the adapter from a global random state that is swapped in for its turn.
    """

    def __init__(self, base: Base, name: str, spec: TrialSpec) -> None:
        self.name = name
        self.spec = spec
        self.step = 0
        self._base = base
        self.parameters: list[nn.Parameter] = adapters.add_adapter(base, name, spec.adapter, spec.train.seed)
        self.optimizer: Optimizer = build_optimizer(spec.optimizer, self.parameters)
        self.schedule: LRScheduler = build_schedule(spec.lr_scheduler, self.optimizer, spec.train.steps)
        self.scaler = GradScaler(base.device.type, enabled=spec.train.precision == "fp16")
        self._generator = torch.Generator().manual_seed(spec.train.seed)
        self._dropout_state = torch.Generator().manual_seed(spec.train.seed + 1).get_state()
        self._order: list[int] = []

    @property
    def finished(self) -> bool:
        """Whether all steps are done."""
        return self.step >= self.spec.train.steps

    def next_batch(self, data: Encoded, empty: Tensor) -> Batch:
        """Draw the next micro-batch; every picture comes once before any comes twice."""
        size = self.spec.train.batch_size
        while len(self._order) < size:
            self._order += torch.randperm(len(data), generator=self._generator).tolist()
        rows, self._order = self._order[:size], self._order[size:]
        means, stds = data.means[rows], data.stds[rows]
        latents = means + stds * self._randn(means.shape)
        noise = self._randn(means.shape)
        if offset := self.spec.objective.noise_offset:
            # Whole channels shift, so that pictures can grow darker or lighter:
            # crosslabs.org/blog/diffusion-with-offset-noise
            noise = noise + offset * self._randn((size, means.shape[1], 1, 1))
        timesteps = torch.randint(1000, (size,), generator=self._generator)
        embeddings = data.embeddings[rows]
        if share := self.spec.objective.caption_dropout:
            dropped = torch.rand(size, generator=self._generator) < share
            embeddings = torch.where(dropped[:, None, None], empty, embeddings)
        device = self._base.device
        return Batch(latents.to(device), noise.to(device), timesteps.to(device), embeddings.to(device))

    def _randn(self, shape: Sequence[int]) -> Tensor:
        return torch.randn(*shape, generator=self._generator)

    def swap_dropout_state(self) -> None:
        """Exchange the device's global random state with this slot's: call before and after its forward pass."""
        if not self.spec.adapter.dropout:
            return
        if self._base.device.type == "cuda":
            state = torch.cuda.get_rng_state(self._base.device)
            if self._dropout_state.numel() == state.numel():
                torch.cuda.set_rng_state(self._dropout_state, self._base.device)
            else:  # the first turn: the CPU state made at birth is no CUDA state
                torch.cuda.manual_seed(self.spec.train.seed + 1)
        else:
            state = torch.get_rng_state()
            torch.set_rng_state(self._dropout_state)
        self._dropout_state = state

    def save_state(self, folder: Path) -> None:
        """Write all that a resumed slot needs to `folder`, whole or not at all."""
        state: dict[str, Any] = {
            "step": self.step,
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "scaler": self.scaler.state_dict(),
            "generator": self._generator.get_state(),
            "dropout": self._dropout_state,
            "order": self._order,
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
        self._generator.set_state(state["generator"])
        self._dropout_state = state["dropout"]
        self._order = list(state["order"])

    def save_adapter(self, folder: Path) -> None:
        """Write the adapter as a folder that diffusers' `load_lora_weights` takes."""
        with new_folder(folder) as fresh:
            adapters.save_adapter(self._base, self.name, fresh, self.spec.adapter)

    def leave(self) -> None:
        """Take the adapter out of the base."""
        adapters.remove_adapter(self._base, self.name)
