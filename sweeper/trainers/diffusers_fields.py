"""What the arguments of diffusers' example scripts say that is nothing here, and why."""

from __future__ import annotations

from typing import Final

from sweeper.trainers.port import Unused
from sweeper.trainers.reasons import HUB, JUDGE, RESUMED, SAVED, SHOWN, SPEED

UNUSED: Final = (
    Unused(
        theirs=("validation_prompt", "validation_epochs", "num_validation_images", "final_validation_prompt"), why=JUDGE
    ),
    Unused(theirs=("output_dir", "checkpointing_steps", "checkpoints_total_limit", "upcast_before_saving"), why=SAVED),
    Unused(theirs=("report_to", "logging_dir", "debug_loss"), why=SHOWN, off=("none",)),
    Unused(theirs=("push_to_hub", "hub_model_id", "hub_token"), why=HUB),
    Unused(theirs=("resume_from_checkpoint",), why=RESUMED),
    Unused(
        theirs=(
            *("cache_latents", "dataloader_num_workers", "allow_tf32", "enable_xformers_memory_efficient_attention"),
            *("enable_npu_flash_attention", "cache_dir", "local_rank", "prior_generation_precision", "offload"),
        ),
        why=SPEED,
        off=(False, 0),
    ),
    Unused(
        theirs=("image_column", "dataset_config_name", "max_train_samples", "image_interpolation_mode"),
        why="all pictures of a folder or data set are read",
    ),
    Unused(
        theirs=("instance_prompt", "class_prompt", "num_class_images", "max_sequence_length"),
        why="captions lie beside the pictures, or in a table, here",
    ),
    Unused(theirs=("scale_lr",), why="optimizer.lr_scaling says how the rate grows with the batch", off=(False,)),
    Unused(
        theirs=("revision", "variant", "pretrained_vae_model_name_or_path", "prediction_type"),
        why="comes with the base",
    ),
    Unused(
        theirs=("mode_scale", "do_edm_style_training", "use_dora"),
        why="no such thing here; adapter=dora trains one",
        off=(False,),
    ),
)
