"""Pictures from a pipeline: fixed prompts × fixed seeds, the same whatever the batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image


@torch.no_grad()
def sample(
    pipe: Any,
    prompts: Sequence[str],
    seeds: Sequence[int],
    *,
    steps: int,
    guidance_scale: float,
    batch_rows: int,
) -> list[Image.Image]:
    """Return one picture for each prompt and seed, prompt by prompt: P·S pictures.

    Each picture has its own CPU generator, seeded with its seed alone: it is the same in any batch and on any device
    (to rounding), and whoever enters prompt and seed in another program starts from the same noise. `batch_rows`
    bounds the denoiser's rows; guidance takes two for a picture. Turns the pipeline's progress bar off.
    """
    pipe.set_progress_bar_config(disable=True)
    pairs = [(prompt, seed) for prompt in prompts for seed in seeds]
    at_once = max(1, batch_rows // (2 if guidance_scale > 1 else 1))
    images: list[Image.Image] = []
    for start in range(0, len(pairs), at_once):
        batch = pairs[start : start + at_once]
        images += pipe(
            prompt=[prompt for prompt, _ in batch],
            generator=[torch.Generator("cpu").manual_seed(seed) for _, seed in batch],
            num_inference_steps=steps,
            guidance_scale=guidance_scale,
            output_type="pil",
        ).images
    return images
