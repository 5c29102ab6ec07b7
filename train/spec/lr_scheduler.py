"""The learning-rate curve of a trial: the `lr_scheduler` group of the configuration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

LrSchedulerName = Literal["constant", "constant_with_warmup", "linear", "cosine", "cosine_with_restarts"]


@dataclass(frozen=True, kw_only=True, slots=True)
class LrSchedulerSpec:
    """How the learning rate moves over a trial's steps."""

    name: LrSchedulerName = "constant"
    """Shape of the curve after warm-up."""
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of the steps over which the learning rate rises from 0."""
    num_cycles: Annotated[int, Field(ge=1)] = 1
    """Cosine waves of cosine_with_restarts."""

    def __post_init__(self) -> None:
        if self.name == "constant" and self.warmup > 0:
            raise ValueError(
                f"lr_scheduler.warmup must be 0 for constant, got {self.warmup:g}; "
                "use lr_scheduler=constant_with_warmup"
            )
        if self.name != "cosine_with_restarts" and self.num_cycles != 1:
            raise ValueError(
                f"lr_scheduler.num_cycles must be 1 for {self.name}, got {self.num_cycles}; "
                "only cosine_with_restarts has several"
            )
