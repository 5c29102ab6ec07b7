"""A base whose frozen weights lie in memory as 4 or 8 bits, through diffusers and the library that keeps such weights.

torchao keeps 8 bits (int8, fp8), on every device that can cast them: what it computes with is what they stand for.
bitsandbytes keeps 4 (nf4, fp4, as QLoRA), on CUDA devices.
"""

from __future__ import annotations

import importlib.util
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import is_traceable_wrapper_subclass

from foundation.bases.folder import base_location, is_file
from foundation.bases.spec import IN_BITSANDBYTES, IN_TORCHAO, BaseSpec
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
    if spec.quantization in IN_BITSANDBYTES and not torch.cuda.is_available():
        raise ConfigError(
            [
                f"base.quantization={spec.quantization} needs a CUDA device, and there is none; take "
                f"{' or '.join(IN_TORCHAO)}, or leave it null"
            ]
        )
    library = "torchao" if spec.quantization in IN_TORCHAO else "bitsandbytes"
    if importlib.util.find_spec(library) is None:
        problem = f"base.quantization={spec.quantization} needs {library}; run `pip install {library}`"
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
    from diffusers import BitsAndBytesConfig, PipelineQuantizationConfig, TorchAoConfig  # seconds, for who needs it

    own: Any
    if spec.quantization in IN_TORCHAO:
        from torchao.quantization import Float8WeightOnlyConfig, Int8WeightOnlyConfig

        kind = Int8WeightOnlyConfig if spec.quantization == "int8" else Float8WeightOnlyConfig
        own = TorchAoConfig(kind(set_inductor_config=False))  # it would change all that torch.compile makes here
    else:
        own = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type=spec.quantization, bnb_4bit_compute_dtype=dtype)
    return {"quantization_config": PipelineQuantizationConfig(quant_mapping={denoiser: own})}


def plain_tensors(tensor: torch.Tensor) -> list[torch.Tensor]:
    """The tensors that one is kept as: itself, or the numbers and scales of one that torchao keeps."""
    if not is_traceable_wrapper_subclass(tensor):
        return [tensor]
    names, _ = tensor.__tensor_flatten__()
    return [plain for name in names for plain in plain_tensors(getattr(tensor, name))]


def is_quantized(module: nn.Module) -> bool:
    """Whether diffusers loaded it so."""
    return bool(getattr(module, "is_quantized", False))


def is_packed(module: nn.Module) -> bool:
    """Whether diffusers loaded it so that its weights have other shapes than they stand for, as bitsandbytes' have."""
    return bool(getattr(module, "is_loaded_in_4bit", False))
