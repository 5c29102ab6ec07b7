"""Trials that share one frozen base on one device and advance together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from foundation.adapters.files import move_adapter, put_on, take_off
from foundation.bases.port import Base
from foundation.errors import StudyError, first_line
from train.batch import Batch
from train.caches import EncodedDataset
from train.deferred import DeferredReports, PendingStep
from train.mixed_precision import accelerator_for
from train.optimizers import effective_lr, states_away
from train.packed import Packed
from train.packed_batch import PackedBatch
from train.reports import StepReport
from train.slot import Slot, for_use
from train.spec import Lasting, Precision, TrialSpec
from train.texts import Texts

_FROM_FILE: Final = "file"
"""What an adapter that is loaded from a file is called while it is on the pipeline."""


class Pack:
    """Up to `num_slots` trials over one base. Not thread-safe; one pack a process.

    A trial in a pack trains as it would alone: what the slots share is frozen, and no row sees another's. All train on
    `data` in one `precision`; `activation_checkpointing` computes activations twice to keep fewer. `lasting` turns
    compiling and recording on (see `Packed`), `read_every` is how many steps go by before `step` reads.

    accelerate casts and clips. Its loss scale and its count of micro-batches are one for the whole process, where each
    slot has its own here: an overflow of one trial would skip the others' steps. The device is the base's.
    """

    def __init__(
        self,
        base: Base,
        data: EncodedDataset,
        num_slots: int,
        precision: Precision = "fp32",
        activation_checkpointing: bool = False,
        lasting: Lasting | None = None,
        read_every: int = 1,
    ) -> None:
        self.base = base
        self.data = data
        self._slots: list[Slot | None] = [None] * num_slots
        self._accelerator = accelerator_for(base.device, precision)
        self._packed = Packed(base.denoiser, num_slots, lasting, base.device)
        self._packed_text = Packed(base.text_encoder, num_slots, device=base.device)
        self._both = (self._packed, self._packed_text)
        self._texts = Texts(base, partial(self._packed_text.rows_of, ()))
        self._admitted = 0
        self._ledger = DeferredReports(read_every)
        self.at_once = num_slots
        """Slots that share a pass at most: fewer than there are once a pass of all ran out of memory."""
        denoiser: Any = base.denoiser
        if activation_checkpointing:
            denoiser.enable_gradient_checkpointing()
        denoiser.train()  # what activation checkpointing asks for; dropout is the slots' own

    @property
    def free(self) -> list[int]:
        """Numbers of the empty slots."""
        return [i for i, slot in enumerate(self._slots) if slot is None]

    @property
    def active(self) -> list[int]:
        """Numbers of the slots that hold a trial."""
        return [i for i, slot in enumerate(self._slots) if slot is not None]

    def admit(self, spec: TrialSpec, resume_from: Path | None = None, data: EncodedDataset | None = None) -> int:
        """Give a trial the first empty slot, fresh or from a state that `save_state` wrote; the slot's number.

        It learns from other `data` than the pack's, where such is given.

        Raises:
            StudyError: when no slot is empty.
            AdapterError: when the adapter fits no layer, or the state is another trial's.
            ConfigError: when the objective is not one for this base.
        """
        if not self.free:
            raise StudyError(f"all {len(self._slots)} slots are taken; release one first")
        number = self.free[0]
        self._admitted += 1
        slot = Slot(self.base, f"slot{number}x{self._admitted}", spec, data or self.data, self._texts)
        if resume_from is not None:
            slot.load_state(resume_from)
        self._slots[number] = slot
        for packed in self._both:
            packed.put(number, slot.adapter, slot.chance)
        return number

    def release(self, number: int) -> None:
        """Empty a slot. What was not saved, or not read, is gone."""
        for packed in self._both:
            packed.remove(number)
        self._slots[number] = None
        self._ledger.forget(number)

    def step(self) -> list[StepReport]:
        """Give every slot that is not finished one more micro-batch; what `read` gives if it is time, else nothing.

        It is time every `read_every` calls, and when a slot took its last step or could not go on. Slots that can
        share a pass do: one forward and one backward over the rows of all of them.
        """
        groups: dict[tuple[str, tuple[int, ...]], list[int]] = {}
        for number in self.active:
            if not self.is_finished(number):
                key = (self.spec(number).pack_key, self._slot(number).draws.next_shape)
                groups.setdefault(key, []).append(number)
        taken: list[PendingStep] = []
        for alike in groups.values():
            for start in range(0, len(alike), self.at_once):
                taken += self._advance(alike[start : start + self.at_once])
        self._ledger.add(taken)
        return self.read() if self._ledger.full or any(self.is_finished(each.slot) for each in taken) else []

    def read(self) -> list[StepReport]:
        """A report for each optimizer step since the last reading, in order. Waits for the device.

        A slot with a loss or gradient that is not finite failed at that step. Nothing more is reported of it, and
        nothing of it can be saved; until it is released its rows go along, so that the others' passes stay what they
        were.
        """
        return self._ledger.flush()

    def spec(self, number: int) -> TrialSpec:
        """The trial in a slot."""
        return self._slot(number).spec

    def steps_done(self, number: int) -> int:
        """Optimizer steps that a slot's trial has behind it."""
        return self._slot(number).step

    def is_finished(self, number: int) -> bool:
        """Whether a slot's trial has done all its steps."""
        return self._slot(number).is_finished

    def save_adapter(self, number: int, folder: Path) -> None:
        """Write a slot's adapter as diffusers loads it.

        Raises:
            StudyError: when the trial failed.
        """
        self._sound_slot(number).save_adapter(folder)

    def save_state(self, number: int, folder: Path) -> None:
        """Write what `admit(resume_from=…)` needs.

        Raises:
            StudyError: when the trial failed.
        """
        self._sound_slot(number).save_state(folder)

    def has_failed(self, number: int) -> bool:
        """Whether a slot's trial failed, be it read or not. Waits for the device."""
        self._ledger.read()
        return number in self._ledger.failed

    def _sound_slot(self, number: int) -> Slot:
        if self.has_failed(number):
            raise StudyError(f"the trial in slot {number} failed; nothing of it is saved")
        return self._slot(number)

    @contextmanager
    def acting(self, numbers: Sequence[int]) -> Iterator[Base]:
        """Within the block the base acts without gradients, on an equal share of the rows for each slot in turn.

        Without slots it is the plain base. A slot acts as it would be saved: with its averaged weights, where it has
        such. Rows that a pipeline adds for guidance must lie in their slot's share, too.
        """
        with (
            for_use({number: self._slot(number) for number in numbers}, self._both),
            self._waiting(),
            self._at_rest(),
            self._packed.rows_of(numbers),
            self._packed_text.rows_of(numbers),
        ):
            yield self.base

    @contextmanager
    def acting_file(self, folder: Path, strength: float = 1.0) -> Iterator[Base]:
        """As `acting`, with an adapter that `save_adapter` wrote, put on the base for the time of the block.

        `strength` multiplies its update in every part of the pipeline that the adapter is in: 1 is as it was trained.
        See `foundation.adapters.files.put_on`.

        Raises:
            AdapterError: when it does not fit this base.
        """
        pipeline = self.base.pipeline
        try:
            put_on(pipeline, folder, _FROM_FILE, strength)
            if self.base.offload == "blocks":  # it was put where the weights are
                move_adapter(self.base.denoiser, _FROM_FILE, self.base.device)
            with self._waiting(), self._at_rest():
                yield self.base
        finally:
            take_off(pipeline)

    def _waiting(self) -> AbstractContextManager[None]:
        """No trial's optimizer takes memory of the device, if the base leaves it, too."""
        waiting = [] if self.base.offload == "none" else self.active
        return states_away([self._slot(number).optimizer for number in waiting])

    @contextmanager
    def _at_rest(self) -> Iterator[None]:
        """No gradients, no dropout."""
        self.base.denoiser.eval()
        self.base.text_encoder.eval()
        try:
            with torch.no_grad(), self._accelerator.autocast():
                yield
        finally:
            self.base.denoiser.train()

    def _slot(self, number: int) -> Slot:
        slot = self._slots[number]
        if slot is None:
            raise StudyError(f"slot {number} is empty")
        return slot

    def _advance(self, numbers: list[int]) -> list[PendingStep]:
        """One pass for these slots, which share a batch size, and a shape."""
        return self._pass(numbers, [self._slot(number).draws.next_batch() for number in numbers])

    def _pass(self, numbers: list[int], batches: list[Batch]) -> list[PendingStep]:
        slots = [self._slot(number) for number in numbers]
        chances = [slot.chance.get_state() for slot in slots]
        try:
            losses = self._backward(numbers, slots, batches)
        except RuntimeError as error:
            if (reason := _out_of_memory(error)) is None:
                raise
        else:
            for packed in self._both:
                packed.take_gradients(numbers)
            return self._optimize(numbers, slots, losses)
        for packed in self._both:
            packed.drop_gradients()
        if len(numbers) == 1:  # alone it has no one else to blame
            slots[0].clear_gradients()
            return [
                PendingStep(numbers[0], slots[0].step + 1, failure=f"out of memory on {self.base.device}: {reason}")
            ]
        for slot, chance in zip(slots, chances, strict=True):
            slot.chance.set_state(chance)
            if not slot.losses:
                slot.clear_gradients()  # an adapter apart has its gradients at once, be they whole or not
        self.at_once = half = -(-len(numbers) // 2)
        return [*self._pass(numbers[:half], batches[:half]), *self._pass(numbers[half:], batches[half:])]

    def _backward(self, numbers: list[int], slots: list[Slot], batches: list[Batch]) -> Tensor:
        """Forward and backward for all rows; each slot's loss (K,). Summed, so that none scales another's gradient."""
        batch = PackedBatch([slot.objective for slot in slots], batches, self.base.device)
        taught = [number for number in numbers if self.spec(number).adapter.text_encoder]
        shape = tuple(batches[0].latents.shape)
        of_base = self._predict_as_base(batch) if batch.preserves else None
        with self._packed.rows_of(numbers, latents=shape), self._packed_text.rows_of(taught, latents=shape):
            given = (self._embeddings(numbers, taught, batch), *([] if batch.sizes is None else [batch.sizes]))
            predicted = self._packed.run(self._predict, batch.noisy, batch.timesteps, *given)
            losses = batch.losses(predicted, of_base)
            shares = [s.scaler.scale(s.with_penalty(own) * s.share) for s, own in zip(slots, losses, strict=True)]
            with self.base.backward():
                torch.stack(shares).sum().backward()  # type: ignore[no-untyped-call]
        return losses.detach()

    @torch.no_grad()
    def _predict_as_base(self, batch: PackedBatch) -> Tensor:
        """What the base without any adapter says of the pictures as of their class."""
        given = [batch.embeddings, *([] if batch.sizes is None else [batch.sizes])]
        with self._packed.rows_of(()):
            return self._predict(*(batch.of_class(rows) for rows in (batch.noisy, batch.timesteps, *given)))

    def _predict(self, noisy: Tensor, timesteps: Tensor, *given: Tensor) -> Tensor:
        with self._accelerator.autocast():
            return self.base.predict(noisy, timesteps, *given)

    def _embeddings(self, numbers: list[int], taught: list[int], batch: PackedBatch) -> Tensor:
        """Of the rows' captions (B, T, D): cached ones, and made anew for the slots that train the text encoder."""
        if not taught:
            return batch.embeddings
        tokens = dict(zip(numbers, batch.tokens.chunk(len(numbers)), strict=True))
        shares = dict(zip(numbers, batch.embeddings.chunk(len(numbers)), strict=True))
        with self._accelerator.autocast():
            made = self.base.embed(torch.cat([tokens[number] for number in taught]))
        shares.update(zip(taught, made.chunk(len(taught)), strict=True))
        return torch.cat(list(shares.values()))

    def _optimize(self, numbers: list[int], slots: list[Slot], losses: Tensor) -> list[PendingStep]:
        """Take in a pass: an optimizer step for each slot that has all its micro-batches. Nothing is waited for."""
        for slot, loss in zip(slots, losses.unbind(), strict=True):
            slot.losses.append(loss)
        return [self._optimizer_step(number, slot) for number, slot in zip(numbers, slots, strict=True) if slot.due]

    def _optimizer_step(self, number: int, slot: Slot) -> PendingStep:
        slot.scaler.unscale_(slot.optimizer)
        norm = self._accelerator.clip_grad_norm_(slot.parameters, slot.spec.train.clip_norm)
        lr, skips = effective_lr(slot.optimizer), slot.scaler.is_enabled()
        taken = PendingStep(number, slot.step + 1, tuple(slot.losses), lr, norm, skips)
        try:
            slot.optimize()
        except torch.AcceleratorError:
            raise  # the device is lost, for every slot
        except RuntimeError as error:
            slot.clear_gradients()
            return replace(taken, failure=f"step {taken.step} failed: {first_line(error)}")
        for packed in self._both:
            packed.refresh(number)
        return taken


def _out_of_memory(error: RuntimeError) -> str | None:
    """What it said, if it is about memory."""
    # "can't allocate memory" is how the CPU's allocator says it, "out of memory" MPS's.
    said = any(words in str(error) for words in ("can't allocate memory", "out of memory"))
    if isinstance(error, torch.OutOfMemoryError) or said:
        return first_line(error)
    return None
