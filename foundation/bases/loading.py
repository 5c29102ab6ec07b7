"""From where a config points to a diffusers pipeline, and what went wrong in one line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from diffusers import DiffusionPipeline
from diffusers.loaders.single_file_utils import SingleFileComponentError
from huggingface_hub.errors import (
    GatedRepoError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
)
from safetensors import SafetensorError

from foundation.bases.folder import agreed_family, base_location, is_file, known_family, refuse_bases_code
from foundation.bases.quantization import quantization_options
from foundation.bases.spec import BaseSpec
from foundation.config.own_code import NO_CODE, refuse_pipelines_code
from foundation.errors import BaseModelError

_LOADING_ERRORS = (
    OSError,
    ValueError,
    TypeError,
    AttributeError,
    LookupError,
    RuntimeError,
    SafetensorError,
    SingleFileComponentError,
)
"""What diffusers, transformers and safetensors raise on what they cannot load."""


def family_of(spec: BaseSpec) -> str:
    """The base's family; a hub id's `model_index.json` is fetched when it was not said.

    Raises:
        BaseModelError: see `known_family`; when the hub does not have it, or is not there.
    """
    family = known_family(spec)
    if family is None:
        with _one_line(spec.path):
            family = agreed_family(spec, _class_name(base_location(spec)), f"base.path {spec.path}")
    return family


def _class_name(location: str) -> str:
    return str(DiffusionPipeline.load_config(location)["_class_name"])


def load_pipeline(spec: BaseSpec, family: Any, dtype: torch.dtype) -> Any:
    """Load a folder, a hub id or a checkpoint in one file for a subclass of `FrozenPipeline`; safetensors only.

    Of a flow transformer such a file holds the transformer alone, of the others all that has weights.

    Raises:
        BaseModelError: when it is none of that family, is not to be had, or wants its licence accepted.
    """
    location, pipeline = base_location(spec), family.pipeline_class
    refuse_bases_code(spec)
    options = {**family.options(spec), **quantization_options(spec, family.denoiser_name, dtype), "dtype": dtype}
    if not is_file(location):
        with _one_line(spec.path):
            refuse_pipelines_code(pipeline.load_config(location), f"base.path {spec.path}")
            return pipeline.from_pretrained(location, use_safetensors=True, **NO_CODE, **options)
    if not hasattr(family, "transformer_class"):
        with _one_line(spec.path, "set base.parts to a diffusers folder of its kind, for configs and tokenizers"):
            return pipeline.from_single_file(location, config=spec.parts, **options)
    with _one_line(str(spec.parts)):
        agreed_family(spec, _class_name(str(spec.parts)), f"base.parts {spec.parts}")
    with _one_line(spec.path):
        parts = {"config": spec.parts, "subfolder": "transformer"}
        transformer = family.transformer_class.from_single_file(location, dtype=dtype, **parts)
    with _one_line(str(spec.parts)):
        return pipeline.from_pretrained(spec.parts, transformer=transformer, use_safetensors=True, **NO_CODE, **options)


@contextmanager
def _one_line(path: str, offline: str = "") -> Iterator[None]:
    """Within the block what goes wrong with the base `path` is said in one line that says what to do.

    `offline` is what to do without the hub, where that is not to fetch `path` itself.
    """
    try:
        yield
    except BaseModelError:
        raise
    except _LOADING_ERRORS as error:
        raise BaseModelError(_reason(path, error, offline)) from error


def _reason(path: str, error: BaseException, offline: str) -> str:
    causes = list(_causes(error))
    if any(isinstance(cause, GatedRepoError) for cause in causes):
        return (
            f"base {path} wants its licence accepted: do so on https://huggingface.co/{path}, then log in with "
            "`hf auth login` or set HF_TOKEN"
        )
    if any(isinstance(cause, RepositoryNotFoundError) for cause in causes):
        return f"base {path} is not on the hub, or is private; check its name, or log in with `hf auth login`"
    if any(isinstance(cause, LocalEntryNotFoundError | OfflineModeIsEnabled) for cause in causes):
        todo = offline or f"run `hf download {path}` where it can be reached, or name a folder that holds it"
        return f"base {path} is not all in this machine's cache, and the hub cannot be reached; {todo}"
    said = str(error).strip().splitlines()
    return f"base {path} does not load: {said[0] if said else type(error).__name__}"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
