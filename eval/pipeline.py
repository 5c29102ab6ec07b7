"""The base with and without a LoRA, for judging a file: what is loaded, and why it cannot be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from diffusers import DiffusionPipeline
from safetensors import SafetensorError

from eval.families import FAMILIES
from foundation.adapter_files import WEIGHTS_FILE, is_diffusers_own, put_on
from foundation.errors import AdapterError, BaseModelError
from foundation.own_code import NO_CODE, refuse_models_code, refuse_pipelines_code

_ADAPTER = "judged"
_PIPELINES: Any = DiffusionPipeline  # untyped upstream
_HAS_CHECKER = "StableDiffusionPipeline"
_LOADING_ERRORS = (OSError, ValueError, KeyError, IndexError, TypeError, AttributeError, RuntimeError, SafetensorError)
"""What diffusers, peft and safetensors raise on a file that is none of theirs."""


def base_folder(base: str) -> str:
    """Return where the base `base` lies: "pocket" is the embedded one, anything else a folder or hub id as it is."""
    return str(Path(__file__).parents[1] / "train/pocket/weights/pipeline") if base == "pocket" else base


def load_pipeline(base: str, device: torch.device | str) -> Any:
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
        if family not in FAMILIES:
            raise BaseModelError(f"base must be one of {', '.join(FAMILIES)}, got {base!r} of {family}")
        unchecked = {"safety_checker": None, "requires_safety_checker": False} if family == _HAS_CHECKER else {}
        pipe = _PIPELINES.from_pretrained(source, dtype=torch.float32, use_safetensors=True, **NO_CODE, **unchecked)
    except BaseModelError:
        raise
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise BaseModelError(
            f"base cannot be loaded, got {base!r} ({_first_line(error)}); "
            "name a pipeline folder with model_index.json, a hub id, or 'pocket'"
        ) from error
    pipe.set_progress_bar_config(disable=True)
    return pipe.to(device)


def lora_file(path: Path) -> Path:
    """Return the one LoRA file that `path` means: itself, or the one in the folder.

    Raises:
        AdapterError: there is none or more than one, or it is no safetensors file.
    """
    if path.is_dir():
        usual = path / WEIGHTS_FILE
        files = [usual] if usual.is_file() else sorted(path.glob("*.safetensors"))
        if len(files) != 1:
            names = ", ".join(file.name for file in files) or "none"
            raise AdapterError(f"lora: a folder must hold one .safetensors file, got {names} in {path}; name the file")
        return files[0]
    if not path.is_file():
        raise AdapterError(f"lora must be a file or folder, got {path}, which is not there")
    if path.suffix != ".safetensors":
        raise AdapterError(f"lora must be a .safetensors file, got {path}; nothing is unpickled here, convert it first")
    return path


def load_lora(pipe: Any, path: Path) -> None:
    """Put the adapter of `path` (see `lora_file`) on `pipe`: diffusers' or kohya's names, or a kind that only we write.

    Raises:
        AdapterError: it cannot be read, or nothing in it fits the base.
    """
    file = lora_file(path)
    try:
        if not is_diffusers_own(file):
            put_on(pipe, file, _ADAPTER)
            return
        pipe.load_lora_weights(str(file.parent), weight_name=file.name, adapter_name=_ADAPTER)
        fitted = _ADAPTER in {name for names in pipe.get_list_adapters().values() for name in names}
    except AdapterError:
        raise
    except _LOADING_ERRORS as error:
        raise AdapterError(f"lora does not fit the base, got {file} ({_first_line(error)})") from error
    if not fitted:
        raise AdapterError(f"lora holds nothing for this base, got {file}; was it trained on another one?")


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
