"""Each family's validation loss, held against diffusers' own modules called as its training scripts call them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DiffusionPipeline
from torch import Tensor

from eval.spec import Strata
from eval.validation import losses_of_base, validation_set
from foundation.bases.registry import load_base
from foundation.data.dataset import Dataset
from foundation.data.folder import Picture
from foundation.data.images import square
from tests.train.plain_families import PREDICT
from tests.train.tiny_families import BUILDERS, SIDE, build

STRATA = Strata(span=(0.0, 1.0), bins=2, noises_per_bin=2, seed=0)


@torch.no_grad()
def plain_latents(pipeline: Any, picture: Picture) -> Tensor:
    """The posterior's mode, scaled as each model card has it."""
    pixels = torch.from_numpy(np.asarray(square(picture.open(), SIDE), dtype=np.float32) / 127.5 - 1)
    pixels, vae = pixels.permute(2, 0, 1)[None], pipeline.vae
    if hasattr(vae.config, "latents_mean") and type(pipeline).__name__ == "QwenImagePipeline":
        mode = vae.encode(pixels[:, :, None]).latent_dist.mode()[:, :, 0]
        mean, std = (
            torch.tensor(each)[None, :, None, None] for each in (vae.config.latents_mean, vae.config.latents_std)
        )
        return (mode - mean) / std
    if hasattr(vae, "bn"):
        return pipeline._encode_vae_image(pixels, None)
    return (vae.encode(pixels).latent_dist.mode() - (vae.config.shift_factor or 0.0)) * vae.config.scaling_factor


@pytest.mark.parametrize("family", BUILDERS)
@torch.no_grad()
def test_losses_are_those_of_diffusers_own_modules(family: str, tiny_dataset: Dataset, tmp_path: Path) -> None:
    spec = build(family, tmp_path / "base")
    base = load_base(spec, torch.device("cpu"))
    pictures = tiny_dataset.validation
    found = validation_set(base, pictures, STRATA)
    (losses,) = losses_of_base(found, base, 3)
    pipeline = DiffusionPipeline.from_pretrained(spec.path)
    denoiser = getattr(pipeline, "unet", None) or pipeline.transformer
    denoiser.double()
    for number, picture in enumerate(pictures):
        clean = plain_latents(pipeline, picture)
        torch.testing.assert_close(found.latents[number : number + 1], clean, rtol=0, atol=1e-5)
        for stratum, (noise, time) in enumerate(zip(found.noise(number), found.timesteps, strict=True)):
            noise, time = noise[None], time[None]
            if base.process.prediction_type == "flow":
                noisy, target = clean + time / 1000 * (noise - clean), noise - clean
            else:
                noisy = pipeline.scheduler.add_noise(clean, noise, time)
                velocity = pipeline.scheduler.config.prediction_type == "v_prediction"
                target = pipeline.scheduler.get_velocity(clean, noise, time) if velocity else noise
            sizes = {"time_ids": torch.tensor([[SIDE, SIDE, 0, 0, SIDE, SIDE]]).double()} if family == "sdxl" else {}
            predicted = PREDICT[family](pipeline, noisy.double(), time, [picture.caption], **sizes)
            losses[number, stratum // 2] -= (predicted - target).square().mean() / 2
    assert losses.abs().max() < 1e-5
