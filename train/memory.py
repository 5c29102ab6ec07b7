"""What training takes, in memory and operations, by the shapes of a base that was not loaded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from torch.utils.flop_counter import FlopCounterMode

from foundation.bases.memory import latent_shape
from foundation.bases.port import Base
from foundation.bases.registry import DTYPES
from foundation.tensor_memory import Growth, TensorMemory, autocast_to, kernels_of
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

    peak: Growth
    """The most that is alive at once while so many slots train, the base included."""
    adapter: int
    """Of one trial's adapter."""
    state: int
    """Of one trial's optimizer."""
    flops: int
    """Floating-point operations of one slot's pass, as far as PyTorch counts them."""

    @property
    def waiting(self) -> int:
        """What a trial holds while it does not train: adapter and stack, their gradients, and the optimizer's state."""
        return 4 * self.adapter + self.state


def training_memory(
    base: Base, trial: TrialSpec, memory: TensorMemory, kept: float, *, device: str = "cpu", regularized: bool = False
) -> TrainingMemory:
    """Put adapters like the trial's on a fake base, and let one and then two slots make a pass as `Pack` makes them.

    `memory` has counted the base; `kept` is what the optimizer keeps (`state_per_number`), `device` the kind of device
    that it shall be for. `regularized`: regularisation pictures come with the others. The base is left with adapters.
    """
    set_attention(base, trial.train)
    denoiser: Any = base.denoiser
    if trial.train.activation_checkpointing:
        again = partial(checkpoint, use_reentrant=False, preserve_rng_state=False)  # there is no state to preserve
        denoiser.enable_gradient_checkpointing(again)
    denoiser.train()
    rest = (memory, device, regularized)
    adapters = [TrialAdapter(base, "slot0", trial.adapter, 0, trial.train.num_steps)]
    one = _peak_of_pass(base, trial, adapters, *rest)
    with FlopCounterMode(display=False) as counter:  # takes operations apart, which then take more memory
        _peak_of_pass(base, trial, adapters, *rest)
    adapters.append(TrialAdapter(base, "slot1", trial.adapter, 0, trial.train.num_steps))
    two = _peak_of_pass(base, trial, adapters, *rest)
    numbers = sum(each.numel() for part in adapters[0].parameters for each in part)
    state = int(numbers * kept)
    return TrainingMemory(
        peak=Growth(one + state, two + 2 * state),
        adapter=4 * numbers,
        state=state,
        flops=counter.get_total_flops(),
    )


def state_per_number(spec: OptimizerSpec) -> float:
    """Bytes that an optimizer keeps for each number that it trains: taken of a small one's, after a step."""
    parameter = nn.Parameter(torch.zeros(_SAMPLE))
    optimizer = build_optimizer(spec, [parameter])
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
    with memory.peak() as peak, kernels_of(device):  # also in the backward pass, where checkpoints run again
        _step(base, trial, packs, count, parts)
    for packed in packs:
        for number in slots:
            packed.remove(number)
    return peak[0]


def _step(base: Base, trial: TrialSpec, packs: Sequence[Packed], count: int, parts: int) -> None:
    """Let `count` slots learn from a batch each, of so many `parts` (see `Batch`).

    `packs` are those of denoiser and text encoder.
    """
    spec, dtype = trial.train, DTYPES[trial.train.precision]
    rows = spec.batch_size * parts * count
    latents = torch.empty(rows, *latent_shape(base))
    timesteps, sizes = torch.zeros(rows), torch.zeros(rows, 6) if base.reads_sizes else None
    slots, (own, texts) = range(count), packs
    taught = slots if trial.adapter.text_encoder else range(0)
    shape = (spec.batch_size, *latents.shape[1:])
    with own.rows_of(slots, latents=shape), texts.rows_of(taught, latents=shape):
        with autocast_to(dtype):
            embeddings = torch.empty(rows, *base.text_shape)
            if taught:
                embeddings = base.embed(torch.zeros(rows, base.num_ids, dtype=torch.int64))
            predicted = base.predict(latents, timesteps, embeddings, *([] if sizes is None else [sizes]))
        losses = [(share.float() - torch.empty_like(share)).square().mean() for share in predicted.chunk(count)]
        torch.stack(losses).sum().backward()  # type: ignore[no-untyped-call]
    for packed in packs:
        packed.take_gradients(slots)
