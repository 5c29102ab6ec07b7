"""Every part of a loss is the formula that its docstring names, and what diffusers computes where it has the same."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from diffusers import DDPMScheduler
from diffusers.training_utils import compute_snr

from foundation.bases.noising import Diffusion, Flow
from foundation.config.parse import parse
from foundation.errors import ConfigError
from train.batch import Batch
from train.objective import TrainingLoss, cost, debiased_weights, huber_thresholds, row_means, snr_weights
from train.spec import ObjectiveSpec

TIMESTEPS = torch.tensor([0, 1, 250, 500, 750, 998])
SHAPE = (len(TIMESTEPS), 4, 8, 8)


@pytest.fixture(params=["scaled_linear", "linear", "squaredcos_cap_v2"])
def scheduler(request: pytest.FixtureRequest) -> DDPMScheduler:
    return DDPMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule=request.param)


@pytest.fixture
def process() -> Diffusion:
    return Diffusion(DDPMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear").alphas_cumprod)


def drawn(seed: int) -> torch.Tensor:
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(seed))


def batch(**columns: Any) -> Batch:
    texts = {"embeddings": torch.zeros(0), "tokens": torch.zeros(0)}
    return Batch(**{"latents": drawn(0), "noise": drawn(1), "timesteps": TIMESTEPS, **texts, **columns})


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


def test_debiased_weights_are_one_over_the_root_of_snr_which_counts_as_a_thousand_at_most(
    scheduler: DDPMScheduler,
) -> None:
    snr = compute_snr(scheduler, TIMESTEPS).double().clamp(max=1000)
    alphas = scheduler.alphas_cumprod
    torch.testing.assert_close(debiased_weights(Diffusion(alphas), TIMESTEPS), snr**-0.5, rtol=1e-4, atol=0)
    ours = debiased_weights(Diffusion(alphas, "v_prediction"), TIMESTEPS)
    torch.testing.assert_close(ours, 1 / (snr + 1), rtol=1e-4, atol=0)


def test_thresholds_go_from_one_to_huber_c_with_the_noise(process: Diffusion) -> None:
    times = torch.arange(0, 1000, 37)
    alphas = process.alphas_cumprod[times].double()
    sigma = ((1 - alphas) / alphas).sqrt()
    expected = {
        "constant": torch.full((len(times),), 0.2, dtype=torch.float64),
        "exponential": torch.exp(-(-math.log(0.2) / 1000) * times),
        "snr": (1 - 0.2) / (1 + sigma) ** 2 + 0.2,
    }
    for schedule, values in expected.items():
        spec = ObjectiveSpec(loss="huber", huber_c=0.2, huber_schedule=schedule)  # type: ignore[arg-type]
        ours = huber_thresholds(spec, process, times)
        assert ours.shape == (len(times), 1, 1, 1)
        torch.testing.assert_close(ours.flatten(), values.double(), rtol=1e-5, atol=0)


def test_pseudo_huber_is_a_square_near_zero_and_straight_far_from_it() -> None:
    """With c: huber is d² and smooth_l1 d²/c for |d| ≪ c; 2c·|d| and 2·|d| for |d| ≫ c."""
    c = torch.tensor(0.5, dtype=torch.float64)
    huber, smooth = ObjectiveSpec(loss="huber"), ObjectiveSpec(loss="smooth_l1")
    near = torch.tensor([-1e-3, 1e-3], dtype=torch.float64)
    torch.testing.assert_close(cost(huber, near, c), near**2, rtol=1e-5, atol=0)
    torch.testing.assert_close(cost(smooth, near, c), near**2 / c, rtol=1e-5, atol=0)
    far = torch.tensor([-1e6, 1e6], dtype=torch.float64)
    torch.testing.assert_close(cost(huber, far, c), 2 * c * far.abs(), rtol=1e-5, atol=0)
    torch.testing.assert_close(cost(smooth, far, c), 2 * far.abs(), rtol=1e-5, atol=0)
    between = torch.tensor(0.75, dtype=torch.float64)  # √(9/16 + 4/16) = √13 / 4
    assert float(cost(huber, between, c)) == pytest.approx(math.sqrt(13) / 4 - 0.5)
    assert torch.equal(cost(ObjectiveSpec(), far, None), far**2)


def test_a_masked_row_is_the_mean_over_its_mask_however_small_that_is() -> None:
    costs = drawn(2).double().square()
    masks = torch.zeros(len(costs), 1, 8, 8)
    masks[:, :, :2, :3] = 1
    ours = row_means(costs, masks, ObjectiveSpec())
    torch.testing.assert_close(ours, costs[:, :, :2, :3].mean((1, 2, 3)))
    weights = torch.full((8, 8), 0.25, dtype=torch.float64)
    weights[:2, :3] = 1
    ours = row_means(costs, masks, ObjectiveSpec(unmasked_weight=0.25))
    torch.testing.assert_close(ours, (costs * weights).sum((1, 2, 3)) / (4 * weights.sum()))
    assert torch.equal(row_means(costs, None, ObjectiveSpec()), costs.mean((1, 2, 3)))
    assert row_means(costs, 0 * masks, ObjectiveSpec()).abs().max() == 0


def test_the_plain_loss_is_the_mean_squared_error_of_each_trials_rows(process: Diffusion) -> None:
    asked, predicted = batch(), drawn(3)
    objective = TrainingLoss.of(ObjectiveSpec(), process)
    torch.testing.assert_close(objective.losses(predicted, asked, 1)[0], F.mse_loss(predicted, asked.noise))
    for i, loss in enumerate(objective.losses(predicted, asked, 3)):
        own = slice(2 * i, 2 * i + 2)
        torch.testing.assert_close(loss, F.mse_loss(predicted[own], asked.noise[own]))


def test_a_weighted_loss_is_that_of_the_training_scripts(process: Diffusion) -> None:
    asked, predicted = batch(), drawn(3)
    weights = snr_weights(2.0, process, TIMESTEPS)
    expected = (F.mse_loss(predicted, asked.noise, reduction="none").mean(dim=[1, 2, 3]) * weights).mean()
    objective = TrainingLoss.of(ObjectiveSpec(snr_gamma=2.0), process)
    torch.testing.assert_close(objective.losses(predicted, asked, 1)[0], expected)


def test_prior_preservation_is_the_sum_of_two_means(process: Diffusion) -> None:
    asked, predicted = batch(), drawn(3)
    objective = TrainingLoss.of(ObjectiveSpec(prior_weight=0.7), process, has_regularization=True)
    own, prior = F.mse_loss(predicted[:3], asked.noise[:3]), F.mse_loss(predicted[3:], asked.noise[3:])
    torch.testing.assert_close(objective.losses(predicted, asked, 1)[0], own + 0.7 * prior)
    assert not TrainingLoss.of(ObjectiveSpec(prior_weight=0), process, has_regularization=True).prior


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_the_loss_is_taken_in_float32_whatever_the_base_computes_in(dtype: torch.dtype, process: Diffusion) -> None:
    predicted = torch.full(SHAPE, 300.0, dtype=dtype)  # its square is no fp16 number
    objective, asked = TrainingLoss.of(ObjectiveSpec(), process), batch(noise=torch.zeros(SHAPE))
    loss = objective.losses(predicted, asked, 1)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(300.0**2, rel=0.01)
    assert objective.losses(predicted.double(), asked, 1).dtype == torch.float64


def test_perturbed_noise_is_in_the_input_and_not_in_the_target(process: Diffusion) -> None:
    asked = batch(perturbed=drawn(1) + 0.1 * drawn(2))
    objective = TrainingLoss.of(ObjectiveSpec(input_perturbation=0.1), process)
    alpha = process.alphas_cumprod[TIMESTEPS].view(-1, 1, 1, 1)
    expected = alpha.sqrt() * asked.latents + (1 - alpha).sqrt() * (drawn(1) + 0.1 * drawn(2))
    torch.testing.assert_close(objective.noisy(asked), expected)
    assert objective.losses(asked.noise, asked, 1).item() == 0


def test_zero_terminal_snr_is_diffusers_schedule(scheduler: DDPMScheduler) -> None:
    theirs = DDPMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule=scheduler.config.beta_schedule,
        rescale_betas_zero_snr=True,
    ).alphas_cumprod
    objective = TrainingLoss.of(
        ObjectiveSpec(zero_terminal_snr=True), Diffusion(scheduler.alphas_cumprod, "v_prediction")
    )
    alphas = objective.process.alphas_cumprod
    assert alphas is not None and alphas[-1] == 0 and alphas.dtype == torch.float32
    torch.testing.assert_close(alphas[:-1], theirs[:-1], rtol=1e-3, atol=1e-6)
    last = batch(timesteps=torch.full((6,), 999))
    assert torch.equal(objective.noisy(last), last.noise)
    assert objective.losses(-last.latents, last, 1).item() == 0


def test_options_that_a_base_cannot_have_are_refused_in_one_line(process: Diffusion) -> None:
    with pytest.raises(ConfigError, match="objective.zero_terminal_snr needs a base that predicts v, this one p"):
        TrainingLoss.of(ObjectiveSpec(zero_terminal_snr=True), process)
    with pytest.raises(ConfigError, match="this one predicts flow"):
        TrainingLoss.of(ObjectiveSpec(zero_terminal_snr=True), Flow())
    for fields, name in (({"snr_gamma": 5.0}, "snr_gamma"), ({"debiased": True}, "debiased")):
        with pytest.raises(ConfigError, match=f"objective.{name} is for bases that predict epsilon or v"):
            TrainingLoss.of(ObjectiveSpec(**fields), Flow())  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="both weigh timesteps by their noise, got both; set snr_gamma=null or"):
        parse(ObjectiveSpec, {"snr_gamma": 5.0, "debiased": True})


def test_a_trial_may_move_the_times_of_a_flow_and_else_has_the_bases() -> None:
    assert TrainingLoss.of(ObjectiveSpec(), Flow(shift=3.0)).process == Flow(shift=3.0)
    spec = ObjectiveSpec(flow_shift=1.5, flow_density="uniform", flow_logit_mean=0.5, flow_logit_std=0.8)
    expected = Flow(shift=1.5, density="uniform", logit_mean=0.5, logit_std=0.8)
    assert TrainingLoss.of(spec, Flow(shift=3.0)).process == expected
