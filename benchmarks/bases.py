"""Pipelines of well-known shapes with random weights, which take the same time as trained ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from foundation.bases.saving import save_pipeline
from train.pocket.tokens import build_tokenizer

_SIZE_EMBEDDING: Final = 256
_SIZES: Final = 6
"""Numbers of a picture's size that SDXL gets."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Shape:
    """Of a Stable Diffusion pipeline; with two text encoders it is SDXL's kind."""

    resolution: int
    unet: Mapping[str, Any]
    texts: tuple[Mapping[str, int], ...]
    """Width, layers and heads of each text encoder."""
    vae: tuple[int, ...]
    """Channels."""
    vocabulary: int = 49408
    norm_groups: int = 32

    @property
    def side(self) -> int:
        """Of a latent."""
        return int(self.resolution // 2 ** (len(self.vae) - 1))


_CLIP_L: Final = {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12}
_CLIP_G: Final = {"hidden_size": 1280, "num_hidden_layers": 32, "num_attention_heads": 20}
_TINY: Final = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
_XL_DOWN: Final = ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D")
_XL_UP: Final = ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D")
SHAPES: Final[dict[str, Shape]] = {
    "sd15": Shape(
        resolution=512,
        unet={"block_out_channels": (320, 640, 1280, 1280), "attention_head_dim": 8, "layers_per_block": 2},
        texts=(_CLIP_L,),
        vae=(128, 256, 512, 512),
    ),
    "sdxl": Shape(
        resolution=1024,
        unet={
            "block_out_channels": (320, 640, 1280),
            "down_block_types": _XL_DOWN,
            "up_block_types": _XL_UP,
            "transformer_layers_per_block": (1, 2, 10),
            "attention_head_dim": (5, 10, 20),
            "layers_per_block": 2,
            "use_linear_projection": True,
        },
        texts=(_CLIP_L, _CLIP_G),
        vae=(128, 256, 512, 512),
    ),
    "sd15-tiny": Shape(
        resolution=32,
        unet={"block_out_channels": (8, 8, 16, 16), "attention_head_dim": 2, "layers_per_block": 1},
        texts=(_TINY,),
        vae=(8, 8),
        vocabulary=2048,
        norm_groups=4,
    ),
    "sdxl-tiny": Shape(
        resolution=32,
        unet={
            "block_out_channels": (8, 8, 16),
            "down_block_types": _XL_DOWN,
            "up_block_types": _XL_UP,
            "transformer_layers_per_block": (1, 1, 2),
            "attention_head_dim": (2, 2, 4),
            "layers_per_block": 1,
            "use_linear_projection": True,
        },
        texts=(_TINY, _TINY),
        vae=(8, 8),
        vocabulary=2048,
        norm_groups=4,
    ),
}
"""By name: the shapes of Stable Diffusion 1.5 and XL, and small ones to try what is to be run with these."""


def write_base(name: str, folder: Path, device: torch.device, dtype: torch.dtype) -> None:
    """Make a pipeline of this shape on a device, which is quicker there, and save it as one loads it."""
    shape = SHAPES[name]
    torch.manual_seed(0)
    with device:
        vae = AutoencoderKL(
            block_out_channels=shape.vae,
            down_block_types=("DownEncoderBlock2D",) * len(shape.vae),
            up_block_types=("UpDecoderBlock2D",) * len(shape.vae),
            layers_per_block=2,
            latent_channels=4,
            norm_num_groups=shape.norm_groups,
            sample_size=shape.resolution,
        )
        parts = _xl(shape) if len(shape.texts) == 2 else _single(shape)
    pipeline: Any = StableDiffusionXLPipeline if len(shape.texts) == 2 else StableDiffusionPipeline
    scheduler = DDIMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False)
    save_pipeline(pipeline(vae=vae, scheduler=scheduler, **parts).to(dtype), folder)


def _single(shape: Shape) -> dict[str, Any]:
    tokenizer = _tokenizer()
    width = shape.texts[0]["hidden_size"]
    return {
        "unet": UNet2DConditionModel(
            sample_size=shape.side, cross_attention_dim=width, norm_num_groups=shape.norm_groups, **shape.unet
        ),
        "text_encoder": CLIPTextModel(_clip(shape, shape.texts[0], tokenizer)),
        "tokenizer": tokenizer,
        "safety_checker": None,
        "feature_extractor": None,
        "requires_safety_checker": False,
    }


def _xl(shape: Shape) -> dict[str, Any]:
    tokenizer = _tokenizer()
    first, second = (_clip(shape, text, tokenizer) for text in shape.texts)
    return {
        "unet": UNet2DConditionModel(
            sample_size=shape.side,
            cross_attention_dim=first.hidden_size + second.hidden_size,
            norm_num_groups=shape.norm_groups,
            addition_embed_type="text_time",
            addition_time_embed_dim=_SIZE_EMBEDDING,
            projection_class_embeddings_input_dim=second.hidden_size + _SIZES * _SIZE_EMBEDDING,
            **shape.unet,
        ),
        "text_encoder": CLIPTextModel(first),
        "text_encoder_2": CLIPTextModelWithProjection(second),
        "tokenizer": tokenizer,
        "tokenizer_2": tokenizer,
    }


def _tokenizer() -> Any:
    tokenizer = build_tokenizer()
    tokenizer.model_max_length = 77
    return tokenizer


def _clip(shape: Shape, text: Mapping[str, int], tokenizer: Any) -> CLIPTextConfig:
    return CLIPTextConfig(
        vocab_size=shape.vocabulary,
        intermediate_size=4 * text["hidden_size"],
        projection_dim=text["hidden_size"],
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        **text,
    )
