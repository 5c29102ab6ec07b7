"""The frozen pretrained pipeline: the `base` group of the configuration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final, Literal

from pydantic import Field

from foundation.bases.families import FAMILIES
from foundation.config.home import PathText
from foundation.config.installed import NameIn

AUTO: Final = "auto"
if TYPE_CHECKING:
    FamilyName = str
else:
    FamilyName = Annotated[str, NameIn(FAMILIES, AUTO)]
Precision = Literal["fp32", "bf16", "fp16"]
Offload = Literal["none", "model", "blocks"]
IN_TORCHAO: Final = ("int8", "fp8")
IN_BITSANDBYTES: Final = ("nf4", "fp4")
"""Of `base.quantization`, by the library that keeps such weights."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BaseSpec:
    """The frozen pretrained pipeline that every trial adapts."""

    name: str
    """What people call it."""
    family: FamilyName = AUTO
    """Which code of `foundation/bases` runs it; `auto` reads it from the pipeline's `model_index.json`."""
    path: PathText
    """`pocket` for the embedded weights, else a diffusers folder, a hub id, or a `.safetensors` checkpoint, which wants
    `family`, too."""
    parts: PathText | None = None
    """Of a `.safetensors` checkpoint: the diffusers folder or hub id that has what the file lacks. For SD and SDXL that
    is configs and tokenizers (None: diffusers asks the hub for them), for the others all but the transformer."""
    resolution: Annotated[int, Field(ge=16, multiple_of=8)]
    """Side of the training and sample images, pixels; a multiple of 8 (of 16 for flow transformers)."""
    quantization: Literal["nf4", "fp4", "int8", "fp8"] | None = None
    """How the denoiser's frozen weights lie in memory: 8 bits (`int8`, `fp8`: torchao, on any device, for all kinds of
    adapter), 4 bits (`nf4`, as QLoRA; `fp4`: bitsandbytes, on a CUDA device, for lora and locon), or null, as
    `train.precision` says."""
    offload: Offload = "none"
    """What leaves the device while it is not at work: nothing (`none`); with `model` denoiser, text encoders and
    autoencoder come one at a time, and optimizers' states go while pictures are drawn; with `blocks` the denoiser's
    blocks come one after another in each pass, which wants `train.activation_checkpointing`."""
    lr_factor: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    """How much higher learning rates are here than on Stable Diffusion 1.5; `${lr:…}` in YAML multiplies by it."""
    guidance_scale: Annotated[float, Field(ge=1, allow_inf_nan=False)] = 7.5
    """Classifier-free guidance of samples, 1 is none; for FLUX.1-dev the scale that its transformer gets."""
    sample_steps: Annotated[int, Field(ge=1, le=1000)] = 30
    """Denoising steps of a sample."""
    max_tokens: Annotated[int, Field(ge=16, le=1024)] | None = None
    """Tokens of a caption that T5 or a language model reads, longer ones are cut; None is the pipeline's own: 256 for
    SD3, 512 for FLUX and Qwen-Image. CLIP always reads 77."""
    t5: bool = True
    """False loads SD3 without its T5, the largest part of it; captions are then read by its two CLIPs alone."""
    train_guidance: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1.0
    """The guidance scale that a guidance-distilled transformer (FLUX.1-dev) gets in training and validation loss."""

    def __post_init__(self) -> None:
        known = None if self.family == AUTO else FAMILIES[self.family]  # a package's is imported here
        if not self.t5 and known is not None and not known.t5_may_be_left_out:
            able = ", ".join(name for name in FAMILIES.built_in if FAMILIES[name].t5_may_be_left_out)
            raise ValueError(f"base.t5=false is for base.family {able}, got {self.family}, which needs all it has")
