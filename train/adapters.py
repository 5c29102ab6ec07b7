"""One trial's LoRA inside the shared base. PEFT is the truth for names, initialisation and meaning."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig
from peft.tuners.tuners_utils import BaseTunerLayer
from peft.utils import get_peft_model_state_dict, set_peft_model_state_dict
from torch import Tensor, nn

from foundation.errors import AdapterError
from train.bases import Base, Saved
from train.spec import AdapterSpec

WEIGHTS_FILE = "pytorch_lora_weights.safetensors"
"""The name that diffusers looks for in a folder."""
_TEXT = "text_encoder."
"""Before the names of the text encoder's tensors in a training state; those of the denoiser stand alone."""


def lora_config(spec: AdapterSpec, base: Base) -> LoraConfig:
    """PEFT's config of an adapter's part in the denoiser; alpha = ratio · rank."""
    targets = base.target_modules(spec.targets) if isinstance(spec.targets, str) else list(spec.targets)
    return _lora_config(spec, targets)


def text_lora_config(spec: AdapterSpec, base: Base) -> LoraConfig:
    """As `lora_config`, of its part in the text encoder; a list of targets names layers of the denoiser alone."""
    targets = base.text_target_modules(spec.targets if isinstance(spec.targets, str) else "attention")
    return _lora_config(replace(spec, rank=spec.text_encoder_rank or spec.rank), targets)


def _lora_config(spec: AdapterSpec, targets: list[str]) -> LoraConfig:
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


def add_adapter(base: Base, name: str, spec: AdapterSpec, seed: int) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Put a freshly initialised adapter into the base; its parameters (float32), in PEFT's order.

    They are the denoiser's and the text encoder's; these are none unless `spec.text_encoder`. The same seed gives the
    same weights, whatever else happened in the process, and the denoiser's whether or not the text encoder has any.

    Raises:
        AdapterError: when no layer has a name in `adapter.targets`.
    """
    config = lora_config(spec, base)
    # PEFT would refuse too, but leave the denoiser half prepared.
    targets = sorted(config.target_modules or ())
    if not any(name.endswith(tuple(f".{target}" for target in targets)) for name, _ in base.denoiser.named_modules()):
        raise AdapterError(f"adapter.targets {', '.join(targets)} fits no layer of the base; name layers such as to_q")
    with torch.random.fork_rng(devices=_cuda_devices(base)), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Already found a `peft_config`")  # several adapters are the point
        torch.manual_seed(seed)
        _add(base.denoiser, config, name)
        if spec.text_encoder:
            _add(base.text_encoder, text_lora_config(spec, base), name)
    return adapter_parameters(base.denoiser, name), adapter_parameters(base.text_encoder, name)


def _add(module: Any, config: LoraConfig, name: str) -> None:
    module.add_adapter(config, adapter_name=name)
    for parameter in adapter_parameters(module, name):
        if parameter.dtype in (torch.float16, torch.bfloat16):
            parameter.data = parameter.data.float()  # a step of 1e-4 is lost in half precision


def remove_adapter(base: Base, name: str) -> None:
    """Take an adapter out of the base."""
    denoiser: Any = base.denoiser
    text_encoder: Any = base.text_encoder
    denoiser.delete_adapters(name)
    if _is_in(text_encoder, name):
        text_encoder.delete_adapter(name)


def adapter_parameters(module: nn.Module, name: str) -> list[nn.Parameter]:
    """The parameters that belong to one adapter."""
    return [parameter for key, parameter in module.named_parameters() if f".{name}." in key]


def _is_in(module: nn.Module, name: str) -> bool:
    return name in getattr(module, "peft_config", {})


@contextmanager
def only_adapter(base: Base, name: str | None) -> Iterator[None]:
    """Within the block the base acts with this adapter alone, or as the plain base for None."""
    modules = (*base.denoiser.modules(), *base.text_encoder.modules())
    for layer in (module for module in modules if isinstance(module, BaseTunerLayer)):
        layer.enable_adapters(name is not None)
        if name is not None:
            layer.set_adapter([name])
    yield


def save_adapter(base: Base, name: str, folder: Path, spec: AdapterSpec, dtype: torch.dtype = torch.float32) -> None:
    """Write the adapter as diffusers' `load_lora_weights` takes it, alpha and pattern in the header."""
    text = _saved(base.text_encoder, name, text_lora_config(spec, base), dtype) if spec.text_encoder else None
    base.save_adapter(folder, _saved(base.denoiser, name, lora_config(spec, base), dtype), text)


def _saved(module: Any, name: str, config: LoraConfig, dtype: torch.dtype) -> Saved:
    state = get_peft_model_state_dict(module, adapter_name=name)
    state = {key: tensor.detach().cpu().to(dtype).contiguous() for key, tensor in state.items()}
    return Saved(state, json.loads(json.dumps(config.to_dict(), default=_plain)))


def adapter_state(base: Base, name: str) -> dict[str, Tensor]:
    """The adapter's tensors under PEFT's names, copied."""
    state = {
        f"{prefix}{key}": tensor
        for prefix, module in _parts(base, name).items()
        for key, tensor in get_peft_model_state_dict(module, adapter_name=name).items()
    }
    return {key: tensor.detach().clone() for key, tensor in state.items()}


def _parts(base: Base, name: str) -> dict[str, nn.Module]:
    """The modules that the adapter is in, by what stands before the names of their tensors."""
    parts = {"": base.denoiser, _TEXT: base.text_encoder}
    return {prefix: module for prefix, module in parts.items() if _is_in(module, name)}


def load_adapter_state(base: Base, name: str, state: dict[str, Tensor]) -> None:
    """Put saved tensors into an adapter of the same shape.

    Raises:
        AdapterError: when names or shapes differ.
    """
    have = adapter_state(base, name)
    if {k: v.shape for k, v in have.items()} != {k: v.shape for k, v in state.items()}:
        raise AdapterError("the checkpoint's adapter has other layers or ranks than the trial; remove the checkpoint")
    for prefix, module in _parts(base, name).items():
        own = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(_TEXT) == (prefix == _TEXT)}
        set_peft_model_state_dict(module, own, adapter_name=name)


def _cuda_devices(base: Base) -> list[torch.device]:
    return [base.device] if base.device.type == "cuda" else []


def _plain(value: Any) -> Any:
    if isinstance(value, set | frozenset | tuple):
        return sorted(value)
    return str(value)
