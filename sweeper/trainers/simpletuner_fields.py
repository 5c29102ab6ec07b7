"""What SimpleTuner's configs say that is nothing here, and why."""

from __future__ import annotations

from typing import Final

from sweeper.trainers.port import Unused
from sweeper.trainers.reasons import HUB, JUDGE, RESUMED, SAVED, SHOWN, SPEED


def _sets(*names: str) -> tuple[str, ...]:
    return tuple(f"data.{name}" for name in names)


UNUSED: Final = (
    Unused(
        theirs=("data_backend_config", "lycoris_config"),
        why="is another file; name it, too: sweeper import FILE OTHER.json",
    ),
    Unused(
        theirs=(
            *("validation_prompt", "validation_prompt_library", "validation_seed", "validation_steps"),
            *("validation_step_interval", "validation_epoch_interval", "validation_resolution"),
            *("validation_guidance", "validation_guidance_rescale", "validation_guidance_real"),
            *("validation_no_cfg_until_timestep", "validation_num_inference_steps", "validation_negative_prompt"),
            *("validation_torch_compile", "validation_disable_unconditional", "validation_guidance_skip_layers"),
            *("validation_disable", "validation_on_startup", "validation_randomize", "validation_noise_scheduler"),
            *("validation_guidance_skip_layers_start", "validation_guidance_skip_layers_stop", "num_eval_images"),
            *("validation_guidance_skip_scale", "validation_lycoris_strength", "validation_using_datasets"),
            *("validation_seed_source", "validation_torch_compile_mode", "num_validation_images", "eval_timesteps"),
            *("eval_steps_interval", "eval_epoch_interval", "evaluation_type", "eval_dataset_id", "disable_benchmark"),
            *("eval_dataset_pooling", "user_prompt_library", "pretrained_evaluation_model_name_or_path"),
            "inference_scheduler_timestep_spacing",
        ),
        why=JUDGE,
        off=(False,),
    ),
    Unused(
        theirs=(
            *("output_dir", "checkpointing_steps", "checkpoint_step_interval", "checkpoint_epoch_interval"),
            *("checkpoints_total_limit", "lora_format", "save_text_encoder", "checkpoints_rolling_total_limit"),
        ),
        why=SAVED,
    ),
    Unused(theirs=("resume_from_checkpoint", "init_lora"), why=RESUMED, off=("",)),
    Unused(
        theirs=(
            "push_to_hub",
            "push_checkpoints_to_hub",
            "hub_model_id",
            "push_to_hub_background",
            "publishing_config",
            "model_card_note",
        ),
        why=HUB,
        off=(False,),
    ),
    Unused(
        theirs=(
            "report_to",
            "tracker_project_name",
            "tracker_run_name",
            "logging_dir",
            "webhook_config",
            "debug_extra_args",
            "print_filenames",
        ),
        why=SHOWN,
        off=("none", False),
    ),
    Unused(
        theirs=(
            *("vae_batch_size", "quantize_via", "dynamo_backend", "dynamo_mode", "num_processes", "num_machines"),
            *(
                "fuse_qkv_projections",
                "attention_mechanism",
                "offload_during_startup",
                "gradient_checkpointing_interval",
            ),
            *("enable_group_offload", "ramtorch", "compress_disk_cache", "max_workers", "read_batch_size"),
            *("write_batch_size", "image_processing_batch_size", "aws_max_pool_connections", "torch_num_threads"),
            *("allow_tf32", "disable_tf32", "metadata_update_interval", "use_xformers", "accelerate_extra_args"),
            *("tokenizers_parallelism", "dataloader_prefetch", "dataloader_prefetch_qlen", "vae_cache_ondemand"),
            *(
                "override_dataset_config",
                "vae_cache_scan_behaviour",
                "preserve_data_backend_cache",
                "skip_file_discovery",
            ),
            *("enable_multiprocessing", "cache_dir", "cache_dir_text", "cache_dir_vae", "vae_enable_tiling"),
            *("vae_enable_slicing", "ema_device", "ema_cpu_only", "ema_foreach_disable", "set_grads_to_none"),
            *(
                "pure_bf16",
                "keep_vae_loaded",
                "fully_unload_text_encoder",
                "unet_attention_slice",
                "trainer_extra_args",
            ),
            *("optimizer_release_gradients", "cache_clear_validation_prompts", "cache."),
        ),
        why=SPEED,
        off=(False, 0, "no", ""),
    ),
    Unused(
        theirs=(
            *("base_model_precision", "text_encoder_1_precision", "text_encoder_2_precision"),
            *("text_encoder_3_precision", "text_encoder_4_precision", "base_model_default_dtype", "vae_dtype"),
        ),
        why="its numbers of few bits are others than here; base.quantization=int8 or nf4 saves as much",
        off=("no_change", "default", "bf16"),
    ),
    Unused(
        theirs=("grad_clip_method",),
        why="gradients are clipped by their norm here",
        off=("norm",),
    ),
    Unused(
        theirs=(
            *("pretrained_vae_model_name_or_path", "pretrained_t5_model_name_or_path", "revision", "variant"),
            *("pretrained_transformer_model_name_or_path", "pretrained_unet_model_name_or_path", "model_flavour"),
        ),
        why="comes with the base",
        off=("",),
    ),
    Unused(theirs=("prediction_type",), why="what a base predicts is read from its scheduler"),
    Unused(
        theirs=(
            *("training_scheduler_timestep_spacing", "timestep_bias_strategy", "timestep_bias_begin"),
            *(
                "timestep_bias_end",
                "timestep_bias_multiplier",
                "timestep_bias_portion",
                "disable_segmented_timestep_sampling",
            ),
            *("flux_fast_schedule", "flow_beta_schedule_alpha", "flow_beta_schedule_beta", "use_soft_min_snr"),
            *(
                "soft_min_snr_sigma_data",
                "noise_offset_probability",
                "input_perturbation_steps",
                "masked_loss_probability",
            ),
            "flux_attention_masked_training",
        ),
        why="no such weights of timesteps, and no such noise, here",
        off=(False, "none", 0, 1),
    ),
    Unused(
        theirs=("lr_scale", "lr_scale_sqrt"),
        why="optimizer.lr_scaling says how the rate grows with the batch",
        off=(False,),
    ),
    Unused(
        theirs=(
            "freeze_encoder_before",
            "freeze_encoder_after",
            "freeze_encoder_strategy",
            "layer_freeze_strategy",
            "text_encoder_limit",
            "ignore_final_epochs",
            "use_bitfit",
            "controlnet",
            "refiner_training",
            "max_train_samples",
        ),
        why="no such thing is trained here",
        off=(False, "none", 0),
    ),
    Unused(
        theirs=(
            *("caption_strategy", "instance_prompt", "prepend_instance_prompt", "only_instance_prompt"),
            *_sets("caption_strategy", "instance_prompt", "prepend_instance_prompt", "only_instance_prompt"),
            *("tokenizer_max_length", "t5_padding", "sd3_clip_uncond_behaviour", "sd3_t5_uncond_behaviour"),
        ),
        why="captions lie in .txt beside the pictures, or in a table, here",
        off=("textfile", False, ""),
    ),
    Unused(
        theirs=(
            *("aspect_bucket_rounding", "aspect_bucket_alignment", "minimum_image_size", "maximum_image_size"),
            *("target_downsample_size", "max_upscale_threshold", "disable_bucket_pruning", "delete_unwanted_images"),
            *("delete_problematic_images", "delete_errored_images", "delete_small_images", "data_aesthetic_score"),
            *("data_backend_sampling", "ignore_missing_files", "aspect_bucket_disable_rebuild"),
            *_sets("minimum_image_size", "maximum_image_size", "target_downsample_size", "metadata_backend"),
            *_sets("minimum_aspect_ratio", "maximum_aspect_ratio", "probability", "probability_curve"),
            *_sets(
                "skip_file_discovery", "disable_validation", "preserve_data_backend_cache", "vae_cache_clear_each_epoch"
            ),
            *_sets(
                "id", "cache_dir_vae", "text_embeds", "disabled", "dataset_type", "cache_file_suffix", "huggingface."
            ),
            *_sets(
                "crop_aspect_buckets",
                "parquet",
                "csv_",
                "config",
                "image_embeds",
                "scan_for_errors",
                "is_regularisation_data",
            ),
        ),
        why="all pictures of a folder are read, none for its size, and cut to shapes by data.bucket_*",
        off=(False, 0, "image"),
    ),
    Unused(theirs=("regularisation.",), why="of regularisation pictures only the folder is read"),
    Unused(
        theirs=("lycoris.bypass_mode", "lycoris.multiplier", "lycoris.dora_wd", "lycoris.use_scalar"),
        why=SPEED,
        off=(True, False, 1),
    ),
    Unused(
        theirs=("lycoris.",),
        why="one kind, one rank and one factor for all layers here; adapter.rank_pattern differs by layer",
    ),
    Unused(theirs=("init_lokr_norm",), why="a LoKr starts at 0, or as adapter.init=lycoris says"),
)
