"""Which family runs which base, and how a base is loaded from where its config points."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import torch

from train.bases.folder import check_folder
from train.bases.port import Base
from train.spec import BaseSpec, Precision

EMBEDDED: Final = {"pocket": Path(__file__).parents[1] / "pocket" / "weights" / "pipeline"}
"""Bases that ship with the package, by the `base.path` that names them."""


def _stable_diffusion(spec: BaseSpec, path: str, device: torch.device, dtype: torch.dtype) -> Base:
    from train.bases.stable_diffusion import load_stable_diffusion  # loads diffusers: seconds, for who needs it

    return load_stable_diffusion(spec, path, device, dtype)


FAMILIES: Final[dict[str, Callable[[BaseSpec, str, torch.device, torch.dtype], Base]]] = {
    "stable_diffusion": _stable_diffusion,
}
DTYPES: Final[dict[Precision, torch.dtype]] = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
"""What a precision's numbers are to torch."""


def load_base(spec: BaseSpec, device: torch.device, precision: Precision = "fp32") -> Base:
    """Load a frozen base onto a device.

    Raises:
        BaseModelError: when the path is no pipeline of the family, or is not to be had.
    """
    return FAMILIES[spec.family](spec, base_location(spec), device, DTYPES[precision])


def base_location(spec: BaseSpec) -> str:
    """What diffusers' `from_pretrained` takes for this base: a folder or a hub id."""
    return str(EMBEDDED.get(spec.path, spec.path))


def check_base(spec: BaseSpec) -> None:
    """Refuse a path that is no pipeline, without loading weights; a hub id is only asked for when it is loaded.

    Raises:
        BaseModelError: as `load_base`.
    """
    check_folder(base_location(spec))
