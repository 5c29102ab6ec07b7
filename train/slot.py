"""One trial's place in a pack: its adapter, optimizer, schedule and its own sources of chance."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, fields
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
from train.adapters import Adapter
from train.bases import Base
from train.caches import EncodedDataset
from train.optimizers import build_optimizer
from train.schedules import build_schedule
from train.spec import TrialSpec

_ADAPTER_FILE, _STATE_FILE = "adapter.safetensors", "state.pt"


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows for the denoiser: clean latents (B, C, h, w), noise alike, timesteps (B,), and the captions.

    These are embedded as the base embeds them, (B, T, D), and token ids (B, T) for who trains the text encoder.
    """

    latents: Tensor
    noise: Tensor
    timesteps: Tensor
    embeddings: Tensor
    tokens: Tensor

    @staticmethod
    def of_all(batches: Sequence[Batch], device: torch.device) -> Batch:
        """The rows of several batches one after another, on the device."""
        columns = ([getattr(batch, field.name) for batch in batches] for field in fields(Batch))
        return Batch(*(torch.cat(column).to(device, non_blocking=True) for column in columns))


class Slot:
    """Everything that one trial owns. All its randomness comes from its own seed, so company changes nothing.

    The adapter's initialisation is drawn from `seed`, data order, timesteps, noise and caption dropout from a
    CPU generator, and dropout inside the adapter from `chance`, a generator on the device.
    """

    def __init__(self, base: Base, name: str, spec: TrialSpec) -> None:
        self.name = name
        self.spec = spec
        self.step = 0
        self.adapter = Adapter(base, name, spec.adapter, spec.train.seed, spec.train.steps)
        parts = self.adapter.parameters
        self.parameters: list[nn.Parameter] = [*parts[0], *parts[1]]
        stacked = self.adapter.stacked
        self._stacked = [each for each in self.parameters if each in stacked]
        self._apart = [each for each in self.parameters if each not in stacked]
        self.optimizer: Optimizer = build_optimizer(spec.optimizer, *parts)
        self.schedule: LRScheduler = build_schedule(spec.lr_scheduler, self.optimizer, spec.train.steps)
        self.scaler = GradScaler(base.device.type, enabled=spec.train.precision == "fp16")
        self._generator = torch.Generator().manual_seed(spec.train.seed)
        self.chance = torch.Generator(base.device).manual_seed(spec.train.seed + 1)
        self.losses: list[Tensor] = []
        """Of the micro-batches since the last optimizer step, on the device."""
        self._order: list[int] = []
        self._at_step = self._chances()

    @property
    def finished(self) -> bool:
        """Whether all steps are done."""
        return self.step >= self.spec.train.steps

    @property
    def due(self) -> bool:
        """Whether the next optimizer step has all its micro-batches."""
        return len(self.losses) == self.spec.train.gradient_accumulation

    def penalised(self, loss: Tensor) -> Tensor:
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
        self._at_step = self._chances()

    def clear_gradients(self) -> None:
        """Forget the micro-batches since the last optimizer step."""
        self.losses.clear()
        gradients = [p.grad for p in self._stacked if p.grad is not None]
        if gradients:
            torch._foreach_zero_(gradients)
        for parameter in self._apart:
            parameter.grad = None  # what a pass left out, the optimizer leaves alone

    def next_batch(self, dataset: EncodedDataset) -> Batch:
        """Draw the next micro-batch; every picture comes once before any comes twice."""
        data = dataset.train
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
        embeddings, tokens = data.embeddings[rows], data.tokens[rows]
        if share := self.spec.objective.caption_dropout:
            dropped = torch.rand(size, generator=self._generator) < share
            embeddings = torch.where(dropped[:, None, None], dataset.empty, embeddings)
            tokens = torch.where(dropped[:, None], dataset.empty_tokens, tokens)
        return Batch(latents, noise, timesteps, embeddings, tokens)

    def _randn(self, shape: Sequence[int]) -> Tensor:
        return torch.randn(*shape, generator=self._generator)

    def _chances(self) -> dict[str, Any]:
        """All sources of chance as they stand."""
        return {
            "generator": self._generator.get_state(),
            "dropout": self.chance.get_state(),
            "order": list(self._order),
        }

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
            tensors = {key: tensor.cpu() for key, tensor in self.adapter.state().items()}
            (fresh / _ADAPTER_FILE).write_bytes(save(tensors))
            (fresh / _STATE_FILE).write_bytes(buffer.getvalue())

    def load_state(self, folder: Path) -> None:
        """Go on from what `save_state` wrote for the same spec.

        Raises:
            AdapterError: when the folder holds no state, or another adapter's.
        """
        if not (folder / _STATE_FILE).is_file():
            raise AdapterError(f"{folder} holds no training state to resume from")
        self.adapter.load_state(load_file(folder / _ADAPTER_FILE))
        state = torch.load(folder / _STATE_FILE, weights_only=True)
        self.step = int(state["step"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.scaler.load_state_dict(state["scaler"])
        self._generator.set_state(state["generator"])
        self.chance.set_state(state["dropout"])
        self._order = list(state["order"])
        self._at_step = self._chances()

    def save_adapter(self, folder: Path) -> None:
        """Write the adapter as a folder with its file, see `foundation.adapter_files`."""
        with new_folder(folder) as fresh:
            self.adapter.save(fresh)
