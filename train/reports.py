"""What a pack tells whoever runs it. Plain values: who reads them need not load torch's models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from foundation.config.plain import number, plain, whole


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

    def to_json(self) -> dict[str, Any]:
        """Return plain values for JSON, of a step that was taken; in fp16 its norm may be infinite all the same."""
        return {
            "slot": self.slot,
            "step": self.step,
            "loss": self.loss,
            "lr": self.lr,
            "grad_norm": plain(self.grad_norm),
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> StepReport:
        """Read what `to_json` returned; keys that a later version added are passed over."""
        return cls(
            slot=whole(values["slot"]),
            step=whole(values["step"]),
            loss=number(values["loss"]),
            lr=number(values["lr"]),
            grad_norm=number(values["grad_norm"]),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Capacity:
    """What a device did with so many slots."""

    slots: int
    steps_per_second: float
    """Of all trials together, micro-batches a second."""
    memory: float | None
    """Share of the GPU's memory in use at the peak; None on a CPU."""


def describe_costs(curve: Sequence[Capacity]) -> str:
    """The curve in a line: `1: 9.8, 2: 14.1, 4: 18.0 steps/s`."""
    return ", ".join(f"{each.slots}: {each.steps_per_second:.1f}" for each in curve) + " steps/s"
