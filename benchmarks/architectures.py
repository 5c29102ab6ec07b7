"""Architectures of well-known bases, as their configs on the hub have them, for what needs their shapes alone.

Their numbers of parameters are those that are published; tests hold them against these.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from foundation.bases.unloaded import Architecture

_Config = Mapping[str, Any]
_CLIP: Final = "CLIPTextModel"
_CLIP_PROJECTED: Final = "CLIPTextModelWithProjection"


def _clip(kind: str, **config: Any) -> tuple[str, str, _Config]:
    shared = {"vocab_size": 49408, "max_position_embeddings": 77}
    return "transformers", kind, {**shared, **config}


_L: Final = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "projection_dim": 768,
}
_H: Final = {
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 23,
    "num_attention_heads": 16,
    "hidden_act": "gelu",
    "projection_dim": 512,
}
_G: Final = {
    "hidden_size": 1280,
    "intermediate_size": 5120,
    "num_hidden_layers": 32,
    "num_attention_heads": 20,
    "hidden_act": "gelu",
    "projection_dim": 1280,
}
_T5_XXL: Final = (
    "transformers",
    "T5EncoderModel",
    {
        "vocab_size": 32128,
        "d_model": 4096,
        "d_kv": 64,
        "d_ff": 10240,
        "num_layers": 24,
        "num_heads": 64,
        "feed_forward_proj": "gated-gelu",
        "tie_word_embeddings": False,
    },
)
_QWEN_VL: Final = (
    "transformers",
    "Qwen2_5_VLForConditionalGeneration",
    {
        "text_config": {
            "vocab_size": 152064,
            "hidden_size": 3584,
            "intermediate_size": 18944,
            "num_hidden_layers": 28,
            "num_attention_heads": 28,
            "num_key_value_heads": 4,
            "rope_scaling": {"type": "mrope", "mrope_section": [16, 24, 24]},
        },
        "vision_config": {
            "depth": 32,
            "hidden_size": 1280,
            "intermediate_size": 3420,
            "num_heads": 16,
            "out_hidden_size": 3584,
        },
    },
)
_NOISE: Final = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
_DDIM: Final = ("diffusers", "DDIMScheduler", _NOISE)
_FLOW: Final = ("diffusers", "FlowMatchEulerDiscreteScheduler", {"shift": 3.0})


def _vae(**config: Any) -> tuple[str, str, _Config]:
    shared = {
        "block_out_channels": (128, 256, 512, 512),
        "down_block_types": ("DownEncoderBlock2D",) * 4,
        "up_block_types": ("UpDecoderBlock2D",) * 4,
        "layers_per_block": 2,
        "latent_channels": 4,
    }
    return "diffusers", "AutoencoderKL", {**shared, **config}


_WIDE_VAE: Final = _vae(latent_channels=16, use_quant_conv=False, use_post_quant_conv=False, shift_factor=0.1)


def _unet(**config: Any) -> tuple[str, str, _Config]:
    return "diffusers", "UNet2DConditionModel", {"block_out_channels": (320, 640, 1280, 1280), **config}


ARCHITECTURES: Final[Mapping[str, Architecture]] = {
    "sd15": {
        "unet": _unet(sample_size=64, cross_attention_dim=768, attention_head_dim=8),
        "vae": _vae(),
        "text_encoder": _clip(_CLIP, **_L),
        "scheduler": _DDIM,
    },
    "sd21": {
        "unet": _unet(
            sample_size=96,
            cross_attention_dim=1024,
            attention_head_dim=(5, 10, 20, 20),
            use_linear_projection=True,
        ),
        "vae": _vae(),
        "text_encoder": _clip(_CLIP, **_H),
        "scheduler": ("diffusers", "DDIMScheduler", {**_NOISE, "prediction_type": "v_prediction"}),
    },
    "sdxl": {
        "unet": _unet(
            sample_size=128,
            block_out_channels=(320, 640, 1280),
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
            transformer_layers_per_block=(1, 2, 10),
            attention_head_dim=(5, 10, 20),
            cross_attention_dim=2048,
            use_linear_projection=True,
            addition_embed_type="text_time",
            addition_time_embed_dim=256,
            projection_class_embeddings_input_dim=2816,
        ),
        "vae": _vae(force_upcast=True),
        "text_encoder": _clip(_CLIP, **_L),
        "text_encoder_2": _clip(_CLIP_PROJECTED, **_G),
        "scheduler": _DDIM,
    },
    "sd3": {
        "transformer": (
            "diffusers",
            "SD3Transformer2DModel",
            {
                "sample_size": 128,
                "num_layers": 24,
                "num_attention_heads": 24,
                "attention_head_dim": 64,
                "joint_attention_dim": 4096,
                "caption_projection_dim": 1536,
                "pooled_projection_dim": 2048,
                "in_channels": 16,
                "out_channels": 16,
                "pos_embed_max_size": 384,
                "dual_attention_layers": tuple(range(13)),
                "qk_norm": "rms_norm",
            },
        ),
        "vae": _WIDE_VAE,
        "text_encoder": _clip(_CLIP_PROJECTED, **_L),
        "text_encoder_2": _clip(_CLIP_PROJECTED, **_G),
        "text_encoder_3": _T5_XXL,
        "scheduler": _FLOW,
    },
    "flux": {
        "transformer": ("diffusers", "FluxTransformer2DModel", {"guidance_embeds": True}),
        "vae": _WIDE_VAE,
        "text_encoder": _clip(_CLIP, **_L),
        "text_encoder_2": _T5_XXL,
        "scheduler": ("diffusers", "FlowMatchEulerDiscreteScheduler", {"use_dynamic_shifting": True}),
    },
    "chroma": {
        "transformer": ("diffusers", "ChromaTransformer2DModel", {}),
        "vae": _WIDE_VAE,
        "text_encoder": _T5_XXL,
        "scheduler": ("diffusers", "FlowMatchEulerDiscreteScheduler", {"use_dynamic_shifting": True}),
    },
    "qwen_image": {
        "transformer": ("diffusers", "QwenImageTransformer2DModel", {}),
        "vae": ("diffusers", "AutoencoderKLQwenImage", {}),
        "text_encoder": _QWEN_VL,
        "scheduler": ("diffusers", "FlowMatchEulerDiscreteScheduler", {"use_dynamic_shifting": True}),
    },
}
"""By the option of `base` (conf/base) that loads it."""
