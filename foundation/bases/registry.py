"""How a base is loaded from where its config points, by the code of its family."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from typing import Any, Final

import torch

from foundation.bases.families import FAMILIES
from foundation.bases.folder import check_files, known_family, refuse_bases_code
from foundation.bases.port import Base
from foundation.bases.quantization import check_quantization
from foundation.bases.spec import BaseSpec, Precision
from foundation.errors import ConfigError

DTYPES: Final[dict[Precision, torch.dtype]] = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
"""What a precision's numbers are to torch."""


def load_base(spec: BaseSpec, device: torch.device, precision: Precision = "fp32", *, own_size: bool = False) -> Base:
    """Load a frozen base onto a device, for pictures of `spec.resolution` pixels, or of its pipeline's `own_size`.

    Raises:
        BaseModelError: when the path is no pipeline of the family, or is not to be had; when it cannot draw pictures
            of that size.
    """
    if device.type != "cpu" and device.index is not None:
        torch.accelerator.set_device_index(device.index)  # recordings and some libraries' kernels go to the current one
    code, pipeline = _load(spec, precision)
    if own_size:
        spec = replace(spec, resolution=code.own_side(pipeline))
    base: Base = code(pipeline, spec, device)
    return base


def load_plain(spec: BaseSpec) -> Any:
    """Load a base as diffusers' own pipeline, in float32.

    Raises:
        BaseModelError: as `load_base`.
    """
    return _load(replace(spec, quantization=None), "fp32")[1]


def _load(spec: BaseSpec, precision: Precision) -> tuple[Any, Any]:
    """The class of its family, and diffusers' pipeline."""
    from foundation.bases.loading import family_of, load_pipeline  # loads diffusers: seconds, for who needs it

    code = code_of(family_of(spec))
    return code, load_pipeline(spec, code, DTYPES[precision])


def code_of(family: str) -> Any:
    """The class of a family: a `Base`, and what loads its pipeline.

    Raises:
        ConfigError: a package's family names a module or class that is not there.
    """
    module, _, name = FAMILIES[family].code.partition(":")
    try:
        return getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ConfigError([f"base.family {family} has no code at {FAMILIES[family].code}: {error}"]) from error


def check_base(spec: BaseSpec, trains_text: bool = False) -> None:
    """Refuse a path that is no pipeline, without loading weights; a hub id is looked up only when it is loaded.

    `trains_text`: whether any trial is to train the text encoder.

    Raises:
        BaseModelError: as `load_base`.
        ConfigError: when the family's text encoders are not trained here, or this machine cannot quantise so.
    """
    check_quantization(spec)
    refuse_bases_code(spec)
    family = known_family(spec)
    check_files(spec)
    if trains_text and family is not None and not FAMILIES[family].trains_text:
        raise ConfigError(
            [f"adapter.text_encoder must be false for base.family {family}: only its denoiser is trained"]
        )
