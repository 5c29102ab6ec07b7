"""How long, how much at once, how exactly: the `train` group of the configuration."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from typing import Annotated, Final, Literal

from pydantic import Field

from foundation.errors import ConfigError

Precision = Literal["fp32", "bf16", "fp16"]

OF_THE_STUDY: Final = ("precision", "activation_checkpointing", "attention", "compile", "compile_rank")
"""Fields that are the shared base's: one for all trials, so that they cannot be searched."""


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
    """Numbers that the base computes in; adapters and optimizers stay in fp32. One for a whole study."""
    save_precision: Precision = "fp32"
    """Numbers that the adapter is written in; what a trial resumes from stays in fp32."""
    ema_decay: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Judge and save a moving average of the adapter's weights, which keeps this share of itself at each step (less at
    first), usually 0.99 to 0.9999; training goes on from the weights themselves. None is off."""
    attention: Literal["sdpa", "sliced", "xformers"] = "sdpa"
    """How the denoiser computes attention: by PyTorch's own `scaled_dot_product_attention`, in two slices one after the
    other (less memory, slower), or by xformers, where that is installed. One for a whole study."""
    activation_checkpointing: bool = False
    """Compute activations twice instead of keeping them: about a third more time for much less memory. One for a
    whole study."""
    compile: Literal["off", "regional"] = "off"
    """`regional`: compile the denoiser's repeated blocks for passes of a full pack; see docs/decisions/002."""
    compile_rank: Annotated[int, Field(ge=1, le=1024)] | None = None
    """Ranks up to this one share compiled code, a higher one compiles again; None is the largest that is searched."""
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    """Seeds initialisation, data order, timesteps and noise."""

    @property
    def images_per_step(self) -> int:
        """Images that an optimizer step learns from."""
        return self.batch_size * self.gradient_accumulation


def check_attention(spec: TrainingSpec) -> None:
    """Raise unless what `attention` needs is installed; nothing is imported.

    Raises:
        ConfigError: with what to do.
    """
    if spec.attention == "xformers" and importlib.util.find_spec("xformers") is None:
        raise ConfigError(["train.attention xformers is not installed; run `pip install xformers` or choose sdpa"])
