"""One trial's LoRA inside the shared denoiser. PEFT is the truth for names, initialisation and meaning."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig
from peft.tuners.tuners_utils import BaseTunerLayer
from peft.utils import get_peft_model_state_dict, set_peft_model_state_dict
from torch import Tensor, nn

from foundation.errors import AdapterError
from train.bases import Base
from train.spec import AdapterSpec

WEIGHTS_FILE = "pytorch_lora_weights.safetensors"
"""The name that diffusers looks for in a folder."""


def lora_config(spec: AdapterSpec, base: Base) -> LoraConfig:
    """PEFT's config of an adapter; alpha = ratio · rank."""
    targets = base.target_modules(spec.targets) if isinstance(spec.targets, str) else list(spec.targets)
    return LoraConfig(
        r=spec.rank,
        lora_alpha=spec.alpha,  # a float is what PEFT divides it as
        lora_dropout=spec.dropout,
        target_modules=targets,
        init_lora_weights=spec.init,
        use_rslora=spec.rslora,
        use_dora=spec.dora,
        rank_pattern=dict(spec.rank_pattern),
        alpha_pattern=dict(spec.alpha_pattern),
    )


def add_adapter(base: Base, name: str, spec: AdapterSpec, seed: int) -> list[nn.Parameter]:
    """Put a freshly initialised adapter into the denoiser; its parameters (float32), in PEFT's order.

    The same seed gives the same weights, whatever else happened in the process.

    Raises:
        AdapterError: when no layer has a name in `adapter.targets`.
    """
    denoiser: Any = base.denoiser
    config = lora_config(spec, base)
    # PEFT would refuse too, but leave the denoiser half prepared.
    targets = sorted(config.target_modules or ())
    if not any(name.endswith(tuple(f".{target}" for target in targets)) for name, _ in denoiser.named_modules()):
        raise AdapterError(f"adapter.targets {', '.join(targets)} fits no layer of the base; name layers such as to_q")
    with torch.random.fork_rng(devices=_cuda_devices(base)), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Already found a `peft_config`")  # several adapters are the point
        torch.manual_seed(seed)
        denoiser.add_adapter(config, adapter_name=name)
    parameters = adapter_parameters(base.denoiser, name)
    for parameter in parameters:
        if parameter.dtype in (torch.float16, torch.bfloat16):
            parameter.data = parameter.data.float()  # a step of 1e-4 is lost in half precision
    return parameters


def remove_adapter(base: Base, name: str) -> None:
    """Take an adapter out of the denoiser."""
    denoiser: Any = base.denoiser
    denoiser.delete_adapters(name)


def adapter_parameters(denoiser: nn.Module, name: str) -> list[nn.Parameter]:
    """The parameters that belong to one adapter."""
    return [parameter for key, parameter in denoiser.named_parameters() if f".{name}." in key]


@contextmanager
def only_adapter(base: Base, name: str | None) -> Iterator[None]:
    """Within the block the denoiser acts with this adapter alone, or as the plain base for None."""
    layers = [module for module in base.denoiser.modules() if isinstance(module, BaseTunerLayer)]
    for layer in layers:
        layer.enable_adapters(name is not None)
        if name is not None:
            layer.set_adapter([name])
    yield


def save_adapter(base: Base, name: str, folder: Path, spec: AdapterSpec) -> None:
    """Write the adapter as diffusers' `load_lora_weights` takes it, alpha and pattern in the header."""
    denoiser: Any = base.denoiser
    state = get_peft_model_state_dict(denoiser, adapter_name=name)
    state = {key: tensor.detach().cpu().contiguous() for key, tensor in state.items()}
    metadata = json.loads(json.dumps(lora_config(spec, base).to_dict(), default=_plain))
    base.save_adapter(folder, state, metadata)


def adapter_state(base: Base, name: str) -> dict[str, Tensor]:
    """The adapter's tensors under PEFT's names, copied."""
    state = get_peft_model_state_dict(base.denoiser, adapter_name=name)
    return {key: tensor.detach().clone() for key, tensor in state.items()}


def load_adapter_state(base: Base, name: str, state: dict[str, Tensor]) -> None:
    """Put saved tensors into an adapter of the same shape.

    Raises:
        AdapterError: when names or shapes differ.
    """
    have = get_peft_model_state_dict(base.denoiser, adapter_name=name)
    if {k: v.shape for k, v in have.items()} != {k: v.shape for k, v in state.items()}:
        raise AdapterError("the checkpoint's adapter has other layers or ranks than the trial; remove the checkpoint")
    set_peft_model_state_dict(base.denoiser, state, adapter_name=name)


def _cuda_devices(base: Base) -> list[torch.device]:
    return [base.device] if base.device.type == "cuda" else []


def _plain(value: Any) -> Any:
    if isinstance(value, set | frozenset | tuple):
        return sorted(value)
    return str(value)
