"""The frozen pretrained pipeline: the `base` group of the configuration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field


@dataclass(frozen=True, kw_only=True, slots=True)
class BaseSpec:
    """The frozen pretrained pipeline that every trial adapts."""

    name: str
    """What people call it."""
    family: Literal["stable_diffusion"] = "stable_diffusion"
    """Which code of `train/bases` runs it."""
    path: Annotated[str, Field(min_length=1)]
    """`pocket` for the embedded weights, else a diffusers folder or a hub id."""
    resolution: Annotated[int, Field(ge=16, multiple_of=8)]
    """Side of the training and sample images, pixels; a multiple of 8."""
    quantization: Literal["nf4", "fp4", "int8"] | None = None
    """How the denoiser's frozen weights lie in memory: 4 bits (`nf4`, as QLoRA; `fp4`), 8 bits (`int8`), or null, as
    `train.precision` says. Needs a CUDA device and bitsandbytes; for lora and locon."""
    lr_factor: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    """How much higher learning rates are here than on Stable Diffusion 1.5; `${lr:…}` in YAML multiplies by it."""
    guidance_scale: Annotated[float, Field(ge=1, allow_inf_nan=False)] = 7.5
    """Classifier-free guidance of samples; 1 is none."""
    sample_steps: Annotated[int, Field(ge=1, le=1000)] = 30
    """Denoising steps of a sample."""
