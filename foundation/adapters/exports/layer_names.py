"""Which model family an adapter's layers are of, and what other programs' files call them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from torch import Tensor

from foundation.adapters.exports.adapter import SavedAdapter, layer_in_file
from foundation.bases.families import FAMILIES, LayerNames
from foundation.errors import AdapterError

_SD2_TEXT_WIDTH: Final = 1024
_SDXL_TEXT_WIDTH: Final = 2048
_FLUX_WIDTH: Final = 3072
"""Of FLUX.1 and of Qwen-Image; SD3's are 1536 and 2432."""
_FLUX_BLOCKS: Final = 19
"""Blocks of FLUX.1 in which picture and caption attend jointly; Qwen-Image has 60."""
_OF_QWEN: Final = re.compile(r"transformer_blocks\.\d+\.(img|txt)_(mlp|mod)\..+|(img|txt)_in\..+")


@lru_cache
def built_in_names() -> Mapping[str, LayerNames]:
    """The names of all versions of our own families, by version."""
    return {version: names for family in FAMILIES.built_in for version, names in FAMILIES[family].names.items()}


def names_of(adapter: SavedAdapter, family: str = "") -> LayerNames:
    """What other programs call the layers of an adapter.

    `family` is the `base.family` it was trained on; empty where that is not known, the layers then decide.

    Raises:
        AdapterError: there are no such names of the family.
    """
    if family not in FAMILIES:
        return built_in_names()[version_of(adapter)]
    if not (versions := FAMILIES[family].names):
        raise AdapterError(f"kohya's format has no names for the layers of {family}; export peft or merged instead")
    first = next(iter(versions))
    return versions[first] if len(versions) == 1 else versions.get(version_of(adapter, family), versions[first])


def kohya_name(names: LayerNames, part: str, layer: str) -> str:
    """A layer as kohya's files name it."""
    name = layer_in_file(part, layer) if part.startswith("text_encoder") else names.denoiser_name(layer)
    return f"{names.prefixes[part]}{name.replace('.', '_')}"


def version_of(adapter: SavedAdapter, family: str = "") -> str:
    """Which version of which of our families an adapter's layers are of; sd1 where they do not tell.

    `family` as for `names_of`: SD 2.x's layers are SDXL's, some of them.
    """
    if "transformer" in adapter.parts:
        return _transformer_of(adapter.parts["transformer"].state)
    if "unet" not in adapter.parts:
        return "sdxl" if "text_encoder_2" in adapter.parts else "sd1"
    unet = adapter.parts["unet"].state
    widths = {tensor.shape[1] for name, tensor in unet.items() if name.endswith("attn2.to_k.lora_A.weight")}
    deep = any(".transformer_blocks.1." in name for name in unet)
    if not family and ("text_encoder_2" in adapter.parts or deep or _SDXL_TEXT_WIDTH in widths):
        return "sdxl"
    return "sd2" if _SD2_TEXT_WIDTH in widths else "sd1"


def _transformer_of(state: Mapping[str, Tensor]) -> str:
    if any(".to_qkv_mlp_proj." in name or ".ff.linear_" in name for name in state):
        return "flux2"
    if any(name.startswith("single_transformer_blocks.") for name in state):
        return "flux"
    if any(_OF_QWEN.fullmatch(name) for name in state):
        return "qwen_image"
    widths = {tensor.shape[1] for name, tensor in state.items() if name.endswith("attn.to_q.lora_A.weight")}
    if _FLUX_WIDTH not in widths:
        return "sd3"
    return "qwen_image" if any(name.startswith(f"transformer_blocks.{_FLUX_BLOCKS}.") for name in state) else "flux"
