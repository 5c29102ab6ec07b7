"""The base with and without a LoRA, for judging a file: what is loaded, and why it cannot be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from diffusers import DiffusionPipeline

from eval.families import FAMILY_LOSSES
from foundation.adapters.files import put_on
from foundation.config.own_code import NO_CODE, refuse_models_code, refuse_pipelines_code
from foundation.errors import BaseModelError, first_line

_ADAPTER = "judged"
_PIPELINES: Any = DiffusionPipeline  # untyped upstream
_HAS_CHECKER = "StableDiffusionPipeline"


def base_folder(base: str) -> str:
    """Return where the base `base` lies: "pocket" is the embedded one, anything else a folder or hub id as it is."""
    return str(Path(__file__).parents[1] / "train/pocket/weights/pipeline") if base == "pocket" else base


def load_base_pipeline(base: str, device: torch.device | str) -> Any:
    """Load a pipeline of a family that can be trained here, in float32 from safetensors, without safety checker.

    Raises:
        BaseModelError: there is no such pipeline, or it is of another family.
    """
    source = base_folder(base)
    if base == "pocket" and not Path(source, "model_index.json").is_file():
        raise BaseModelError(f"base: the embedded pipeline is missing in {source}; fetch the repository whole")
    try:
        refuse_models_code(source, "base")
        index = _PIPELINES.load_config(source)
        refuse_pipelines_code(index, f"base {base}")
        family = index.get("_class_name") if isinstance(index, dict) else None
        if family not in FAMILY_LOSSES:
            raise BaseModelError(f"base must be one of {', '.join(FAMILY_LOSSES)}, got {base!r} of {family}")
        unchecked = {"safety_checker": None, "requires_safety_checker": False} if family == _HAS_CHECKER else {}
        pipe = _PIPELINES.from_pretrained(source, dtype=torch.float32, use_safetensors=True, **NO_CODE, **unchecked)
    except BaseModelError:
        raise
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise BaseModelError(
            f"base cannot be loaded, got {base!r} ({first_line(error)}); "
            "name a pipeline folder with model_index.json, a hub id, or 'pocket'"
        ) from error
    pipe.set_progress_bar_config(disable=True)
    return pipe.to(device)


def load_lora(pipe: Any, path: Path) -> str:
    """Put the adapter of a file or folder on `pipe`, whoever wrote it; how many layers of what kind, in words.

    Raises:
        AdapterError: it cannot be read, or anything in it does not fit the base.
    """
    return put_on(pipe, path, _ADAPTER)
