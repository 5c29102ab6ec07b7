"""The file that an adapter is saved as, and how what it holds is put on a pipeline and taken off again.

There are two formats under one name, `WEIGHTS_FILE`, and the safetensors header tells them apart:

- LoRA, and what can be written as one: diffusers' own format, for `load_lora_weights`. diffusers keeps PEFT's config
  under `lora_adapter_metadata`, a JSON object of `"<component>.<field>": value`.
- Kinds that diffusers does not load (LoHa, LoKr, IA³, OFT): tensors are named `<component>.<PEFT's name>`, where
  PEFT's names are those of `get_peft_model_state_dict` and a component is an attribute of the pipeline (`unet`,
  `text_encoder`, …). The header's `peft_configs` is a JSON object of component to PEFT's config as `to_dict` gives it.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from foundation.errors import AdapterError

if TYPE_CHECKING:
    from peft import PeftConfig  # PEFT takes seconds: it is loaded where adapters meet models, files are read without

WEIGHTS_FILE: Final = "pytorch_lora_weights.safetensors"
"""The name that diffusers looks for in a folder."""
_CONFIGS: Final = "peft_configs"
_DIFFUSERS: Final = "lora_adapter_metadata"


@dataclass(frozen=True, slots=True)
class Part:
    """What of an adapter is in one component of the pipeline: PEFT's state dict, and its config as JSON holds it."""

    state: Mapping[str, Tensor]
    config: Mapping[str, Any]


def plain_config(config: PeftConfig) -> dict[str, Any]:
    """PEFT's config as JSON holds it: sets and tuples as sorted lists, and what JSON has no word for as its text."""
    plain: dict[str, Any] = json.loads(json.dumps(config.to_dict(), default=_plain))
    return plain


def write_parts(file: Path, parts: Mapping[str, Part]) -> None:
    """Write an adapter that diffusers does not load, by component; see the module's words."""
    tensors = {
        f"{component}.{name}": tensor.detach().cpu().contiguous()
        for component, part in parts.items()
        for name, tensor in part.state.items()
    }
    configs = {component: dict(part.config) for component, part in parts.items()}
    save_file(tensors, file, metadata={"format": "pt", _CONFIGS: json.dumps(configs, sort_keys=True)})


def read_parts(file: Path) -> dict[str, Part]:
    """What an adapter's file holds, by component, in either format, under the file's names without the component.

    A LoRA that other programs wrote has no config in its header; its parts' configs are empty then.

    Raises:
        AdapterError: when it cannot be read, or holds numbers that are not finite.
    """
    try:
        with safe_open(file, framework="pt") as opened:
            metadata = opened.metadata() or {}
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 - it is no mapping
        configs = _configs(metadata)
    except (OSError, SafetensorError, json.JSONDecodeError) as error:
        raise AdapterError(f"{file} cannot be read as a safetensors file: {error}") from error
    broken = next((name for name, tensor in tensors.items() if not torch.isfinite(tensor).all()), None)
    if broken is not None:
        raise AdapterError(f"{file} holds numbers that are not finite, in {broken}; take an earlier checkpoint")
    parts: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        component, _, rest = name.partition(".")
        parts.setdefault(component, {})[rest] = tensor
    return {component: Part(state, configs.get(component, {})) for component, state in parts.items()}


def is_diffusers_own(file: Path) -> bool:
    """Whether diffusers' `load_lora_weights` is the one to load the file; so it is for all that we did not write.

    Raises:
        OSError, SafetensorError: when it cannot be read.
    """
    with safe_open(file, framework="pt") as opened:
        return _CONFIGS not in (opened.metadata() or {})


def put_on(pipeline: Any, file: Path, name: str, strength: float = 1.0) -> None:
    """Put an adapter that `write_parts` wrote on a pipeline's components, under `name`, at a strength.

    Strength multiplies the update of LoHa and LoKr. Of IA³ a factor l becomes 1 + strength · (l - 1); of OFT the
    rotations' generators are multiplied. 0 is always the base, 1 as it was trained.

    Raises:
        AdapterError: when it does not fit.
    """
    put_parts_on(pipeline, read_parts(file), name, strength, str(file))


def put_parts_on(pipeline: Any, parts: Mapping[str, Part], name: str, strength: float, who: str) -> None:
    """As `put_on`, of an adapter of any kind that is in memory; `who` begins what is said when it does not fit."""
    from peft import get_peft_config, inject_adapter_in_model
    from peft.tuners.tuners_utils import BaseTunerLayer
    from peft.utils import set_peft_model_state_dict

    for component, part in parts.items():
        module = getattr(pipeline, component, None)
        if not isinstance(module, nn.Module):
            raise AdapterError(f"{who} is for a pipeline with a {component}; this base has none")
        try:
            with _quietly():
                inject_adapter_in_model(get_peft_config(dict(part.config)), module, adapter_name=name)
                outcome = set_peft_model_state_dict(module, dict(part.state), adapter_name=name)
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise AdapterError(f"{who} does not fit the base's {component}: {reason}") from error
        if outcome.unexpected_keys:
            raise AdapterError(f"{who} does not fit the base's {component}: it has no {outcome.unexpected_keys[0]}")
        for layer in module.modules():
            if isinstance(layer, BaseTunerLayer):
                _set_strength(layer, name, strength)


def take_off(pipeline: Any) -> None:
    """Give every component of the pipeline its own layers back, whoever put adapters there."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    for component in pipeline.components.values():
        if not isinstance(component, nn.Module):
            continue
        for module in list(component.modules()):
            for name, child in list(module.named_children()):
                if isinstance(child, BaseTunerLayer):
                    setattr(module, name, child.get_base_layer())
        if hasattr(component, "peft_config"):
            model: Any = component
            del model.peft_config
            model._hf_peft_config_loaded = False


def _configs(metadata: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    if _CONFIGS in metadata:
        configs: dict[str, dict[str, Any]] = json.loads(metadata[_CONFIGS])
        return configs
    found: dict[str, dict[str, Any]] = {}
    for key, value in json.loads(metadata.get(_DIFFUSERS, "{}")).items():
        component, _, field = key.partition(".")
        found.setdefault(component, {})[field] = value
    return found


@contextmanager
def _quietly() -> Iterator[None]:
    """PEFT draws what the file's tensors then replace, and warns of what they have in common with no one."""
    with torch.random.fork_rng(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _set_strength(layer: Any, name: str, strength: float) -> None:
    with torch.no_grad():
        if name in getattr(layer, "scaling", {}):
            layer.scaling[name] *= strength
        elif name in getattr(layer, "ia3_l", {}):
            layer.ia3_l[name].sub_(1).mul_(strength).add_(1)
        elif name in getattr(layer, "oft_R", {}):
            layer.oft_R[name].weight.mul_(strength)


def _plain(value: Any) -> Any:
    return sorted(value) if isinstance(value, set | frozenset | tuple) else str(value)
