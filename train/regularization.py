"""Pictures of what the base knows already, so that it is not forgotten: a folder's, or drawn by the base itself."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from foundation.bases.port import Base
from foundation.data.dataset import Dataset
from foundation.data.folder import Picture, read_folder
from foundation.files.cache_use import mark_used
from foundation.files.durable import new_folder
from train.spec import DataSpec

_BATCH = 4


def with_regularization(dataset: Dataset, spec: DataSpec, base: Base, cache: Path) -> Dataset:
    """The data set with the pictures that the base draws for `data.regularization_prompt`, if that is set.

    Call it before any adapter is in the base. They are drawn once, and kept under a hash of base, prompt and number.
    """
    if spec.regularization_prompt is None:
        return dataset
    return replace(
        dataset, regularization=_draw_pictures(base, spec.regularization_prompt, spec.regularization_count, cache)
    )


def _draw_pictures(base: Base, prompt: str, count: int, cache: Path) -> tuple[Picture, ...]:
    words = [base.fingerprint, str(base.dtype), base.resolution, prompt, count]
    folder = mark_used(cache / f"regularization-{hashlib.sha256(json.dumps(words).encode()).hexdigest()[:24]}")
    if not folder.exists():
        with new_folder(folder, replace=False) as fresh:
            _draw(base, prompt, count, fresh)
    return read_folder(folder, where="data.regularization_prompt's pictures")[0]


@torch.no_grad()
def _draw(base: Base, prompt: str, count: int, folder: Path) -> None:
    """With the pipeline's own steps and guidance, as DreamBooth's script draws; picture n from seed n."""
    pipeline: Any = base.pipeline
    lines = []
    for start in range(0, count, _BATCH):
        seeds = range(start, min(start + _BATCH, count))
        images = pipeline(
            prompt=[prompt] * len(seeds),
            generator=[torch.Generator("cpu").manual_seed(seed) for seed in seeds],
            height=base.resolution,
            width=base.resolution,
            output_type="pil",
        ).images
        for seed, image in zip(seeds, images, strict=True):
            image.save(folder / f"{seed:05}.png")
            lines.append(json.dumps({"file_name": f"{seed:05}.png", "text": prompt}))
    (folder / "metadata.jsonl").write_text("\n".join(lines) + "\n")
