"""What training takes of a device's memory, by the shapes of a base that was not loaded (`foundation.bases.unloaded`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import unset_fake_temporarily
from torch.utils.checkpoint import checkpoint

from foundation.bases.port import Base
from foundation.bases.registry import DTYPES
from foundation.tensor_memory import TensorMemory, autocast_as
from train.adapters import TrialAdapter
from train.attention import set_attention
from train.optimizers import build_optimizer
from train.packed import Packed
from train.spec import OptimizerSpec, TrialSpec

_SAMPLE: Final = (16, 1024)
"""A factor of a LoRA, whose optimizer tells how much it keeps for each number."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingMemory:
    """Of a pack, in bytes."""

    one: int
    """The most that is alive at once while one slot trains, the base included."""
    two: int
    """The same of two slots."""
    adapter: int
    """Of one trial's adapter."""
    state: int
    """Of one trial's optimizer."""

    def peak(self, slots: int) -> int:
        """The most that is alive at once while so many slots train: each further one takes as much as the second."""
        return self.one + (slots - 1) * (self.two - self.one)


def training_memory(
    base: Base, trial: TrialSpec, memory: TensorMemory, *, device: str = "cpu", regularized: bool = False
) -> TrainingMemory:
    """Put adapters like the trial's on a fake base, and let one and then two slots make a pass as `Pack` makes them.

    `memory` has counted the base; `device` is the kind of device that it shall be for. `regularized`: regularisation
    pictures come with the others. The base is left with adapters on it.
    """
    set_attention(base, trial.train)
    denoiser: Any = base.denoiser
    if trial.train.activation_checkpointing:
        again = partial(checkpoint, use_reentrant=False, preserve_rng_state=False)  # there is no state to preserve
        denoiser.enable_gradient_checkpointing(again)
    denoiser.train()
    adapters: list[TrialAdapter] = []
    peaks = []
    for number in range(2):
        adapters.append(TrialAdapter(base, f"slot{number}", trial.adapter, 0, trial.train.num_steps))
        peaks.append(_peak_of_pass(base, trial, adapters, memory, device, regularized))
    numbers = sum(each.numel() for part in adapters[0].parameters for each in part)
    with unset_fake_temporarily():
        state = int(numbers * state_per_number(trial.optimizer))
    return TrainingMemory(one=peaks[0] + state, two=peaks[1] + 2 * state, adapter=4 * numbers, state=state)


def state_per_number(spec: OptimizerSpec) -> float:
    """Bytes that an optimizer keeps for each number that it trains: taken of a small one's, after a step."""
    parameter = nn.Parameter(torch.zeros(_SAMPLE))
    optimizer = build_optimizer(replace(spec), [parameter])
    parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    kept = [each for each in optimizer.state[parameter].values() if isinstance(each, Tensor)]
    return sum(each.numel() * each.element_size() for each in kept) / parameter.numel()


def _peak_of_pass(
    base: Base,
    trial: TrialSpec,
    adapters: Sequence[TrialAdapter],
    memory: TensorMemory,
    device: str,
    regularized: bool,
) -> int:
    """Of the slots of these adapters, which share a pass: bytes.

    `base`, `trial`, `memory`, `device` and `regularized` are as in `training_memory`.
    """
    count = len(adapters)
    packs = [Packed(module, count) for module in (base.denoiser, base.text_encoder)]
    for number, adapter in enumerate(adapters):
        for packed in packs:
            packed.put(number, adapter, torch.Generator())
    slots = range(count)
    parts = 1 + regularized + (trial.objective.preserve_class > 0)
    with memory.peak() as peak:
        _step(base, trial, packs, count, parts, device)
    for packed in packs:
        for number in slots:
            packed.remove(number)
    return peak[0]


def _step(base: Base, trial: TrialSpec, packs: Sequence[Packed], count: int, parts: int, device: str) -> None:
    """Let `count` slots learn from a batch each, of so many `parts` (see `Batch`).

    `base`, `trial` and `device` are as in `training_memory`, `packs` those of denoiser and text encoder.
    """
    spec, dtype = trial.train, DTYPES[trial.train.precision]
    rows, side = spec.batch_size * parts * count, base.resolution // base.pipeline.vae_scale_factor
    latents = torch.empty(rows, base.denoiser.config.in_channels, side, side)  # type: ignore[union-attr, arg-type]
    timesteps, sizes = torch.zeros(rows), torch.zeros(rows, 6) if base.reads_sizes else None
    slots, (own, texts) = range(count), packs
    taught = slots if trial.adapter.text_encoder else range(0)
    shape = (spec.batch_size, *latents.shape[1:])
    with own.rows_of(slots, latents=shape), texts.rows_of(taught, latents=shape):
        with autocast_as(device, dtype):
            embeddings = torch.empty(rows, *base.text_shape)
            if taught:
                embeddings = base.embed(torch.zeros(rows, base.num_tokens, dtype=torch.int64))
            predicted = base.predict(latents, timesteps, embeddings, *([] if sizes is None else [sizes]))
        losses = [(share.float() - torch.empty_like(share)).square().mean() for share in predicted.chunk(count)]
        torch.stack(losses).sum().backward()  # type: ignore[no-untyped-call]
    for packed in packs:
        packed.take_gradients(slots)
