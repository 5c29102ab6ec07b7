"""What kohya's configs say that is nothing here, and why. Names from sd-scripts' arguments and kohya_ss's window."""

from __future__ import annotations

from typing import Final

from sweeper.trainers.port import Unused
from sweeper.trainers.reasons import GUI, HUB, JUDGE, RESUMED, SAVED, SHOWN, SPEED

UNUSED: Final = (
    Unused(theirs=("dataset_config",), why="is another file; name it, too: sweeper import FILE DATASET.toml"),
    Unused(
        theirs=(
            *("sample_every_n_steps", "sample_every_n_epochs", "sample_prompts", "sample_sampler", "sample_at_first"),
            *("validation_seed", "validation_split", "validate_every_n_steps", "validate_every_n_epochs"),
            "max_validation_steps",
        ),
        why=JUDGE,
        off=(0, "", False),
    ),
    Unused(
        theirs=(
            *("output_dir", "output_name", "save_model_as", "save_every_n_epochs", "save_every_n_steps"),
            *("save_last_n_epochs", "save_last_n_steps", "save_last_n_epochs_state", "save_last_n_steps_state"),
            *("save_n_epoch_ratio", "save_state", "save_state_on_train_end", "no_metadata", "mem_eff_save"),
        ),
        why=SAVED,
        off=(0, False),
    ),
    Unused(
        theirs=(
            *("cache_latents", "cache_latents_to_disk", "vae_batch_size", "cache_text_encoder_outputs"),
            *("cache_text_encoder_outputs_to_disk", "sdxl_cache_text_encoder_outputs", "text_encoder_batch_size"),
            *("flux1_cache_text_encoder_outputs", "flux1_cache_text_encoder_outputs_to_disk", "skip_cache_check"),
            *("sd3_cache_text_encoder_outputs", "sd3_cache_text_encoder_outputs_to_disk", "cache_info"),
            *("max_data_loader_n_workers", "persistent_data_loader_workers", "num_cpu_threads_per_process"),
            *("xformers", "sdpa", "mem_eff_attn", "split_attn", "lowvram", "highvram", "lowram", "torch_compile"),
            *("dynamo_backend", "dynamo_mode", "dynamo_use_dynamic", "dynamo_use_fullgraph", "split_mode"),
            *("blocks_to_swap", "cpu_offload_checkpointing", "fused_backward_pass", "single_blocks_to_swap"),
            *("double_blocks_to_swap", "ddp_timeout", "ddp_gradient_as_bucket_view", "ddp_static_graph"),
            *("num_processes", "num_machines", "multi_gpu", "gpu_ids", "main_process_port", "mem_efficient_save"),
            *("extra_accelerate_launch_args", "disable_mmap_load_safetensors", "apply_t5_attn_mask", "initial_epoch"),
            *("no_half_vae", "sdxl_no_half_vae", "sd3_text_encoder_batch_size", "bypass_mode"),
        ),
        why=SPEED,
        off=(0, False, "no", "default", -1),
    ),
    Unused(
        theirs=("full_fp16", "full_bf16"),
        why="adapters and optimizers stay in fp32 here",
        off=(False,),
    ),
    Unused(
        theirs=("fp8_base", "fp8_base_unet"),
        why="its 8-bit floats have no scales; base.quantization=fp8, int8 or nf4 saves as much",
        off=(False,),
    ),
    Unused(
        theirs=(
            *("logging_dir", "log_with", "log_prefix", "log_tracker_name", "log_tracker_config", "log_config"),
            *("use_wandb", "wandb_run_name", "console_log_level", "console_log_file", "console_log_simple"),
        ),
        why=SHOWN,
        off=(False, ""),
    ),
    Unused(theirs=("wandb_api_key", "huggingface_token"), why="a secret is nothing for a config", off=("",)),
    Unused(
        theirs=(
            *("huggingface_repo_id", "huggingface_repo_type", "huggingface_path_in_repo", "async_upload"),
            *("huggingface_repo_visibility", "save_state_to_huggingface", "resume_from_huggingface"),
            *("metadata_title", "metadata_author", "metadata_description", "metadata_license", "metadata_tags"),
            *("metadata_trigger_phrase", "metadata_usage_hint", "metadata_is_negative_embedding", "training_comment"),
        ),
        why=HUB,
        off=(False, ""),
    ),
    Unused(theirs=("resume", "skip_until_initial_step", "initial_step"), why=RESUMED, off=("", False, 0)),
    Unused(
        theirs=(
            "network_weights",
            "lora_network_weights",
            "dim_from_weights",
            "base_weights",
            "base_weights_multiplier",
        ),
        why="a trial begins with an adapter of its own",
        off=("", False),
    ),
    Unused(theirs=("unit",), why="of DyLoRA, which is none of the kinds here", off=(1, 0)),
    Unused(
        theirs=("constrain", "rescaled", "train_norm", "use_scalar", "rank_dropout_scale", "LyCORIS_config"),
        why="no such thing in the kinds of adapters here",
        off=(False, 0, ""),
    ),
    Unused(
        theirs=("train_on_input",),
        why="of (IA)³: feed-forward layers are rescaled at their input, others after",
        off=(True, False),
    ),
    Unused(
        theirs=(
            *("block_dims", "block_alphas", "conv_block_dims", "conv_block_alphas", "conv_dims", "conv_alphas"),
            *("down_lr_weight", "mid_lr_weight", "up_lr_weight", "block_lr_zero_threshold", "block_lr"),
            *("train_blocks", "train_double_block_indices", "train_single_block_indices", "train_t5xxl", "t5xxl_lr"),
            "network_args.",
        ),
        why="one rank and one rate for all layers; adapter.rank_pattern and adapter.layers choose among them",
        off=("", 0, "all", False),
    ),
    Unused(
        theirs=("loraplus_lr_ratio", "loraplus_unet_lr_ratio", "loraplus_text_encoder_lr_ratio"),
        why="not carried over; optimizer.lora_plus_ratio is that of one rate",
        off=(0,),
    ),
    Unused(theirs=("scale_weight_norms",), why="norms are bounded by no number here", off=(0,)),
    Unused(
        theirs=("stop_text_encoder_training", "stop_text_encoder_training_pct"),
        why="the text encoder is trained to the end, or not at all",
        off=(0, -1),
    ),
    Unused(theirs=("clip_skip",), why="captions are read as the base's pipeline reads them", off=(0, 1)),
    Unused(
        theirs=("max_token_length", "t5xxl_max_token_length"),
        why="CLIP reads 77 tokens here; base.max_tokens is for T5",
        off=(75, 77, 512),
    ),
    Unused(
        theirs=("no_token_padding", "weighted_captions"),
        why="no such treatment of captions here",
        off=(False, 0, ""),
    ),
    Unused(
        theirs=tuple(
            f"{place}{name}"
            for place in ("datasets.subsets.", "datasets.", "general.", "")
            for name in (
                *("caption_dropout_every_n_epochs", "caption_prefix", "caption_suffix", "caption_separator"),
                *("keep_tokens_separator", "secondary_separator", "enable_wildcard", "token_warmup_min"),
                *("token_warmup_step", "wildcard"),
            )
        ),
        why="no such treatment of captions here; write it into the captions",
        off=(0, False, "", ",", 1),
    ),
    Unused(
        theirs=tuple(
            f"{place}{name}"
            for place in ("datasets.subsets.", "datasets.", "general.", "")
            for name in ("caption_extension", "caption_extention")
        ),
        why="captions lie in .txt, or in a table, here",
        off=(".txt", ""),
    ),
    Unused(
        theirs=("datasets.subsets.class_tokens",),
        why="captions say it; data.trigger names what calls the subject",
        off=("",),
    ),
    Unused(
        theirs=tuple(
            f"{place}{name}"
            for place in ("datasets.subsets.", "datasets.", "general.", "")
            for name in ("color_aug", "face_crop_aug_range", "resize_interpolation", "bucket_no_upscale")
        ),
        why="no such change of pictures here",
        off=(False, ""),
    ),
    Unused(
        theirs=("datasets.skip_image_resolution", "general.skip_image_resolution", "skip_image_resolution"),
        why="no picture is passed over for its size; leave it out of the folder",
    ),
    Unused(
        theirs=("datasets.subsets.metadata_file", "in_json", "datasets.subsets.conditioning_data_dir", "dataset_class"),
        why="is read from files beside the pictures here",
        off=("",),
    ),
    Unused(theirs=("datasets.subsets.cache_info", "general.cache_info", "datasets.cache_info"), why=SPEED),
    Unused(
        theirs=("adaptive_noise_scale", "noise_offset_random_strength", "ip_noise_gamma_random_strength"),
        why="the strength of a noise is the same at each step",
        off=(0, False),
    ),
    Unused(theirs=("min_timestep", "max_timestep"), why="all timesteps are trained", off=(0, 1000)),
    Unused(
        theirs=("scale_v_pred_loss_like_noise_pred", "v_pred_like_loss", "huber_scale"),
        why="no such weight of the loss here",
        off=(False, 0, 1),
    ),
    Unused(
        theirs=("v_parameterization",),
        why="what a base predicts is read from its scheduler",
        off=(False,),
    ),
    Unused(theirs=("model_prediction_type",), why="flows predict as they were trained", off=("raw",)),
    Unused(theirs=("mode_scale",), why="of a weighting that is none here"),
    Unused(
        theirs=("vae", "ae", "clip_l", "clip_g", "t5xxl"), why="comes with the base; base.parts names where", off=("",)
    ),
    Unused(
        theirs=(
            "sd3_clip_l",
            "sd3_clip_g",
            "sd3_t5xxl",
            "clip_l_dropout_rate",
            "clip_g_dropout_rate",
            "t5_dropout_rate",
        ),
        why="comes with the base; base.t5=false leaves T5 out",
        off=("", 0),
    ),
    Unused(
        theirs=("lr_scheduler_type", "lr_scheduler_args", "lr_scheduler_args."),
        why="names code; curves are those of conf/lr_scheduler",
        off=("", None),
    ),
    Unused(
        theirs=("lr_scheduler_timescale", "lr_scheduler_min_lr_ratio"), why="no such field of a curve here", off=(0,)
    ),
    Unused(theirs=("train_inpainting",), why="no inpainting base is trained here", off=(False,)),
    Unused(
        theirs=("debug_dataset", "additional_parameters", "config_file", "output_config"),
        why="is the program's own",
        off=(False, ""),
    ),
    Unused(theirs=("model_list", "save_as_bool", "folders"), why=GUI),
    Unused(theirs=("use_8bit_adam", "use_lion_optimizer"), why="optimizer_type says it", off=(False,)),
)
