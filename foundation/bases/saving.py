"""Pipelines as files that draw as they are loaded, whether or not their reader names a dtype."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from foundation.files.documents import read_json
from foundation.files.durable import write_text

UNLESS_TOLD: Final = "float32"
"""What diffusers loads its models as where no dtype is named, whatever their files hold."""


def save_pipeline(pipe: Any, folder: Path) -> None:
    """Write a pipeline, safetensors only, that `DiffusionPipeline.from_pretrained(folder)` loads in one dtype.

    Where no dtype is named transformers 5 takes the one in the model's config, which is that of the file, and diffusers
    float32: a pipeline in half precision came back with text encoders in half and all else in float32, and did not
    draw. The configs of models from transformers therefore say float32; a dtype that is named overrules them.
    """
    pipe.save_pretrained(folder, safe_serialization=True)
    for config in sorted(folder.glob("*/config.json")):
        load_unless_told(config)


def load_unless_told(config: Path) -> None:
    """Let a model's config, and the configs in it, name float32 as the dtype to load it in, if they name any."""
    values = read_json(config)
    changed = _with_float32(values)
    if changed != values:
        write_text(config, json.dumps(changed, indent=2, sort_keys=True) + "\n")


def _with_float32(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {key: UNLESS_TOLD if key == "dtype" and each else _with_float32(each) for key, each in value.items()}
