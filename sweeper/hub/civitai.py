"""What a file's header says to Civitai's users: words of its public API for a model version, and of ModelSpec.

Civitai itself reads none of it when a file is uploaded, as far as it is published; programs that manage LoRAs and
people with the file alone do. Sources: developer.civitai.com, GET /api/v1/model-versions (`baseModel`, `trainedWords`);
github.com/Stability-AI/ModelSpec, 1.0.1 (`author`, `license`, `tags`, `description`).
"""

from __future__ import annotations

import json
from typing import Final

from sweeper.hub.model_card import Terms
from sweeper.hub.published import Published

_BASES: Final = {"SD 1": "SD 1.5", "SD 2": "SD 2.1", "SDXL": "SDXL 1.0", "FLUX.1": "Flux.1 D", "Qwen-Image": "Qwen"}
"""Civitai's names by ours, where one of ours has one name there."""


def header_of(told: Published, terms: Terms, family_title: str) -> dict[str, str]:
    """Return entries for the header of a file whose base is of the family called so (`foundation.bases.families`)."""
    description = f"A LoRA of a {told.kind} for {told.base_id or told.base}, best at strength {told.strength:g}."
    civitai = {
        "type": "LORA",
        "name": told.study,
        "baseModel": _BASES.get(family_title),
        "trainedWords": [told.trigger] if told.trigger else [],
        "description": description,
        "strength": told.strength,
    }
    spec = {
        "modelspec.author": terms.author,
        "modelspec.license": terms.license_name or terms.license,
        "modelspec.tags": f"lora,{told.kind}",
        "modelspec.description": description,
    }
    told_of_it = {key: value for key, value in civitai.items() if value not in (None, [])}
    return {"civitai": json.dumps(told_of_it, ensure_ascii=False), **{key: text for key, text in spec.items() if text}}
