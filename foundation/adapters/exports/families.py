"""What other programs call the layers of each model family.

Sources: kohya-ss/sd-scripts networks/lora.py (prefixes), library/sai_model_spec.py (architectures) and
library/sdxl_model_util.py; ComfyUI comfy/lora.py `model_lora_keys_clip`, `model_lora_keys_unet`;
AUTOMATIC1111 extensions-builtin/Lora/networks.py `convert_diffusers_name_to_compvis`; diffusers 0.42
loaders/lora_conversion_utils.py; kohya-ss/musubi-tuner networks/lora_qwen_image.py and utils/sai_model_spec.py.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from torch import Tensor

from foundation.adapters.exports.adapter import SavedAdapter, layer_in_file
from foundation.bases.original_layers import Places, flux_place, sd3_place
from foundation.bases.stability_layers import as_stability


def _as_diffusers(layer: str) -> str:
    return layer


@dataclass(frozen=True, kw_only=True, slots=True)
class FamilyNames:
    """One model family as other programs' files tell it."""

    prefixes: Mapping[str, str]
    """What stands before the layers of each part."""
    architecture: str
    """`modelspec.architecture`, without the adapter."""
    base_model_version: str
    """kohya's `ss_base_model_version`."""
    implementation: str = "diffusers"
    """`modelspec.implementation`: whose names of the denoiser's layers these are."""
    network_module: str = "networks.lora"
    """`ss_network_module` of a LoRA: which of kohya's trains such."""
    denoiser_name: Callable[[str], str] = _as_diffusers
    """A layer of the denoiser, from diffusers' name."""
    title: str
    """What people call it."""
    trainer: str = "kohya's trainer"
    """Which of kohya's programs trains it, and reads its files."""
    unread: Mapping[str, str] = field(default_factory=dict)
    """Programs that do not read its kohya files, and why."""
    unread_unfused: Mapping[str, str] = field(default_factory=dict)
    """The same of kinds that keep diffusers' names, since they cannot be fused."""
    places: Places | None = None
    """Where layers of the denoiser are, if the original code has some of diffusers' in one."""

    def kohya_name(self, part: str, layer: str) -> str:
        """A layer as kohya's files name it."""
        name = layer_in_file(part, layer) if part.startswith("text_encoder") else self.denoiser_name(layer)
        return f"{self.prefixes[part]}{name.replace('.', '_')}"


FAMILY_NAMES: Final[Mapping[str, FamilyNames]] = {
    "sd1": FamilyNames(
        prefixes={"unet": "lora_unet_", "text_encoder": "lora_te_"},
        architecture="stable-diffusion-v1",
        base_model_version="sd_v1",
        title="SD 1",
    ),
    "sd2": FamilyNames(
        prefixes={"unet": "lora_unet_", "text_encoder": "lora_te_"},
        architecture="stable-diffusion-v2-512",
        base_model_version="sd_v2",
        title="SD 2",
    ),
    "sdxl": FamilyNames(
        prefixes={"unet": "lora_unet_", "text_encoder": "lora_te1_", "text_encoder_2": "lora_te2_"},
        architecture="stable-diffusion-xl-v1-base",
        base_model_version="sdxl_base_v1-0",
        implementation="https://github.com/Stability-AI/generative-models",
        denoiser_name=as_stability,
        title="SDXL",
    ),
    "sd3": FamilyNames(
        prefixes={
            "transformer": "lora_unet_",
            "text_encoder": "lora_te1_",
            "text_encoder_2": "lora_te2_",
            "text_encoder_3": "lora_te3_",
        },
        architecture="stable-diffusion-3",
        base_model_version="sd3m",
        network_module="networks.lora_sd3",
        title="SD 3",
        unread={"A1111": "does not know its names", "diffusers": "takes nothing from it and says nothing"},
        unread_unfused={"Forge": "does not know diffusers' names of its layers"},
        places=sd3_place,
    ),
    "flux": FamilyNames(
        prefixes={"transformer": "lora_unet_", "text_encoder": "lora_te1_", "text_encoder_2": "lora_te3_"},
        architecture="flux-1",
        base_model_version="flux1",
        implementation="https://github.com/black-forest-labs/flux",
        network_module="networks.lora_flux",
        title="FLUX.1",
        unread={"A1111": "does not know the family"},
        places=flux_place,
    ),
    "qwen_image": FamilyNames(
        prefixes={"transformer": "lora_unet_"},
        architecture="Qwen-Image",
        base_model_version="qwen_image",
        implementation="https://github.com/QwenLM/Qwen-Image",
        network_module="networks.lora_qwen_image",
        title="Qwen-Image",
        trainer="musubi-tuner",
        unread={"A1111": "does not know the family", "Forge": "does not know the family"},
    ),
}
_SD2_TEXT_WIDTH: Final = 1024
_SDXL_TEXT_WIDTH: Final = 2048
_FLUX_WIDTH: Final = 3072
"""Of FLUX.1 and of Qwen-Image; SD3's are 1536 and 2432."""
_FLUX_BLOCKS: Final = 19
"""Blocks of FLUX.1 in which picture and caption attend jointly; Qwen-Image has 60."""
_OF_QWEN: Final = re.compile(r"transformer_blocks\.\d+\.(img|txt)_(mlp|mod)\..+|(img|txt)_in\..+")


def names_of_family(adapter: SavedAdapter, told: str = "") -> str:
    """Which of `FAMILY_NAMES` an adapter was trained on: by `base.family`, or by its layers; else sd1."""
    if told in FAMILY_NAMES:
        return told
    if "transformer" in adapter.parts:
        return _transformer_of(adapter.parts["transformer"].state)
    if "unet" not in adapter.parts:
        return "sdxl" if "text_encoder_2" in adapter.parts else "sd1"
    unet = adapter.parts["unet"].state
    widths = {tensor.shape[1] for name, tensor in unet.items() if name.endswith("attn2.to_k.lora_A.weight")}
    deep = any(".transformer_blocks.1." in name for name in unet)
    unsaid = not told  # SD 2.x is of the family that is told as stable_diffusion, too
    if unsaid and ("text_encoder_2" in adapter.parts or deep or _SDXL_TEXT_WIDTH in widths):
        return "sdxl"
    return "sd2" if _SD2_TEXT_WIDTH in widths else "sd1"


def _transformer_of(state: Mapping[str, Tensor]) -> str:
    if any(name.startswith("single_transformer_blocks.") for name in state):
        return "flux"
    if any(_OF_QWEN.fullmatch(name) for name in state):
        return "qwen_image"
    widths = {tensor.shape[1] for name, tensor in state.items() if name.endswith("attn.to_q.lora_A.weight")}
    if _FLUX_WIDTH not in widths:
        return "sd3"
    return "qwen_image" if any(name.startswith(f"transformer_blocks.{_FLUX_BLOCKS}.") for name in state) else "flux"
