"""Pictures from a pipeline: fixed prompts × fixed seeds, the same whatever the batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from PIL import Image

from eval.guidance import guidance_options, in_shares, rows_of_a_picture
from eval.samplers import drawing_with
from eval.spec import Drawing


def sample(
    pipe: Any,
    prompts: Sequence[str],
    seeds: Sequence[int],
    drawing: Drawing,
    options: Mapping[str, Any] | None = None,
) -> list[Image.Image]:
    """Return one picture for each prompt and seed, prompt by prompt: P·S pictures. See `sample_each`."""
    pairs = [(prompt, seed) for prompt in prompts for seed in seeds]
    (images,) = sample_each(pipe, pairs, drawing, copies=1, options=options)
    return images


@torch.no_grad()
def sample_each(
    pipe: Any,
    pairs: Sequence[tuple[str, int]],
    drawing: Drawing,
    *,
    copies: int,
    options: Mapping[str, Any] | None = None,
) -> list[list[Image.Image]]:
    """Return a picture for each prompt with its seed, for each of `copies`.

    Copies are for a denoiser that acts differently on each equal share of a batch.

    Each picture has its own CPU generator, seeded with its seed alone: it is the same in any batch and on any device
    (to rounding), and whoever enters prompt and seed in another program starts from the same noise. `batch_rows`
    bounds the denoiser's rows; a guided picture takes two. For `guidance_every` see `eval.guidance.in_shares`, for
    `sampler` `eval.samplers`. `options` are what else the pipeline is called with, such as `height` and `width`.
    Turns the pipeline's progress bar off.
    """
    pipe.set_progress_bar_config(disable=True)
    scale = drawing.guidance_scale
    at_once = max(1, drawing.batch_rows // (copies * rows_of_a_picture(pipe, scale)))
    images: list[list[Image.Image]] = [[] for _ in range(copies)]
    for start in range(0, len(pairs), at_once):
        batch = pairs[start : start + at_once]
        seeds = [seed for _, seed in batch]
        with (
            drawing_with(pipe, drawing.sampler),
            in_shares(pipe, seeds, copies=copies, scale=scale, every=drawing.guidance_every),
        ):
            drawn = pipe(
                prompt=[prompt for prompt, _ in batch] * copies,
                generator=[torch.Generator("cpu").manual_seed(seed) for _ in range(copies) for seed in seeds],
                num_inference_steps=drawing.steps,
                output_type="pil",
                **guidance_options(pipe, scale, len(batch) * copies),
                **(options or {}),
            ).images
        for copy, own in enumerate(images):
            own += drawn[copy * len(batch) : (copy + 1) * len(batch)]
    return images
