"""How long, how much at once, how exactly: the `train` group of the configuration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

Precision = Literal["fp32", "bf16", "fp16"]


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingSpec:
    """How long, how much at once, how exactly."""

    steps: Annotated[int, Field(ge=1)] = 200
    """Optimizer steps of a trial."""
    batch_size: Annotated[int, Field(ge=1)] = 4
    """Images per forward and backward pass."""
    gradient_accumulation: Annotated[int, Field(ge=1)] = 1
    """Passes per optimizer step."""
    clip_norm: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    """Largest gradient norm of one trial's adapter."""
    precision: Precision = "fp32"
    """Numbers that the base computes in; adapters and optimizers stay in fp32."""
    activation_checkpointing: bool = False
    """Compute activations twice instead of keeping them: about a third more time for much less memory."""
    compile: Literal["off", "regional"] = "off"
    """`regional`: compile the denoiser's repeated blocks for passes of a full pack; see docs/decisions/002."""
    compile_rank: Annotated[int, Field(ge=1, le=1024)] | None = None
    """Ranks up to this one share compiled code, a higher one compiles again; None is the largest that is searched."""
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    """Seeds initialisation, data order, timesteps and noise."""
