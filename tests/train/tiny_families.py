"""Pipelines of every family's real class, of a few thousand random weights, for 32×32 pictures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    AutoencoderKLFlux2,
    AutoencoderKLQwenImage,
    ChromaPipeline,
    ChromaTransformer2DModel,
    DDIMScheduler,
    FlowMatchEulerDiscreteScheduler,
    Flux2KleinPipeline,
    Flux2Transformer2DModel,
    FluxPipeline,
    FluxTransformer2DModel,
    QwenImagePipeline,
    QwenImageTransformer2DModel,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from tokenizers.pre_tokenizers import ByteLevel
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2Tokenizer,
    Qwen3Config,
    Qwen3ForCausalLM,
    T5Config,
    T5EncoderModel,
    T5TokenizerFast,
)

from train.pocket.tokens import MAX_TOKENS, build_tokenizer
from train.spec import BaseSpec

SIDE = 32
_LETTERS = "abcdefghijklmnopqrstuvwxyz ,."


def stable_diffusion() -> Any:
    return StableDiffusionPipeline(
        vae=_vae(),
        text_encoder=CLIPTextModel(_clip(16)),
        tokenizer=build_tokenizer(),
        unet=_unet(16),
        scheduler=_ddim(prediction_type="v_prediction"),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def sdxl() -> Any:
    return StableDiffusionXLPipeline(
        vae=_vae(),
        text_encoder=CLIPTextModel(_clip(16)),
        text_encoder_2=CLIPTextModelWithProjection(_clip(24, projection_dim=20)),
        tokenizer=build_tokenizer(),
        tokenizer_2=build_tokenizer(),
        unet=_unet(
            40,
            addition_embed_type="text_time",
            addition_time_embed_dim=4,
            projection_class_embeddings_input_dim=20 + 6 * 4,
            use_linear_projection=True,
            # Where attention is, and two layers a block, are told by the names that kohya's files have.
            layers_per_block=2,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        ),
        scheduler=_ddim(),
        add_watermarker=False,
    )


def sd3(t5: bool = True) -> Any:
    return StableDiffusion3Pipeline(
        transformer=SD3Transformer2DModel(
            sample_size=SIDE // 2,
            patch_size=2,
            in_channels=4,
            out_channels=4,
            num_layers=2,
            attention_head_dim=8,
            num_attention_heads=2,
            joint_attention_dim=32,
            caption_projection_dim=16,
            pooled_projection_dim=20,
            pos_embed_max_size=16,
            dual_attention_layers=(0,),
            qk_norm="rms_norm",
        ),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae=_vae(shift_factor=0.1),
        text_encoder=CLIPTextModelWithProjection(_clip(12, projection_dim=12)),
        tokenizer=build_tokenizer(),
        text_encoder_2=CLIPTextModelWithProjection(_clip(16, projection_dim=8)),
        tokenizer_2=build_tokenizer(),
        text_encoder_3=_t5(32) if t5 else None,
        tokenizer_3=_t5_tokenizer() if t5 else None,
    )


def flux() -> Any:
    return FluxPipeline(
        transformer=FluxTransformer2DModel(
            in_channels=16,
            num_layers=1,
            num_single_layers=2,
            attention_head_dim=8,
            num_attention_heads=2,
            joint_attention_dim=16,
            pooled_projection_dim=24,
            guidance_embeds=True,
            axes_dims_rope=(2, 2, 4),
        ),
        scheduler=FlowMatchEulerDiscreteScheduler(
            use_dynamic_shifting=True, base_image_seq_len=16, max_image_seq_len=256
        ),
        vae=_vae(shift_factor=0.1),
        text_encoder=CLIPTextModel(_clip(24)),
        tokenizer=build_tokenizer(),
        text_encoder_2=_t5(16),
        tokenizer_2=_t5_tokenizer(),
    )


def chroma() -> Any:
    return ChromaPipeline(
        transformer=ChromaTransformer2DModel(
            in_channels=16,
            num_layers=1,
            num_single_layers=2,
            attention_head_dim=8,
            num_attention_heads=2,
            joint_attention_dim=16,
            axes_dims_rope=(2, 2, 4),
            approximator_num_channels=8,
            approximator_hidden_dim=16,
            approximator_layers=1,
        ),
        scheduler=FlowMatchEulerDiscreteScheduler(
            use_dynamic_shifting=True, base_image_seq_len=16, max_image_seq_len=256
        ),
        vae=_vae(shift_factor=0.1),
        text_encoder=_t5(16),
        tokenizer=_t5_tokenizer(),
    )


def flux2() -> Any:
    tokenizer = _bytes_tokenizer()
    tokenizer.chat_template = "{% for message in messages %}say {{ message['content'] }}.{% endfor %}"
    vae = AutoencoderKLFlux2(
        block_out_channels=(8, 8),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        latent_channels=4,
        norm_num_groups=4,
        sample_size=SIDE,
    )
    vae.bn.running_mean.uniform_(-0.3, 0.3)
    vae.bn.running_var.uniform_(9.0, 25.0)
    transformer = Flux2Transformer2DModel(
        in_channels=16,
        num_layers=1,
        num_single_layers=2,
        attention_head_dim=8,
        num_attention_heads=2,
        joint_attention_dim=24,
        timestep_guidance_channels=16,
        axes_dims_rope=(2, 2, 2, 2),
        guidance_embeds=False,
    )
    transformer.proj_out.weight.data.mul_(4)  # so that pictures show what adapters learn
    return Flux2KleinPipeline(
        transformer=transformer,
        scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
        vae=vae,
        text_encoder=Qwen3ForCausalLM(
            Qwen3Config(
                vocab_size=len(tokenizer),
                hidden_size=8,
                intermediate_size=8,
                num_hidden_layers=28,
                num_attention_heads=2,
                num_key_value_heads=1,
                head_dim=4,
                initializer_range=1.0,
            )
        ),
        tokenizer=tokenizer,
    )


def _bytes_tokenizer() -> Any:
    return Qwen2Tokenizer(vocab={word: i for i, word in enumerate(["<|endoftext|>", *sorted(ByteLevel.alphabet())])})


def qwen_image() -> Any:
    tokenizer = _bytes_tokenizer()
    special = {"image_token_id": 0, "video_token_id": 0, "vision_start_token_id": 0, "vision_end_token_id": 0}
    text = {
        "vocab_size": len(tokenizer),
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "rope_scaling": {"type": "mrope", "mrope_section": [1, 1, 2]},
    }
    vision = {"depth": 1, "hidden_size": 16, "intermediate_size": 16, "num_heads": 2, "out_hidden_size": 16}
    return QwenImagePipeline(
        transformer=QwenImageTransformer2DModel(
            in_channels=16,
            out_channels=4,
            num_layers=2,
            attention_head_dim=8,
            num_attention_heads=2,
            joint_attention_dim=16,
            axes_dims_rope=(2, 2, 4),
        ),
        scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True, shift_terminal=0.02, max_shift=0.9),
        vae=AutoencoderKLQwenImage(
            base_dim=4,
            z_dim=4,
            dim_mult=[1, 1],
            num_res_blocks=1,
            temperal_downsample=[False],
            latents_mean=[0.1, -0.2, 0.3, 0.0],
            latents_std=[1.5, 0.8, 1.0, 2.0],
        ),
        text_encoder=Qwen2_5_VLForConditionalGeneration(
            Qwen2_5_VLConfig(text_config=text, vision_config=vision, **special)
        ),
        tokenizer=tokenizer,
    )


BUILDERS: dict[str, Callable[[], Any]] = {
    "stable_diffusion": stable_diffusion,
    "sdxl": sdxl,
    "sd3": sd3,
    "flux": flux,
    "chroma": chroma,
    "flux2": flux2,
    "qwen_image": qwen_image,
}


TOKENS = {"sd3": 24, "flux": 24, "chroma": 24, "flux2": 64, "qwen_image": 256}
"""Of a caption, where that can be chosen."""


def build(family: str, folder: Path) -> BaseSpec:
    """Save a family's pipeline to a folder; the config of it."""
    torch.manual_seed(0)
    BUILDERS[family]().save_pretrained(folder)
    tokens = TOKENS.get(family)
    return BaseSpec(name=family, path=str(folder), resolution=SIDE, max_tokens=tokens)


def _vae(**options: Any) -> AutoencoderKL:
    return AutoencoderKL(
        block_out_channels=(8, 8),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        latent_channels=4,
        norm_num_groups=4,
        sample_size=SIDE,
        **options,
    )


def _unet(text_width: int, **options: Any) -> UNet2DConditionModel:
    blocks = {
        "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
        "layers_per_block": 1,
    }
    return UNet2DConditionModel(
        sample_size=SIDE // 2,
        block_out_channels=(8, 16),
        cross_attention_dim=text_width,
        attention_head_dim=2,
        norm_num_groups=4,
        **{**blocks, **options},
    )


def _clip(width: int, **options: Any) -> CLIPTextConfig:
    tokenizer = build_tokenizer()
    return CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=MAX_TOKENS,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        **options,
    )


def _ddim(**options: Any) -> DDIMScheduler:
    return DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False, **options
    )


def _t5(width: int) -> T5EncoderModel:
    return T5EncoderModel(
        T5Config(vocab_size=len(_t5_tokenizer()), d_model=width, d_kv=8, d_ff=16, num_layers=1, num_heads=2)
    )


def _t5_tokenizer() -> T5TokenizerFast:
    words = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", -9.0), ("▁", -2.0), *((letter, -3.0) for letter in _LETTERS)]
    return T5TokenizerFast(vocab=words, extra_ids=0)
