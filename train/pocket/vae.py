"""Trains the pocket VAE: 64×64×3 → 16×16×4, on crops of the base's styles.

A part of every batch gets made-up textures (gratings, speckle) laid over it, so that the VAE also carries
styles that it has never seen, such as pencil strokes, and real photographs.

Two stages: the first shapes latents that lie near a normal distribution; the second, with a hundredth of the pull
towards it and squared error alone, lets detail through (measured: +1 to 2 dB).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import Tensor

from train.pocket.loop import EMA, Pictures, draw_all, in_stages, to_unit, train_loop
from train.pocket.world import BASE_STYLES, scenes

BATCH, CROP = 32, 32


@dataclass(frozen=True, kw_only=True, slots=True)
class VaeStage:
    """One stretch of the training with its own learning-rate curve."""

    name: str
    steps: int
    lr: float
    kl_weight: float
    """On the sum over a crop's latents; 1e-6 is latent diffusion's (Rombach et al. 2022, appendix G)."""
    l1_weight: float
    textured: int
    """Crops of a batch with textures laid over them."""


VAE_STAGES: Final = (
    VaeStage(name="vae, shaping", steps=2400, lr=2e-3, kl_weight=1e-6, l1_weight=0.1, textured=8),
    VaeStage(name="vae, detail", steps=1300, lr=1.5e-3, kl_weight=1e-8, l1_weight=0.0, textured=4),
)


def build_vae() -> AutoencoderKL:
    """An untrained VAE of 0.77 M parameters."""
    return AutoencoderKL(
        in_channels=3,
        out_channels=3,
        latent_channels=4,
        sample_size=64,
        block_out_channels=(24, 48, 64),
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        layers_per_block=1,
        norm_num_groups=8,
    )


def train_vae(folder: Path, state_path: Path, seed: int) -> AutoencoderKL:
    """Train, set the scaling factor that gives latents unit variance, save to `folder`."""
    torch.manual_seed(seed)
    vae = build_vae()
    pool = _pool(seed)
    in_stages(
        vae, VAE_STAGES, lambda stage, number: _train_stage(vae, stage, pool, state_path, seed + number), state_path
    )
    vae.eval()
    vae.register_to_config(scaling_factor=round(1 / _latent_spread(vae, pool), 4))
    vae.to(torch.float16).save_pretrained(folder)
    return vae.float()


def _train_stage(vae: AutoencoderKL, stage: VaeStage, pool: Pictures, state_path: Path, seed: int) -> None:
    ema = EMA(vae.parameters())

    def step(generator: torch.Generator) -> tuple[Tensor, str]:
        images = add_textures(crops(pool.pixels, generator), stage.textured, generator)
        posterior = vae.encode(images).latent_dist
        z = posterior.mean + posterior.std * torch.randn(posterior.mean.shape, generator=generator)
        error = vae.decode(z).sample - images
        mse = error.square().mean()
        loss = mse + stage.l1_weight * error.abs().mean() + stage.kl_weight * posterior.kl().mean()
        plain = error[stage.textured :].detach().square().mean()
        return loss, f"{-10 * torch.log10(plain / 4).item():.1f} dB"

    train_loop(
        stage.name,
        {"vae": vae},
        step,
        num_steps=stage.steps,
        lr=stage.lr,
        weight_decay=1e-4,
        state_path=state_path,
        seed=seed,
        ema=ema,
    )
    ema.apply()


def _pool(seed: int) -> Pictures:
    chosen = scenes(seed, 6000, held_out=False)
    return draw_all(chosen, [BASE_STYLES[i % len(BASE_STYLES)] for i in range(len(chosen))], seed)


def crops(pixels: Tensor, generator: torch.Generator) -> Tensor:
    """Random crops (BATCH, 3, CROP, CROP) in [-1, 1], flipped and turned by lot."""
    chosen = torch.randint(len(pixels), (BATCH,), generator=generator)
    corners = torch.randint(pixels.shape[-1] - CROP + 1, (BATCH, 2), generator=generator).tolist()
    images = torch.stack(
        [pixels[i, :, y : y + CROP, x : x + CROP] for i, (y, x) in zip(chosen.tolist(), corners, strict=True)]
    )
    flip, turn = torch.rand(2, generator=generator)
    images = images.flip(-1) if flip < 0.5 else images
    return to_unit(images.transpose(-1, -2) if turn < 0.5 else images)


def add_textures(images: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """The first `count` with gratings of any period, angle and colour, and speckle; the rest as they are."""
    axis = torch.arange(CROP, dtype=torch.float32)
    angle, phase = torch.rand(2, count, 1, 1, generator=generator) * torch.pi * 2
    period = 2.5 + 6 * torch.rand(count, 1, 1, generator=generator)
    wave = torch.cos((axis[:, None] * angle.cos() + axis * angle.sin()) * 2 * torch.pi / period + phase)
    tint = torch.rand(count, 3, 1, 1, generator=generator) * 2 - 1
    alpha = (0.5 + 0.5 * wave[:, None]) * torch.rand(count, 1, 1, 1, generator=generator)
    speckle = 0.15 * torch.rand(count, 1, 1, 1, generator=generator)
    noise = torch.randn(count, 1, CROP, CROP, generator=generator) * speckle
    laid = images[:count] + (tint - images[:count]) * alpha + noise
    return torch.cat([laid.clamp(-1, 1), images[count:]])


@torch.no_grad()
def _latent_spread(vae: AutoencoderKL, pool: Pictures) -> float:
    chosen = torch.from_numpy(np.linspace(0, len(pool.pixels) - 1, 256).astype(int))
    return float(vae.encode(to_unit(pool.pixels[chosen])).latent_dist.mean.std())


@torch.no_grad()
def peak_signal_to_noise(vae: AutoencoderKL, pixels: Tensor) -> float:
    """Mean PSNR in dB over pictures (N, 3, 64, 64) uint8, encoded to the mean and decoded."""
    images = to_unit(pixels)
    decoded = vae.decode(vae.encode(images).latent_dist.mean).sample.clamp(-1, 1)
    mse = (decoded - images).square().mean((1, 2, 3)) / 4  # images span 2, PSNR is defined on a span of 1
    return float((-10 * torch.log10(mse)).mean())
