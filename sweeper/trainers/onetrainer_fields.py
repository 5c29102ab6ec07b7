"""What OneTrainer's configs say that is nothing here, and why."""

from __future__ import annotations

from typing import Final

from sweeper.trainers.port import Unused
from sweeper.trainers.reasons import JUDGE, RESUMED, SAVED, SHOWN, SPEED

_IMAGE: Final = "concepts.image."
_TEXT: Final = "concepts.text."
_CHANGED: Final = "pictures are flipped and cropped here, and not changed otherwise"

UNUSED: Final = (
    Unused(
        theirs=("concept_file_name",), why="is another file; name it, too: sweeper import CONFIG.json CONCEPTS.json"
    ),
    Unused(
        theirs=(
            *("sample_definition_file_name", "samples", "sample_after", "sample_after_unit", "sample_image_format"),
            *("sample_skip_first", "sample_video_format", "sample_audio_format", "samples_to_tensorboard"),
            *("non_ema_sampling", "validation", "validate_after", "validate_after_unit", "concepts.validation_concept"),
        ),
        why=JUDGE,
        off=(False,),
    ),
    Unused(
        theirs=(
            *("output_model_format", "output_model_destination", "save_after", "save_after_unit", "save_every"),
            *("save_every_unit", "save_skip_first", "save_filename_prefix", "include_train_config"),
            *("prevent_overwrites", "bundle_additional_embeddings", "backup_after", "backup_after_unit"),
            *("rolling_backup", "rolling_backup_count", "backup_before_save", "lora_weight_dtype"),
        ),
        why=SAVED,
        off=(0, "NEVER", "NONE", "FLOAT_32"),
    ),
    Unused(theirs=("continue_last_backup",), why=RESUMED, off=(False,)),
    Unused(
        theirs=(
            *("workspace_dir", "cache_dir", "debug_mode", "debug_dir", "tensorboard", "tensorboard_expose"),
            *("tensorboard_port", "tensorboard_always_on", "__version", "optimizer.__version", "optimizer_defaults"),
            *("optimizer_defaults.", "concepts.__version", "concepts.name", "concepts.enabled", "concepts.seed"),
            "embeddings",
        ),
        why=SHOWN,
        off=(False,),
    ),
    Unused(
        theirs=(
            *("latent_caching", "latent_caching_epochs", "image_caching", "text_caching", "caching_threads"),
            *("clear_cache_before_training", "only_cache", "dataloader_threads", "prefetch_next_batch", "compile"),
            *("train_device", "temp_device", "attention_mechanism", "enable_autocast_cache", "async_offloading"),
            *("enable_async_offloading", "enable_activation_offloading", "layer_offload_fraction", "multi_gpu"),
            *("device_indexes", "gradient_reduce_precision", "fused_gradient_reduce", "async_gradient_reduce"),
            *("async_gradient_reduce_buffer", "fallback_train_dtype", "loss_scaler", "lokr_vec_trick"),
            *("unet.offload_fraction", "unet.activation_offloading", "transformer.offload_fraction"),
            *("transformer.activation_offloading", "quantization."),
        ),
        why=SPEED,
        off=(False, 0, "NONE"),
    ),
    Unused(
        theirs=(
            "weight_dtype",
            "text_encoder_weight_dtype",
            "vae_weight_dtype",
            "embedding_weight_dtype",
            "vae.",
            "prior_weight_dtype",
        ),
        why="all but the denoiser is as train.precision says",
        off=("NONE",),
    ),
    Unused(
        theirs=tuple(
            f"{part}."
            for part in (
                *("text_encoder", "text_encoder_2", "text_encoder_3", "text_encoder_4", "unet", "transformer", "prior"),
                *("unconditional_transformer", "effnet_encoder", "decoder", "decoder_text_encoder", "decoder_vqgan"),
                *("embedding", "embeddings", "cloud", "secrets"),
            )
        ),
        why="a part of the base has no settings of its own here",
        off=(False, 0, "NONE", "NEVER", "FLOAT_32", "FLOAT_16", "BFLOAT_16"),
    ),
    Unused(
        theirs=("train_text_encoder_epochs", "train_unet_epochs"),
        why="each part is trained to the end, or not at all",
        off=(100000,),
    ),
    Unused(
        theirs=(
            *("text_encoder_layer_skip", "text_encoder_2_layer_skip", "text_encoder_3_layer_skip"),
            *("text_encoder_4_layer_skip", "text_encoder_sequence_length", "text_encoder_2_sequence_length"),
        ),
        why="captions are read as the base's pipeline reads them",
        off=(0, 77, 512),
    ),
    Unused(
        theirs=(
            *("embedding_learning_rate", "preserve_embedding_norm", "additional_embeddings", "token_count"),
            *("initial_embedding_text", "lora_model_name", "extra_model_name"),
        ),
        why="no embedding is trained here, and no adapter gone on with",
        off=(False, "", 1),
    ),
    Unused(
        theirs=(
            "normalize_masked_area_loss",
            "unmasked_probability",
            "masked_prior_preservation_weight",
            "custom_conditioning_image",
        ),
        why="masks weigh the loss by objective.unmasked_weight alone",
        off=(False, 0),
    ),
    Unused(theirs=("circular_mask_generation", "random_rotate_and_crop"), why=_CHANGED, off=(False,)),
    Unused(
        theirs=(
            *("lora_decompose_norm_epsilon", "lora_decompose_output_axis", "lokr_weight_decompose", "dora_oft"),
            *("lokr_dora_on_output", "lokr_full_matrix", "oft_scaled", "oft_clipped_norm", "oft_cans", "oft_coft"),
        ),
        why="no such thing in the kinds of adapters here",
        off=(False, True, 0.95),
    ),
    Unused(
        theirs=("generalized_offset_noise", "cep_gamma", "huber_delta", "vb_loss_strength"),
        why="no such noise or loss here",
        off=(False, 0, 1),
    ),
    Unused(
        theirs=("min_noising_strength", "max_noising_strength"),
        why="all timesteps are trained",
        off=(0, 1),
    ),
    Unused(
        theirs=("force_v_prediction", "force_epsilon_prediction", "force_circular_padding"),
        why="what a base predicts is read from its scheduler",
        off=(False,),
    ),
    Unused(
        theirs=("custom_learning_rate_scheduler", "scheduler_params", "learning_rate_min_factor"),
        why="curves are those of conf/lr_scheduler",
        off=([], 0),
    ),
    Unused(
        theirs=("learning_rate_scaler",),
        why="optimizer.lr_scaling says how the rate grows with the batch",
        off=("NONE",),
    ),
    Unused(theirs=("frames",), why="no videos are trained here", off=("25",)),
    Unused(theirs=("cloud", "secrets"), why="is the program's own"),
    Unused(
        theirs=("concepts.include_subdirectories", "concepts.image_variations", "concepts.text_variations"),
        why="all folders below one are read, each picture once an epoch",
        off=(1, False),
    ),
    Unused(theirs=("concepts.balancing_strategy",), why="pictures are repeated", off=("REPEATS",)),
    Unused(theirs=("concepts.loss_weight",), why="all pictures count the same", off=(1,)),
    Unused(
        theirs=(f"{_TEXT}prompt_source", f"{_TEXT}prompt_path"),
        why="captions lie in .txt beside the pictures, or in a table",
        off=("sample", ""),
    ),
    Unused(theirs=(f"{_TEXT}tag_delimiter",), why="tags are parted by commas", off=(",",)),
    Unused(theirs=(_IMAGE,), why=_CHANGED, off=(False, 0, "512")),
    Unused(
        theirs=(_TEXT,),
        why="no such treatment of captions here",
        off=(False, 0, "", "NONE", "capslock, title, first, random"),
    ),
)
