"""What ai-toolkit's jobs say that is nothing here, and why."""

from __future__ import annotations

from typing import Final

from sweeper.trainers.port import Unused
from sweeper.trainers.reasons import HUB, JUDGE, SAVED, SHOWN, SPEED


def _train(*names: str) -> tuple[str, ...]:
    return tuple(f"train.{name}" for name in names)


def _sets(*names: str) -> tuple[str, ...]:
    return tuple(f"datasets.{name}" for name in names)


UNUSED: Final = (
    Unused(
        theirs=("sample.", "sample", *_train("skip_first_sample", "force_first_sample", "disable_sampling")),
        why=JUDGE,
        off=(False,),
    ),
    Unused(theirs=("save.push_to_hub", "save.hf_repo_id", "save.hf_private"), why=HUB, off=(False,)),
    Unused(theirs=("save.", "training_folder", "train.merge_network_on_save"), why=SAVED, off=(False,)),
    Unused(
        theirs=("config.name", "meta.", "job", "logging.", "performance_log_every", "sqlite_db_path", "config."),
        why=SHOWN,
        off=(0, "extension"),
    ),
    Unused(
        theirs=(
            *("device", "model.low_vram", "model.compile", "model.device", "model.layer_offloading"),
            *_sets("cache_latents", "cache_latents_to_disk", "cache_text_embeddings", "num_workers"),
            *_sets("prefetch_factor", "cache_clip_vision_to_disk"),
            *_train("cache_text_embeddings", "unload_text_encoder", "xformers", "sdp", "attention_backend"),
        ),
        why=SPEED,
        off=(False, "native"),
    ),
    Unused(
        theirs=(
            *("model.quantize", "model.quantize_te", "model.qtype", "model.qtype_te", "model.dtype"),
            "model.text_encoder_bits",
        ),
        why="its 8-bit numbers are others than here; base.quantization=int8 or nf4 saves as much",
        off=(False,),
    ),
    Unused(
        theirs=("train.noise_scheduler",),
        why="noise is added as the base's own scheduler does it",
        off=("ddpm", "flowmatch"),
    ),
    Unused(
        theirs=_train(
            "linear_timesteps", "linear_timesteps2", "content_or_style", "content_or_style_reg", "next_sample_timesteps"
        ),
        why="no such weights of timesteps here",
        off=(False, "balanced", 8),
    ),
    Unused(
        theirs=_train("min_denoising_steps", "max_denoising_steps", "num_train_timesteps"),
        why="all timesteps are trained",
        off=(0, 999, 1000),
    ),
    Unused(
        theirs=_train("loss_type", "loss_target"), why="the loss is the noise's squared error", off=("mse", "noise")
    ),
    Unused(
        theirs=_train(
            *("embedding_lr", "adapter_lr", "refiner_lr", "train_refiner", "train_turbo", "show_turbo_outputs"),
            *("weight_jitter", "start_step", "free_u", "adapter_assist_name_or_path", "match_adapter_chance"),
            *("noise_multiplier", "img_multiplier", "latent_multiplier", "learnable_snr_gos", "standardize_images"),
            *("standardize_latents", "dynamic_noise_offset", "do_cfg", "cfg_scale", "inverted_mask_prior"),
            *("inverted_mask_prior_multiplier", "blank_prompt_preservation", "single_item_batching"),
            *("blank_prompt_preservation_multiplier", "short_and_long_captions", "switch_boundary_every"),
            *("bypass_guidance_embedding", "prompt_dropout_prob", "do_prior_divergence", "target_norm_std"),
            *("do_paramiter_swapping", "negative_prompt", "random_noise_shift", "match_noise_norm"),
        ),
        why="no such thing is trained here",
        off=(False, 0, 1, 0.5, True),
    ),
    Unused(
        theirs=("train.ema_config.", "train.lr_scheduler_params."),
        why="no such field of the average, or of a curve, here",
        off=(0, {}),
    ),
    Unused(
        theirs=(
            "network.transformer_only",
            "network.normalize",
            "network.network_kwargs.",
            "network.network_kwargs",
            "network.old_lokr_format",
            "network.split_multistage_loras",
            "network.split_multistage_lora",
        ),
        why="adapter.targets, adapter.exclude and adapter.layers choose layers",
        off=(True, False, {}),
    ),
    Unused(
        theirs=("network.pretrained_lora_path", "model.lora_path", "model.assistant_lora_path"),
        why="a trial begins with an adapter of its own",
    ),
    Unused(
        theirs=(
            "model.vae_path",
            "model.te_name_or_path",
            "model.extras_name_or_path",
            "model.model_kwargs",
            "model.model_kwargs.",
        ),
        why="comes with the base",
        off=({},),
    ),
    Unused(theirs=("model.is_v_pred",), why="what a base predicts is read from its scheduler", off=(False,)),
    Unused(
        theirs=("model.use_text_encoder_1", "model.use_text_encoder_2"),
        why="captions are read by all encoders",
        off=(True,),
    ),
    Unused(
        theirs=_sets("caption_ext", "caption_type"),
        why="captions lie in .txt, or in a table, here",
        off=("txt", ".txt"),
    ),
    Unused(
        theirs=_sets("default_caption", "random_triggers"), why="captions lie beside the pictures here", off=("", [])
    ),
    Unused(
        theirs=_sets(
            *("is_reg", "network_weight", "loss_multiplier", "random_scale", "scale", "bucket_tolerance", "flip_y"),
            *("augments", "augmentations", "shuffle_augmentations", "poi", "type", "control_path", "num_frames"),
            *("shrink_video_to_frames", "do_i2v", "fps", "clip_image_path", "unconditional_path", "controls"),
            *("fast_image_size", "square_crop", "standardize_images", "trigger_word"),
        ),
        why="no such change of pictures or of their weight here",
        off=(False, 1, [], "image", 64, True),
    ),
    Unused(theirs=("regularization.",), why="of regularisation pictures only the folder is read", off=(True, "txt", 1)),
)
