"""The model families: of each what is known before anything is loaded, and where its code is.

A new family is a record here, a module with its code beside this one, and a file in conf/base/. Other packages bring
theirs as entry points of `sweeper.families`, each a `Family` (docs/extending.md). Nothing here loads torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from foundation.bases.original_layers import Places, flux2_place, flux_place, sd3_place
from foundation.bases.stability_layers import as_stability
from foundation.config.installed import Registry
from foundation.errors import ConfigError

Noise = Literal["diffusion", "flow"]
Guidance = Literal["in_batch", "distilled", "by_turns", "two_passes"]


def _as_diffusers(layer: str) -> str:
    return layer


@dataclass(frozen=True, kw_only=True, slots=True)
class LayerNames:
    """What other programs call a family and its layers.

    Sources: kohya-ss/sd-scripts networks/lora.py (prefixes), library/sai_model_spec.py (architectures) and
    library/sdxl_model_util.py; ComfyUI comfy/lora.py `model_lora_keys_clip`, `model_lora_keys_unet`; AUTOMATIC1111
    extensions-builtin/Lora/networks.py `convert_diffusers_name_to_compvis`; diffusers 0.42
    loaders/lora_conversion_utils.py; kohya-ss/musubi-tuner networks/lora_qwen_image.py and utils/sai_model_spec.py.
    """

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


@dataclass(frozen=True, kw_only=True, slots=True)
class Family:
    """One model family."""

    pipeline: str
    """The name of its diffusers pipeline, as `model_index.json` has it."""
    code: str
    """`module:class` of its `foundation.bases.port.Base`. Loads diffusers, which takes seconds, so it waits."""
    noise: Noise
    """What its denoiser was trained on: discrete timesteps whose scheduler says what is predicted, or a flow."""
    guidance: Guidance = "in_batch"
    """How its pipeline guides: unconditional and conditional rows in one batch; the denoiser gets the scale, or
    has none; or two passes, one after another, by the usual `guidance_scale` or by a `true_cfg_scale`."""
    trains_text: bool = False
    """Whether its text encoders can be trained, too."""
    whole_in_a_file: bool = False
    """Whether a checkpoint in one file holds all that has weights; else it holds the transformer alone."""
    t5_may_be_left_out: bool = False
    """Whether `base.t5=false` loads it without its T5."""
    names: Mapping[str, LayerNames] = field(default_factory=dict)
    """What other programs call it, by a name for each of its versions; none where kohya's format has no names."""


_UNET: Final = {"unet": "lora_unet_", "text_encoder": "lora_te_"}
_BUILT_IN: Final[Mapping[str, Family]] = {
    "stable_diffusion": Family(
        pipeline="StableDiffusionPipeline",
        code="foundation.bases.stable_diffusion:StableDiffusion",
        noise="diffusion",
        trains_text=True,
        whole_in_a_file=True,
        names={
            "sd1": LayerNames(
                prefixes=_UNET, architecture="stable-diffusion-v1", base_model_version="sd_v1", title="SD 1"
            ),
            "sd2": LayerNames(
                prefixes=_UNET, architecture="stable-diffusion-v2-512", base_model_version="sd_v2", title="SD 2"
            ),
        },
    ),
    "sdxl": Family(
        pipeline="StableDiffusionXLPipeline",
        code="foundation.bases.sdxl:StableDiffusionXL",
        noise="diffusion",
        trains_text=True,
        whole_in_a_file=True,
        names={
            "sdxl": LayerNames(
                prefixes={"unet": "lora_unet_", "text_encoder": "lora_te1_", "text_encoder_2": "lora_te2_"},
                architecture="stable-diffusion-xl-v1-base",
                base_model_version="sdxl_base_v1-0",
                implementation="https://github.com/Stability-AI/generative-models",
                denoiser_name=as_stability,
                title="SDXL",
            )
        },
    ),
    "sd3": Family(
        pipeline="StableDiffusion3Pipeline",
        code="foundation.bases.sd3:StableDiffusion3",
        noise="flow",
        t5_may_be_left_out=True,
        names={
            "sd3": LayerNames(
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
            )
        },
    ),
    "flux": Family(
        pipeline="FluxPipeline",
        code="foundation.bases.flux:Flux",
        noise="flow",
        guidance="distilled",
        names={
            "flux": LayerNames(
                prefixes={"transformer": "lora_unet_", "text_encoder": "lora_te1_", "text_encoder_2": "lora_te3_"},
                architecture="flux-1",
                base_model_version="flux1",
                implementation="https://github.com/black-forest-labs/flux",
                network_module="networks.lora_flux",
                title="FLUX.1",
                unread={"A1111": "does not know the family"},
                places=flux_place,
            )
        },
    ),
    "chroma": Family(
        pipeline="ChromaPipeline",
        code="foundation.bases.chroma:Chroma",
        noise="flow",
        guidance="by_turns",
        names={
            "chroma": LayerNames(
                prefixes={"transformer": "lora_unet_"},
                architecture="chroma",
                base_model_version="chroma",
                implementation="https://github.com/black-forest-labs/flux",
                network_module="networks.lora_flux",
                title="Chroma",
                unread={"A1111": "does not know the family"},
                places=flux_place,
            )
        },
    ),
    "flux2": Family(
        pipeline="Flux2KleinPipeline",
        code="foundation.bases.flux2:Flux2Klein",
        noise="flow",
        guidance="by_turns",
        names={
            "flux2": LayerNames(
                prefixes={"transformer": "lora_unet_"},
                architecture="flux-2-klein",
                base_model_version="flux2_klein",
                implementation="https://github.com/black-forest-labs/flux2",
                network_module="networks.lora_flux_2",
                title="FLUX.2 klein",
                trainer="musubi-tuner",
                unread={"A1111": "does not know the family", "Forge": "does not know the family"},
                unread_unfused={"ComfyUI": "does not know diffusers' names of all its layers"},
                places=flux2_place,
            )
        },
    ),
    "qwen_image": Family(
        pipeline="QwenImagePipeline",
        code="foundation.bases.qwen_image:QwenImage",
        noise="flow",
        guidance="two_passes",
        names={
            "qwen_image": LayerNames(
                prefixes={"transformer": "lora_unet_"},
                architecture="Qwen-Image",
                base_model_version="qwen_image",
                implementation="https://github.com/QwenLM/Qwen-Image",
                network_module="networks.lora_qwen_image",
                title="Qwen-Image",
                trainer="musubi-tuner",
                unread={"A1111": "does not know the family", "Forge": "does not know the family"},
            )
        },
    ),
}
FAMILIES: Final = Registry("sweeper.families", Family, _BUILT_IN)
"""By the name that `base.family` gives them."""


def family_of_pipeline(pipeline: str) -> str | None:
    """Which of `FAMILIES` has diffusers' pipeline of this name; None where none has.

    Packages' families are imported only where none of ours has it.

    Raises:
        ConfigError: none has, and a package's, which may have it, cannot be loaded.
    """
    broken: ConfigError | None = None
    for name in FAMILIES:
        try:
            if FAMILIES[name].pipeline == pipeline:
                return name
        except ConfigError as error:
            broken = broken or error
    if broken is not None:
        raise broken
    return None
