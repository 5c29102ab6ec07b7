"""A base whose frozen weights lie in memory as 4 or 8 bits (QLoRA), through diffusers and bitsandbytes."""

from __future__ import annotations

import importlib.util
from typing import Any

import torch
from torch import nn

from foundation.bases.folder import base_location, is_file
from foundation.bases.spec import BaseSpec
from foundation.errors import ConfigError


def check_quantization(spec: BaseSpec) -> None:
    """Refuse what this machine cannot do; nothing is loaded.

    Raises:
        ConfigError: in one line.
    """
    if spec.quantization is None:
        return
    if is_file(base_location(spec)):
        raise ConfigError(["base.quantization needs a diffusers folder or a hub id in base.path, got one file"])
    if not torch.cuda.is_available():
        raise ConfigError(
            [f"base.quantization={spec.quantization} needs a CUDA device, and there is none; leave it null"]
        )
    if importlib.util.find_spec("bitsandbytes") is None:
        problem = f"base.quantization={spec.quantization} needs bitsandbytes; run `pip install bitsandbytes`"
        raise ConfigError([problem])


def quantization_options(spec: BaseSpec, denoiser: str, dtype: torch.dtype) -> dict[str, Any]:
    """Arguments for `from_pretrained` of a pipeline that quantise its component `denoiser`; nothing if it stays whole.

    It computes in `dtype`. VAE and text encoders stay whole: they are small beside it.

    Raises:
        ConfigError: see `check_quantization`.
    """
    check_quantization(spec)
    if spec.quantization is None:
        return {}
    from diffusers import BitsAndBytesConfig, PipelineQuantizationConfig  # seconds, for who needs it

    if spec.quantization == "int8":
        own = BitsAndBytesConfig(load_in_8bit=True)
    else:
        own = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type=spec.quantization, bnb_4bit_compute_dtype=dtype)
    return {"quantization_config": PipelineQuantizationConfig(quant_mapping={denoiser: own})}


def is_quantized(module: nn.Module) -> bool:
    """Whether diffusers loaded it so."""
    return bool(getattr(module, "is_quantized", False))
