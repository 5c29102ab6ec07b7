"""Trials that share one frozen base on one device and advance together."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.utils import PrecisionType
from torch import nn

from foundation.errors import ConfigError, StudyError
from train import adapters
from train.bases import Base
from train.caches import EncodedDataset
from train.objective import add_noise, denoising_loss, snr_weights, target_of
from train.optimizers import effective_lr
from train.slot import Batch, Slot
from train.spec import Precision, TrialSpec


@dataclass(frozen=True, slots=True)
class StepReport:
    """What one slot did in one `Pack.step`."""

    slot: int
    step: int
    """Optimizer steps done, this one included."""
    loss: float
    """Mean training loss of the step's micro-batches, as weighted by the trial's objective."""
    lr: float
    """The rate that was used; for Prodigy d·lr."""
    grad_norm: float
    """Gradient norm before clipping."""
    failure: str | None = None
    """Why the trial cannot go on: its loss is not finite, it ran out of memory, or torch refused its step."""


class Pack:
    """Up to `num_slots` trials over one base. Not thread-safe; one pack a process.

    A trial in a pack trains as it would alone: what the slots share is frozen.
    """

    def __init__(self, base: Base, data: EncodedDataset, num_slots: int, precision: Precision = "fp32") -> None:
        self.base = base
        self.data = data
        self._slots: list[Slot | None] = [None] * num_slots
        self._accelerator = _accelerator(base.device, precision)
        self._admitted = 0

    @property
    def free(self) -> list[int]:
        """Numbers of the empty slots."""
        return [i for i, slot in enumerate(self._slots) if slot is None]

    @property
    def active(self) -> list[int]:
        """Numbers of the slots that hold a trial."""
        return [i for i, slot in enumerate(self._slots) if slot is not None]

    def admit(self, spec: TrialSpec, resume_from: Path | None = None) -> int:
        """Give a trial the first empty slot, fresh or from a state that `save_state` wrote; the slot's number.

        Raises:
            StudyError: when no slot is empty.
            AdapterError: when the adapter fits no layer, or the state is another trial's.
        """
        if not self.free:
            raise StudyError(f"all {len(self._slots)} slots are taken; release one first")
        number = self.free[0]
        self._admitted += 1  # PEFT's names must be new: a deleted adapter's name lingers in some of its tables
        slot = Slot(self.base, f"slot{number}x{self._admitted}", spec)
        try:
            if resume_from is not None:
                slot.load_state(resume_from)
        except BaseException:
            slot.leave()
            raise
        self._slots[number] = slot
        return number

    def release(self, number: int) -> None:
        """Empty a slot. What was not saved is gone."""
        self._slot(number).leave()
        self._slots[number] = None

    def step(self) -> list[StepReport]:
        """Advance every active slot that is not finished by one optimizer step, in slot order."""
        return [self._advance(number) for number in self.active if not self._slot(number).finished]

    def spec(self, number: int) -> TrialSpec:
        """The trial in a slot."""
        return self._slot(number).spec

    def steps_done(self, number: int) -> int:
        """Optimizer steps that a slot's trial has behind it."""
        return self._slot(number).step

    def finished(self, number: int) -> bool:
        """Whether a slot's trial has done all its steps."""
        return self._slot(number).finished

    def save_adapter(self, number: int, folder: Path) -> None:
        """Write a slot's adapter as diffusers loads it."""
        self._slot(number).save_adapter(folder)

    def save_state(self, number: int, folder: Path) -> None:
        """Write what `admit(resume_from=…)` needs."""
        self._slot(number).save_state(folder)

    @contextmanager
    def acting(self, number: int | None) -> Iterator[Base]:
        """Within the block the base acts with this slot's adapter alone (None: with none), without gradients."""
        with self._acting_as(None if number is None else self._slot(number).name) as base:
            yield base

    @contextmanager
    def acting_file(self, folder: Path) -> Iterator[Base]:
        """As `acting`, with an adapter that `save_adapter` wrote, loaded by diffusers for the time of the block.

        Raises:
            AdapterError: when diffusers cannot load it into this base.
        """
        self._admitted += 1
        name = f"file{self._admitted}"
        self.base.load_adapter(folder, name)
        try:
            with self._acting_as(name) as base:
                yield base
        finally:
            adapters.remove_adapter(self.base, name)

    @contextmanager
    def _acting_as(self, name: str | None) -> Iterator[Base]:
        was_training = self.base.denoiser.training
        self.base.denoiser.eval()
        try:
            with adapters.only_adapter(self.base, name), torch.no_grad(), self._accelerator.autocast():
                yield self.base
        finally:
            self.base.denoiser.train(was_training)

    def _slot(self, number: int) -> Slot:
        slot = self._slots[number]
        if slot is None:
            raise StudyError(f"slot {number} is empty")
        return slot

    def _advance(self, number: int) -> StepReport:
        slot = self._slot(number)
        try:
            return self._optimize(number, slot)
        except torch.OutOfMemoryError as error:
            reason = f"out of memory on {self.base.device}: {str(error).splitlines()[0]}"
        except torch.AcceleratorError:
            raise  # the device is lost, for every slot
        except RuntimeError as error:
            reason = f"step {slot.step + 1} failed: {str(error).splitlines()[0]}"
            if "can't allocate memory" in str(error):  # how the CPU's allocator says it
                reason = f"out of memory on {self.base.device}"
        slot.optimizer.zero_grad(set_to_none=True)
        return StepReport(number, slot.step, math.nan, math.nan, math.nan, reason)

    def _optimize(self, number: int, slot: Slot) -> StepReport:
        accumulation = slot.spec.train.gradient_accumulation
        loss = sum(self._backward(slot, accumulation) for _ in range(accumulation))
        slot.scaler.unscale_(slot.optimizer)
        norm = float(nn.utils.clip_grad_norm_(slot.parameters, slot.spec.train.clip_norm))
        lr = effective_lr(slot.optimizer)
        if not math.isfinite(loss):
            slot.optimizer.zero_grad(set_to_none=True)
            return StepReport(number, slot.step, loss, lr, norm, f"loss is {loss} at step {slot.step + 1}")
        slot.scaler.step(slot.optimizer)
        slot.scaler.update()
        slot.schedule.step()
        slot.optimizer.zero_grad(set_to_none=True)
        slot.step += 1
        return StepReport(number, slot.step, loss, lr, norm)

    def _backward(self, slot: Slot, accumulation: int) -> float:
        batch = slot.next_batch(self.data.train, self.data.empty)
        self.base.denoiser.train()
        with adapters.only_adapter(self.base, slot.name), self._accelerator.autocast():
            slot.swap_dropout_state()
            try:
                loss = self._loss(slot, batch) / accumulation
            finally:
                slot.swap_dropout_state()
        slot.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        return loss.item()

    def _loss(self, slot: Slot, batch: Batch) -> torch.Tensor:
        alphas, kind = self.base.alphas_cumprod, self.base.prediction_type
        noisy = add_noise(batch.latents, batch.noise, alphas, batch.timesteps)
        predicted = self.base.predict(noisy, batch.timesteps, batch.embeddings)
        target = target_of(kind, batch.latents, batch.noise, alphas, batch.timesteps)
        weights = snr_weights(slot.spec.objective.snr_gamma, kind, alphas, batch.timesteps)
        return denoising_loss(predicted, target, weights)


def _accelerator(device: torch.device, precision: Precision) -> Accelerator:
    if precision == "fp16" and device.type == "cpu":
        raise ConfigError(["train.precision fp16 needs a GPU, the device is the CPU; use train.precision=bf16 or fp32"])
    mixed = {"fp32": PrecisionType.NO, "bf16": PrecisionType.BF16, "fp16": PrecisionType.FP16}[precision]
    return Accelerator(mixed_precision=str(mixed), cpu=device.type == "cpu")
