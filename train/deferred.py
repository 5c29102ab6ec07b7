"""Steps whose numbers are still on the device: reading them makes the host wait, so several are read at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from train.reports import StepReport


@dataclass(frozen=True, slots=True)
class PendingStep:
    """One slot's optimizer step."""

    slot: int
    step: int
    """Optimizer steps done, this one included."""
    losses: tuple[Tensor, ...] = ()
    """Of its micro-batches, without dimensions."""
    lr: float = math.nan
    norm: Tensor | None = None
    """Of the gradient before clipping, without dimensions."""
    skips: bool = False
    """Whether the optimizer leaves out a step whose gradients are not finite, as fp16's scaler makes it do."""
    failure: str | None = None
    """What is known without reading."""


class DeferredReports:
    """The optimizer steps of a pack, from when they are taken until they are reported."""

    def __init__(self, read_every: int) -> None:
        self._read_every = read_every
        self._unread: list[PendingStep] = []
        self._rounds = 0
        """Calls of `add` since the last reading."""
        self._reports: list[StepReport] = []
        """Read, and not yet reported."""
        self.failed: set[int] = set()
        """Slots that are known to have failed."""

    def add(self, steps: Sequence[PendingStep]) -> None:
        """Take in one round of steps."""
        self._unread += sorted(steps, key=lambda step: step.slot)
        self._rounds += 1

    @property
    def full(self) -> bool:
        """Whether it is time to read."""
        return self._rounds >= self._read_every or any(step.failure is not None for step in self._unread)

    def read(self) -> None:
        """Wait for the device, and learn which slots failed."""
        self._reports += _reports([step for step in self._unread if step.slot not in self.failed])
        self._unread, self._rounds = [], 0
        self.failed |= {report.slot for report in self._reports if report.failure is not None}

    def flush(self) -> list[StepReport]:
        """Every step's report since the last call, in order; of a slot that failed, none after the one that says so."""
        self.read()
        reports, self._reports = self._reports, []
        return reports

    def forget(self, slot: int) -> None:
        """The slot is another's from now on."""
        self.failed.discard(slot)
        self._unread = [step for step in self._unread if step.slot != slot]
        self._reports = [report for report in self._reports if report.slot != slot]


def _reports(steps: Sequence[PendingStep]) -> list[StepReport]:
    """With one wait for all."""
    numbers = [[] if step.norm is None else [*step.losses, step.norm] for step in steps]
    flat = [tensor.double() for own in numbers for tensor in own]
    values = iter(torch.stack(flat).tolist() if flat else [])
    reports: list[StepReport] = []
    failed: set[int] = set()
    for step, tensors in zip(steps, numbers, strict=True):
        own = [next(values) for _ in tensors]
        if step.slot in failed:
            continue
        reports.append(_report(step, own[:-1], own[-1]) if own else _failure_report(step, step.failure))
        if reports[-1].failure is not None:
            failed.add(step.slot)
    return reports


def _report(step: PendingStep, losses: list[float], norm: float) -> StepReport:
    broken = [loss for loss in losses if not math.isfinite(loss)]
    loss = sum(losses) / len(losses)
    if broken:
        return _failure_report(step, f"loss is {broken[0]} at step {step.step}", loss, norm)
    if not math.isfinite(norm) and not step.skips:
        return _failure_report(step, f"gradient norm is {norm} at step {step.step}", loss, norm)
    if step.failure is not None:
        return _failure_report(step, step.failure, loss, norm)
    return StepReport(step.slot, step.step, loss, step.lr, norm)


def _failure_report(
    step: PendingStep, reason: str | None, loss: float = math.nan, norm: float = math.nan
) -> StepReport:
    return StepReport(step.slot, step.step - 1, loss, math.nan, norm, reason)
