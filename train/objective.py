"""The denoising objective: what is asked of the denoiser, and what its error costs. Pure functions on tensors."""

from __future__ import annotations

import torch
from torch import Tensor


def add_noise(latents: Tensor, noise: Tensor, alphas_cumprod: Tensor, timesteps: Tensor) -> Tensor:
    """x_t = √ᾱ_t · x + √(1-ᾱ_t) · ε for latents (B, C, h, w) at timesteps (B,).

    Source: Ho et al. 2020, Denoising Diffusion Probabilistic Models, equation 4.
    """
    alpha = alphas_cumprod[timesteps].view(-1, 1, 1, 1)
    return alpha.sqrt() * latents + (1 - alpha).sqrt() * noise


def target_of(
    prediction_type: str, latents: Tensor, noise: Tensor, alphas_cumprod: Tensor, timesteps: Tensor
) -> Tensor:
    """What the denoiser should say: ε, or v = √ᾱ_t · ε - √(1-ᾱ_t) · x.

    Source: Salimans & Ho 2022, Progressive Distillation, appendix D.
    """
    if prediction_type == "epsilon":
        return noise
    if prediction_type == "v_prediction":
        alpha = alphas_cumprod[timesteps].view(-1, 1, 1, 1)
        return alpha.sqrt() * noise - (1 - alpha).sqrt() * latents
    raise ValueError(f"the base predicts {prediction_type!r}; epsilon and v_prediction can be trained")


def snr_weights(snr_gamma: float | None, prediction_type: str, alphas_cumprod: Tensor, timesteps: Tensor) -> Tensor:
    """Loss weights (B,): min(SNR, γ) / SNR for ε, min(SNR, γ) / (SNR + 1) for v; ones without γ. SNR = ᾱ / (1-ᾱ).

    Source: Hang et al. 2023, Efficient Diffusion Training via Min-SNR Weighting Strategy, section 3.4.
    """
    if snr_gamma is None:
        return torch.ones(len(timesteps), device=alphas_cumprod.device)
    alpha = alphas_cumprod[timesteps]
    snr = alpha / (1 - alpha)
    return snr.clamp(max=snr_gamma) / (snr + 1 if prediction_type == "v_prediction" else snr)


def denoising_losses(predicted: Tensor, target: Tensor, weights: Tensor, num_trials: int) -> Tensor:
    """Each trial's loss (K,) in at least float32: over its equal share of the rows, mean of weight · squared error."""
    precise = torch.promote_types(predicted.dtype, torch.float32)
    error = (predicted.to(precise) - target.to(precise)).square().mean(dim=(1, 2, 3))
    return (weights.to(precise) * error).view(num_trials, -1).mean(1)
