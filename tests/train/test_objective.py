"""The objective is what diffusers' own scheduler and training scripts compute."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from diffusers import DDPMScheduler
from diffusers.training_utils import compute_snr

from train.noising import Diffusion
from train.objective import denoising_losses, snr_weights

TIMESTEPS = torch.tensor([0, 1, 250, 500, 750, 998, 999])
SHAPE = (len(TIMESTEPS), 4, 8, 8)


@pytest.fixture(params=["scaled_linear", "linear", "squaredcos_cap_v2"])
def scheduler(request: pytest.FixtureRequest) -> DDPMScheduler:
    return DDPMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule=request.param)


@pytest.fixture
def latents() -> torch.Tensor:
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def noise() -> torch.Tensor:
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("gamma", [0.5, 5.0, 20.0])
@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_min_snr_weights_are_those_of_the_training_scripts(
    gamma: float, prediction: str, scheduler: DDPMScheduler
) -> None:
    snr = compute_snr(scheduler, TIMESTEPS)
    expected = torch.stack([snr, gamma * torch.ones_like(snr)], dim=1).min(dim=1)[0]
    expected = expected / (snr + 1 if prediction == "v_prediction" else snr)
    ours = snr_weights(gamma, Diffusion(scheduler.alphas_cumprod, prediction), TIMESTEPS)  # type: ignore[arg-type]
    torch.testing.assert_close(ours, expected, rtol=1e-4, atol=0)


def test_without_gamma_every_row_weighs_one(scheduler: DDPMScheduler) -> None:
    ours = snr_weights(None, Diffusion(scheduler.alphas_cumprod), TIMESTEPS)
    assert torch.equal(ours, torch.ones(len(TIMESTEPS)))


def test_the_loss_is_the_weighted_mean_squared_error(latents: torch.Tensor, noise: torch.Tensor) -> None:
    ones = torch.ones(len(latents))
    torch.testing.assert_close(denoising_losses(latents, noise, ones, 1)[0], F.mse_loss(latents, noise))
    weights = torch.linspace(0, 2, len(latents))
    expected = (F.mse_loss(latents, noise, reduction="none").mean(dim=[1, 2, 3]) * weights).mean()
    torch.testing.assert_close(denoising_losses(latents, noise, weights, 1)[0], expected)


def test_each_trial_has_the_loss_of_its_own_rows(latents: torch.Tensor, noise: torch.Tensor) -> None:
    weights = torch.linspace(0, 2, 6)
    losses = denoising_losses(latents[:6], noise[:6], weights, 3)
    for i, loss in enumerate(losses):
        own = slice(2 * i, 2 * i + 2)
        torch.testing.assert_close(loss, denoising_losses(latents[own], noise[own], weights[own], 1)[0])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_the_loss_is_taken_in_float32_whatever_the_base_computes_in(dtype: torch.dtype) -> None:
    predicted = torch.full(SHAPE, 300.0, dtype=dtype)  # its square is no fp16 number
    loss = denoising_losses(predicted, torch.zeros(SHAPE), torch.ones(len(predicted)), 1)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(300.0**2, rel=0.01)
    precise = denoising_losses(predicted.double(), torch.zeros(SHAPE), torch.ones(len(predicted)), 1)
    assert precise.dtype == torch.float64
