"""An adapter apart from any model: what of it is in one component of a pipeline, and the format that we write."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from safetensors.torch import save_file
from torch import Tensor

from foundation.adapters.files.changes import Change

if TYPE_CHECKING:
    from peft import PeftConfig  # PEFT takes seconds: it is loaded where adapters meet models, files are read without

WEIGHTS_FILE: Final = "pytorch_lora_weights.safetensors"
"""The name that diffusers looks for in a folder."""
COMPONENTS: Final = ("unet", "transformer", "text_encoder", "text_encoder_2", "text_encoder_3")
"""Attributes of diffusers' pipelines that an adapter may be in."""
PEFT_CONFIGS: Final = "peft_configs"
"""Where our own format keeps PEFT's configs in the header: JSON, component to config."""
DIFFUSERS_CONFIG: Final = "lora_adapter_metadata"
"""Where diffusers keeps PEFT's config in the header, as JSON of `<component>.<field>`."""


@dataclass(frozen=True, slots=True)
class AdapterPart:
    """What of an adapter is in one component of the pipeline."""

    state: Mapping[str, Tensor]
    """PEFT's state dict."""
    config: Mapping[str, Any]
    """PEFT's config as JSON holds it."""
    changes: Mapping[str, Change] = field(default_factory=dict)
    """By layer, what other programs wrote and no kind of PEFT's holds; the rest of the part is then a LoRA."""


def kind_of(part: AdapterPart) -> str:
    """PEFT's type of a part, in capitals."""
    return str(part.config.get("peft_type", "LORA")).rpartition(".")[2].upper()


def plain_config(config: PeftConfig) -> dict[str, Any]:
    """PEFT's config as JSON holds it: sets and tuples as sorted lists, and what JSON has no word for as its text."""
    plain: dict[str, Any] = json.loads(json.dumps(config.to_dict(), default=_plain))
    return plain


def lora_config(ranks: Mapping[str, int], alphas: Mapping[str, float] | None = None) -> dict[str, Any]:
    """PEFT's config of a LoRA by its layers' ranks and alphas (default: the ranks): what differs from the defaults."""
    alphas = alphas or ranks
    rank, alpha = _commonest(ranks), _commonest(alphas)
    # ^ makes a pattern the whole name, where PEFT takes any layer that ends with it.
    return {
        "peft_type": "LORA",
        "r": rank,
        "lora_alpha": alpha,
        "rank_pattern": {f"^{layer}": own for layer, own in sorted(ranks.items()) if own != rank},
        "alpha_pattern": {f"^{layer}": own for layer, own in sorted(alphas.items()) if own != alpha},
        "target_modules": sorted(ranks),
    }


def write_parts(file: Path, parts: Mapping[str, AdapterPart]) -> None:
    """Write an adapter that diffusers does not load, by component; see the package's words."""
    tensors = {
        f"{component}.{name}": tensor.detach().cpu().contiguous()
        for component, part in parts.items()
        for name, tensor in part.state.items()
    }
    configs = {component: dict(part.config) for component, part in parts.items()}
    save_file(tensors, file, metadata={"format": "pt", PEFT_CONFIGS: json.dumps(configs, sort_keys=True)})


def _commonest(values: Mapping[str, Any]) -> Any:
    return Counter(values.values()).most_common(1)[0][0]


def _plain(value: Any) -> Any:
    return sorted(value) if isinstance(value, set | frozenset | tuple) else str(value)
