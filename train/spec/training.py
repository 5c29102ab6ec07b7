"""How long, how much at once, how exactly: the `train` group of the configuration."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Final, Literal

from pydantic import Field

from foundation.bases.spec import Precision
from foundation.errors import ConfigError
from train.epochs import epoch_in_words, num_batches

_ROUNDING: Final = 1e-9
"""Of epochs such as .1, so that 30 images in batches of 3 are one step and not two."""

OF_THE_STUDY: Final = ("precision", "activation_checkpointing", "attention", "compile", "cuda_graphs", "compile_rank")
"""Fields that are the shared base's: one for all trials, so that they cannot be searched."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingSpec:
    """How long, how much at once, how exactly."""

    steps: Annotated[int, Field(ge=1)] | None = 200
    """Optimizer steps of a trial, from 1; None where `epochs` says how long."""
    epochs: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """Times that the trial sees all pictures, in place of `steps`. A batch is of one shape and one epoch, so that the
    last of a shape may be smaller, and so may be an epoch's last step of `gradient_accumulation`; a share of an epoch
    is rounded up. None where `steps` says how long."""
    stop_after: Annotated[int, Field(ge=1)] | None = None
    """Steps after which the trial ends, where that is before its `steps`, which its learning-rate curve is made for;
    None is off."""
    batch_size: Annotated[int, Field(ge=1)] = 4
    """Images per forward and backward pass."""
    gradient_accumulation: Annotated[int, Field(ge=1)] = 1
    """Passes per optimizer step; fewer in the last one of an epoch that has none left."""
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
    cuda_graphs: bool = False
    """Record a full pack's forward and backward pass once and replay it, which spares a GPU's host most work, with
    or without `compile`; on a CPU nothing changes. See docs/decisions/002."""
    compile_rank: Annotated[int, Field(ge=1, le=1024)] | None = None
    """Ranks up to this one share compiled code and recordings, a higher one makes them anew; None is the largest in the
    search."""
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    """Seeds initialisation, data order, timesteps and noise."""

    def __post_init__(self) -> None:
        if (self.steps is None) == (self.epochs is None):
            got = f"{self.steps} and {self.epochs:g}" if self.epochs is not None else "null for both"
            raise ValueError(f"one of train.steps and train.epochs must be set and the other null, got {got}")
        if self.cuda_graphs and self.activation_checkpointing:
            raise ValueError(
                "train.cuda_graphs cannot record train.activation_checkpointing, which asks the GPU for its state of "
                "chance in each pass; set one of them to false"
            )

    @property
    def lasts(self) -> bool:
        """Whether a pack makes something once that later trials use."""
        return self.compile != "off" or self.cuda_graphs

    @property
    def images_per_step(self) -> int:
        """Images that an optimizer step learns from."""
        return self.batch_size * self.gradient_accumulation

    @property
    def num_steps(self) -> int:
        """Optimizer steps of the trial; for epochs only once `for_images` has turned them into steps."""
        assert self.steps is not None
        return self.steps

    @property
    def last_step(self) -> int:
        """After which the trial ends."""
        return min(self.num_steps, self.stop_after or self.num_steps)

    def for_images(self, counts: Sequence[int]) -> TrainingSpec:
        """The same with epochs as steps, for a set of so many images of each shape, repeats counted."""
        if self.epochs is None:
            return self
        steps = -(-sum(num_batches(counts, self.batch_size)) // self.gradient_accumulation)
        return replace(self, steps=max(1, math.ceil(steps * self.epochs - _ROUNDING)), epochs=None)

    def epoch_of(self, counts: Sequence[int]) -> str:
        """What an epoch of such a set is, in one line."""
        return epoch_in_words(counts, self.batch_size, self.gradient_accumulation)


def check_attention(spec: TrainingSpec) -> None:
    """Raise unless what `attention` needs is installed; nothing is imported.

    Raises:
        ConfigError: with what to do.
    """
    if spec.attention == "xformers" and importlib.util.find_spec("xformers") is None:
        raise ConfigError(["train.attention xformers is not installed; run `pip install xformers` or choose sdpa"])
