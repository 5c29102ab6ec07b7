"""Both noise processes are what diffusers' schedulers and training scripts compute."""

from __future__ import annotations

import math

import pytest
import torch
from diffusers import DDPMScheduler, FlowMatchEulerDiscreteScheduler
from diffusers.training_utils import compute_density_for_timestep_sampling, compute_snr

from foundation.bases.noising import Diffusion, Flow
from foundation.errors import BaseModelError

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


def test_noise_is_added_as_the_scheduler_adds_it(
    scheduler: DDPMScheduler, latents: torch.Tensor, noise: torch.Tensor
) -> None:
    ours = Diffusion(scheduler.alphas_cumprod).noisy(latents, noise, TIMESTEPS)
    torch.testing.assert_close(ours, scheduler.add_noise(latents, noise, TIMESTEPS))


def test_the_target_is_the_noise_or_the_schedulers_velocity(
    scheduler: DDPMScheduler, latents: torch.Tensor, noise: torch.Tensor
) -> None:
    alphas = scheduler.alphas_cumprod
    assert torch.equal(Diffusion(alphas, "epsilon").target(latents, noise, TIMESTEPS), noise)
    velocity = scheduler.get_velocity(latents, noise, TIMESTEPS)
    torch.testing.assert_close(Diffusion(alphas, "v_prediction").target(latents, noise, TIMESTEPS), velocity)
    with pytest.raises(BaseModelError, match="the base predicts 'sample'; epsilon and v_prediction can be trained"):
        Diffusion(alphas, "sample")  # type: ignore[arg-type]  # as a scheduler's config may say


def test_snr_is_that_of_the_training_scripts(scheduler: DDPMScheduler) -> None:
    ours = Diffusion(scheduler.alphas_cumprod).snr(TIMESTEPS)
    torch.testing.assert_close(ours, compute_snr(scheduler, TIMESTEPS), rtol=1e-4, atol=0)


def test_every_timestep_is_drawn_alike_and_from_the_generator_alone(scheduler: DDPMScheduler) -> None:
    drawn = Diffusion(scheduler.alphas_cumprod).draw(50_000, torch.Generator().manual_seed(3))
    assert torch.equal(drawn, torch.randint(1000, (50_000,), generator=torch.Generator().manual_seed(3)))
    counts = torch.bincount(drawn // 100, minlength=10)
    assert len(counts) == 10 and counts.min() > 4_700


@pytest.mark.parametrize("shift", [1.0, 3.0])
def test_a_flows_noise_and_target_are_the_schedulers(shift: float, latents: torch.Tensor, noise: torch.Tensor) -> None:
    scheduler = FlowMatchEulerDiscreteScheduler(shift=shift)
    times = scheduler.timesteps[[0, 10, 300, 500, 900, 990, 999]]
    flow = Flow(shift=shift)
    noisy = flow.noisy(latents, noise, times)
    torch.testing.assert_close(noisy, scheduler.scale_noise(latents, times, noise), rtol=1e-5, atol=1e-6)
    assert torch.equal(flow.target(latents, noise, times), noise - latents)
    sigma = scheduler.sigmas[:1000][[0, 10, 300, 500, 900, 990, 999]]
    torch.testing.assert_close(flow.snr(times), ((1 - sigma) / sigma) ** 2, rtol=1e-3, atol=1e-6)


def test_the_velocity_leads_from_noise_to_the_picture(latents: torch.Tensor, noise: torch.Tensor) -> None:
    """dx/dσ = ε - x: one Euler step of the scheduler over the whole way with the right velocity gives the picture."""
    scheduler = FlowMatchEulerDiscreteScheduler()
    scheduler.set_timesteps(1)
    flow, times = Flow(), scheduler.timesteps.expand(len(latents))
    start = flow.noisy(latents, noise, times)
    velocity = flow.target(latents, noise, times)
    torch.testing.assert_close(scheduler.step(velocity, scheduler.timesteps[0], start).prev_sample, latents)


@pytest.mark.parametrize(("mean", "std"), [(0.0, 1.0), (-0.5, 0.7)])
def test_logit_normal_times_are_those_of_the_sd3_script(mean: float, std: float) -> None:
    theirs = compute_density_for_timestep_sampling(
        "logit_normal", 10, mean, std, generator=torch.Generator().manual_seed(0)
    )
    ours = Flow(logit_mean=mean, logit_std=std).draw(10, torch.Generator().manual_seed(0))
    torch.testing.assert_close(ours, 1000 * theirs)


@pytest.mark.parametrize("density", ["logit_normal", "uniform"])
@pytest.mark.parametrize("shift", [1.0, 3.0])
def test_shifted_times_have_the_density_that_the_paper_gives(density: str, shift: float) -> None:
    """The share of times below σ is P(u ≤ σ / (s - (s-1)·σ))."""
    flow = Flow(shift=shift, density=density)  # type: ignore[arg-type]
    times = flow.draw(100_000, torch.Generator().manual_seed(0))
    assert times.min() >= 0 and times.max() <= 1000
    for sigma in (0.1, 0.5, 0.9):
        u = sigma / (shift - (shift - 1) * sigma)
        logit = math.log(u / (1 - u))
        expected = u if density == "uniform" else 0.5 * (1 + math.erf(logit / math.sqrt(2)))
        assert float((times <= 1000 * sigma).float().mean()) == pytest.approx(expected, abs=0.005)
