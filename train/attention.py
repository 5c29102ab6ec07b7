"""How the shared base computes attention: the same numbers, at other costs in time and memory."""

from __future__ import annotations

from typing import Any

from foundation.bases.port import Base
from foundation.errors import ConfigError, first_line
from train.spec import TrainingSpec, check_attention


def set_attention(base: Base, spec: TrainingSpec) -> None:
    """Let the base's denoiser compute attention as `train.attention` says, from now on and for all that share it.

    Raises:
        ConfigError: when the denoiser or the device cannot, or it is not installed.
    """
    check_attention(spec)
    denoiser: Any = base.denoiser
    try:
        if spec.attention == "sliced":
            denoiser.set_attention_slice("auto")
        elif spec.attention == "xformers":
            denoiser.enable_xformers_memory_efficient_attention()
    except (AttributeError, ValueError, ImportError, RuntimeError, NotImplementedError) as error:
        reason = first_line(error)
        raise ConfigError([f"train.attention {spec.attention} cannot be had here: {reason}; use sdpa"]) from error
