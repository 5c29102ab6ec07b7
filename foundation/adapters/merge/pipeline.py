"""Adapters on a loaded pipeline: PEFT's verbs over all its parts, whatever the adapter's kind.

`merge` writes an adapter into the layers' own weights, `unmerge` takes it out again, `unload` gives the plain layers
back (merged or not, as they are), `delete` takes one adapter away. Several are merged one after another.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import torch
from diffusers import DiffusionPipeline
from peft.tuners.tuners_utils import BaseTunerLayer
from peft.utils import AuxiliaryTrainingWrapper
from torch import nn

from foundation.adapters.exports.adapter import SavedAdapter
from foundation.adapters.files import put_parts_on, take_off
from foundation.bases.families import family_of_pipeline
from foundation.bases.registry import code_of
from foundation.bases.saving import save_pipeline
from foundation.config.own_code import NO_CODE, refuse_models_code, refuse_pipelines_code
from foundation.errors import AdapterError, BaseModelError, first_line
from foundation.files.durable import new_folder

_PIPELINES: Any = DiffusionPipeline  # untyped upstream
_LIBRARIES: Final = ("diffusers", "transformers")
"""Where the models of pipelines come from; nothing is imported from elsewhere."""


def open_pipeline(location: str, dtype: torch.dtype = torch.float32) -> Any:
    """Load a whole pipeline, of whatever family; safetensors only.

    Raises:
        BaseModelError: when it is none.
    """
    with _one_line(location):
        family = family_of_pipeline(str(_check(location).get("_class_name")))
        own: Any = _PIPELINES if family is None else code_of(family).pipeline_class  # a package's diffusers has not
        pipe = own.from_pretrained(location, dtype=dtype, use_safetensors=True, **NO_CODE)
    for component in _modules(pipe):
        component.requires_grad_(False)
    return pipe


def open_parts(location: str, parts: Iterable[str]) -> Any:
    """Load some models of a pipeline alone, in float32, as attributes of what is returned; safetensors only.

    Raises:
        BaseModelError: when there is no such pipeline, or it lacks one of them.
    """
    with _one_line(location):
        index = _check(location)
        return SimpleNamespace(**{part: _model(location, index, part) for part in parts})


def _check(location: str) -> Mapping[str, Any]:
    """The pipeline's index, which names no code but the libraries'."""
    refuse_models_code(location, "base")
    index: Mapping[str, Any] = _PIPELINES.load_config(location)
    refuse_pipelines_code(index, f"base {location}")
    return index


def _model(location: str, index: Mapping[str, Any], part: str) -> nn.Module:
    library, name = index.get(part) or ("", "")
    if library not in _LIBRARIES:
        raise BaseModelError(f"{location} has no {part} of {' or '.join(_LIBRARIES)}")
    kind: Any = getattr(import_module(library), name)
    model: nn.Module = kind.from_pretrained(location, subfolder=part, dtype=torch.float32, use_safetensors=True)
    return model.requires_grad_(False)


@contextmanager
def _one_line(location: str) -> Iterator[None]:
    try:
        yield
    except BaseModelError:
        raise
    except (OSError, ValueError, TypeError, AttributeError, KeyError) as error:
        reason = first_line(error)
        raise BaseModelError(f"{location} is no pipeline that loads: {reason}") from error


def put(pipe: Any, adapter: SavedAdapter, name: str, strength: float = 1.0) -> None:
    """Put an adapter on a pipeline, acting; strength as `foundation.adapters.files.put_on` has it.

    Raises:
        AdapterError: when it does not fit.
    """
    put_parts_on(pipe, adapter.parts, name, strength, "the LoRA")


@torch.no_grad()
def merge(pipe: Any, name: str) -> None:
    """Write an adapter into the weights it acts on; the layers keep it, so that it can be taken out again.

    Raises:
        AdapterError: when a weight would not be finite, or a layer cannot hold what it adds.
    """
    for layer in _layers(pipe):
        try:
            layer.merge(safe_merge=True, adapter_names=[name])
        except (ValueError, RuntimeError) as error:  # not finite; or a bias for a layer that has none
            raise AdapterError(f"the LoRA cannot be merged: {error}") from error


@torch.no_grad()
def unmerge(pipe: Any) -> None:
    """Take out again what `merge` wrote, to the weights' precision."""
    for layer in _layers(pipe):
        layer.unmerge()


def unload(pipe: Any) -> None:
    """Give the pipeline its plain layers back, weights as they are; modules trained whole stay as trained."""
    for component in _modules(pipe):
        for module in list(component.modules()):
            for name, child in list(module.named_children()):
                if isinstance(child, AuxiliaryTrainingWrapper):
                    trained = child.unload_and_optionally_merge_module(merge=True, safe_merge=False, adapter_names=None)
                    setattr(module, name, trained)
    take_off(pipe)


def delete(pipe: Any, name: str) -> None:
    """Take one adapter off a pipeline; others stay.

    Raises:
        AdapterError: when there is none of that name.
    """
    there = [component for component in _modules(pipe) if name in getattr(component, "peft_config", {})]
    if not there:
        raise AdapterError(f"there is no adapter {name} on the pipeline")
    for layer in _layers(pipe):
        layer.delete_adapter(name)
    for component in there:
        configs: Any = component.peft_config
        del configs[name]


def merge_all(pipe: Any, adapters: list[tuple[SavedAdapter, float]]) -> None:
    """Merge adapters, each at its strength, one after another, and leave a plain pipeline.

    Raises:
        AdapterError: when one does not fit, or leaves a weight that is not finite.
    """
    for number, (adapter, strength) in enumerate(adapters):
        name = f"merged{number}"
        put(pipe, adapter, name, strength)
        merge(pipe, name)
        unload(pipe)


def unmerge_all(pipe: Any, adapters: list[tuple[SavedAdapter, float]]) -> None:
    """Take adapters out of a pipeline that `merge_all` left, the last one first.

    Raises:
        AdapterError: when one does not fit, or its kind cannot be taken out.
    """
    for number, (adapter, strength) in reversed(list(enumerate(adapters))):
        if adapter.has_dora:
            raise AdapterError("DoRA cannot be taken out: the norms of the weights before are not in those after")
        for part in adapter.parts.values():
            if whole := part.config.get("modules_to_save"):
                raise AdapterError(f"{whole[0]} was trained whole and cannot be taken out: what was there is gone")
        name = f"merged{number}"
        put(pipe, adapter, name, strength)
        for layer in _layers(pipe):
            layer.merged_adapters.append(name)  # its update is in the weights that were loaded
        unmerge(pipe)
        unload(pipe)


def write_pipeline(pipe: Any, folder: Path) -> None:
    """Write a pipeline as `from_pretrained` takes it, whole or not at all."""
    with new_folder(folder) as fresh:
        save_pipeline(pipe, fresh)


def _modules(pipe: Any) -> list[nn.Module]:
    return [component for component in pipe.components.values() if isinstance(component, nn.Module)]


def _layers(pipe: Any) -> Iterator[Any]:
    for component in _modules(pipe):
        yield from (module for module in component.modules() if isinstance(module, BaseTunerLayer))
