"""A base whose weights nobody loaded: the family's own code over modules that have shapes alone, from their configs.

It can do what needs no numbers and no tokenizer: predict, encode and decode pictures, embed ids.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import torch

from foundation.bases.folder import base_location, is_file
from foundation.bases.port import Base
from foundation.bases.registry import DTYPES, code_of
from foundation.bases.spec import BaseSpec, Precision
from foundation.config.own_code import refuse_models_code, refuse_pipelines_code
from foundation.errors import BaseModelError, first_line
from foundation.files.documents import as_mapping, read_json
from foundation.tensor_memory import TensorMemory, block_size, counting

_INDEX: Final = "model_index.json"
_LIBRARIES: Final = ("diffusers", "transformers")
_WITH_WEIGHTS: Final = ("unet", "transformer", "vae", "text_encoder", "text_encoder_2", "text_encoder_3")
_SCHEDULER: Final = "scheduler"
_META: Final = "meta"
Architecture = Mapping[str, tuple[str, str, Mapping[str, Any]]]
"""Of a pipeline: library, class and config of each part that has weights, and of its scheduler."""


def architecture_of(spec: BaseSpec) -> Architecture:
    """Read it from the configs in the base's folder; of a hub id they are fetched, or found in this machine's cache.

    Of a checkpoint in one file they are those of `base.parts`.

    Raises:
        BaseModelError: they are not to be had, or ask for code of their own.
    """
    location = base_location(spec)
    if is_file(location):
        if spec.parts is None:
            raise BaseModelError(f"base.path {spec.path} is one file: what it holds is known once base.parts is set")
        location = spec.parts
    refuse_models_code(location, "base.path")
    index = _read(location, _INDEX)
    refuse_pipelines_code(index, f"base.path {spec.path}")
    found = {}
    for part, said in index.items():
        if part not in (*_WITH_WEIGHTS, _SCHEDULER) or not isinstance(said, list) or said[0] not in _LIBRARIES:
            continue
        file = "scheduler_config.json" if part == _SCHEDULER else "config.json"
        found[part] = (str(said[0]), str(said[1]), _read(location, f"{part}/{file}"))
    return found


def _read(location: str, name: str) -> dict[str, Any]:
    def refusal(line: str) -> BaseModelError:
        return BaseModelError(f"{line}; fetch it anew")

    try:
        file = Path(location) / name if Path(location).is_dir() else _fetch(location, name)
        return as_mapping(read_json(file, refusal), str(file), refusal)
    except OSError as error:
        raise BaseModelError(f"base {location}: its {name} is not to be had ({first_line(error)})") from error


def _fetch(hub_id: str, name: str) -> Path:
    from huggingface_hub import hf_hub_download, try_to_load_from_cache  # only for who asks: it takes a moment

    known = try_to_load_from_cache(hub_id, name)
    return Path(known if isinstance(known, str) else hf_hub_download(hub_id, name))


@contextmanager
def unloaded_base(
    spec: BaseSpec, family: str, architecture: Architecture, precision: Precision, device: str | None = None
) -> Iterator[tuple[Base, TensorMemory]]:
    """Yield the base by its shapes, as `load_base` would load it onto the CPU, and what counts all memory of tensors.

    Within the block tensors are fake (see `foundation.tensor_memory`). With a kind of `device` those that come beside
    the weights count as much as its allocator holds of them.

    Raises:
        BaseModelError: its configs do not fit its family's code.
    """
    base: Any = _on_meta(spec, code_of(family), architecture, DTYPES[precision])
    with counting() as memory:
        for module in base.pipeline.components.values():
            if isinstance(module, torch.nn.Module):
                _let_be_fake(module)
        base.device = torch.device("cpu")
        if device is not None:
            memory.held = partial(block_size, device=device)
        yield base, memory


def _on_meta(spec: BaseSpec, code: Any, architecture: Architecture, dtype: torch.dtype) -> Any:
    left_out = code.options(spec)
    parts = {part: each for part, each in architecture.items() if left_out.get(part, each) is not None}
    try:
        with torch.device(_META):
            modules = {part: _build(*each, dtype) for part, each in parts.items()}
        options = {name: value for name, value in left_out.items() if name not in ("text_encoder_3", "tokenizer_3")}
        named = dict.fromkeys(_tokenizers_of(code.pipeline_class))
        pipeline = code.pipeline_class(**{**named, **options, **modules})
        kind = type(f"Unloaded{code.__name__}", (code,), {"_fingerprint": lambda self: ""})
        return kind(pipeline, replace(spec, offload="none"), torch.device(_META))
    except (TypeError, ValueError, AttributeError, LookupError, RuntimeError) as error:
        raise BaseModelError(f"base {spec.path}: its configs make no pipeline ({first_line(error)})") from error


def _build(library: str, name: str, config: Mapping[str, Any], dtype: torch.dtype) -> Any:
    made = getattr(import_module(library), name)
    if not issubclass(made, torch.nn.Module):
        return made.from_config(dict(config))
    if library == "diffusers":
        return made.from_config(dict(config)).to(dtype)
    return made(made.config_class.from_dict(dict(config))).to(dtype)


def _let_be_fake(module: torch.nn.Module) -> None:
    """Put fake tensors of the CPU, laid out alike, in the place of a module's own; those that are tied stay so."""
    made: dict[int, Any] = {}
    for part in module.modules():
        for own in (part._parameters, part._buffers):
            for name, each in own.items():
                if each is not None and id(each) not in made:
                    fake = torch.empty_strided(each.size(), each.stride(), dtype=each.dtype)
                    is_parameter = isinstance(each, torch.nn.Parameter)
                    made[id(each)] = torch.nn.Parameter(fake, requires_grad=False) if is_parameter else fake
                own[name] = each if each is None else made[id(each)]


def _tokenizers_of(pipeline: Any) -> list[str]:
    """All that its constructor wants and that has no weights."""
    wanted, _ = pipeline._get_signature_keys(pipeline)
    return sorted(wanted)
