"""The denoising objective: what is asked of the denoiser, and what its error costs. Pure functions on tensors."""

from __future__ import annotations

import torch
from torch import Tensor

from train.noising import NoiseProcess


def snr_weights(snr_gamma: float | None, process: NoiseProcess, times: Tensor) -> Tensor:
    """Loss weights (B,): min(SNR, γ) / SNR for ε, min(SNR, γ) / (SNR + 1) for v; ones without γ.

    Source: Hang et al. 2023, Efficient Diffusion Training via Min-SNR Weighting Strategy, section 3.4.
    """
    if snr_gamma is None:
        return torch.ones(len(times), device=times.device)
    snr = process.snr(times)
    return snr.clamp(max=snr_gamma) / (snr + 1 if process.prediction_type == "v_prediction" else snr)


def denoising_losses(predicted: Tensor, target: Tensor, weights: Tensor, num_trials: int) -> Tensor:
    """Each trial's loss (K,) in at least float32: over its equal share of the rows, mean of weight · squared error."""
    precise = torch.promote_types(predicted.dtype, torch.float32)
    error = (predicted.to(precise) - target.to(precise)).square().mean(dim=(1, 2, 3))
    return (weights.to(precise) * error).view(num_trials, -1).mean(1)
