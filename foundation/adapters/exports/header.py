"""The header of a kohya file: kohya's own `ss_…` entries and Stability's modelspec.

Sources: kohya-ss/sd-scripts train_network.py and library/sai_model_spec.py; github.com/Stability-AI/ModelSpec, 1.0.1.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from safetensors.torch import save
from torch import Tensor

from foundation.adapters.exports.about import About
from foundation.adapters.exports.adapter import SavedAdapter
from foundation.adapters.exports.layers import layers_of
from foundation.adapters.files.changes import BASE_NORMS, NORMS_ENTRY
from foundation.bases.families import LayerNames

_LYCORIS: Final = {"LOHA": "loha", "LOKR": "lokr"}
"""PEFT's types that LyCORIS knows, by its own names."""


def kohya_header(
    adapter: SavedAdapter, state: Mapping[str, Tensor], names: LayerNames, about: About, full: bool = False
) -> dict[str, str]:
    """What is known of an adapter, as A1111, ComfyUI and kohya's trainer show it.

    `state` is what the file holds; `full` where these are whole differences.
    """
    layers = [layer for part in adapter.parts.values() for layer in layers_of(part, "a header")]
    ranks, alphas = [layer.rank for layer in layers if layer.rank], [layer.alpha for layer in layers if layer.rank]
    if full:
        ranks, alphas = [], []
    algorithms = ["full"] if full else sorted({_LYCORIS[kind] for kind in adapter.kinds if kind in _LYCORIS})
    network = {
        "ss_network_module": "lycoris.kohya" if algorithms else names.network_module,
        "ss_network_dim": f"{_most_common(ranks)}" if ranks else None,
        "ss_network_alpha": f"{_most_common(alphas):g}" if alphas else None,
        "ss_network_args": json.dumps({"algo": algorithms[0]}) if algorithms else None,
        NORMS_ENTRY: BASE_NORMS if any(name.endswith(".dora_scale") for name in state) else None,
    }
    training = {
        "ss_output_name": about.title,
        "ss_base_model_version": names.base_model_version,
        "ss_v2": str(names.base_model_version == "sd_v2"),
        "ss_sd_model_name": about.base,
        "ss_resolution": f"({about.resolution}, {about.resolution})" if about.resolution else None,
        "ss_steps": None if about.steps is None else str(about.steps),
        **(about.training or {}),
    }
    spec = {
        "modelspec.sai_model_spec": "1.0.1",
        "modelspec.architecture": f"{names.architecture}/lora",
        "modelspec.implementation": names.implementation,
        "modelspec.title": about.title,
        "modelspec.resolution": f"{about.resolution}x{about.resolution}" if about.resolution else None,
        "modelspec.date": about.date,
        "modelspec.trigger_phrase": about.trigger,
        "modelspec.usage_hint": f"Put '{about.trigger}' into the prompt." if about.trigger else None,
        "modelspec.hash_sha256": _hash(state),
    }
    return {
        "format": "pt",
        **{key: value for key, value in {**network, **training, **spec, **(about.more or {})}.items() if value},
    }


def _most_common(values: Sequence[float]) -> float:
    return Counter(values).most_common(1)[0][0]


def _hash(state: Mapping[str, Tensor]) -> str:
    """SHA-256 of the file from the end of its header on, which therefore may hold it (ModelSpec, `hash_sha256`)."""
    data = save(dict(state))
    start = 8 + int.from_bytes(data[:8], "little")
    return f"0x{hashlib.sha256(data[start:]).hexdigest()}"
