"""The canonical validation loss: closed forms, diffusers' own noising, and independence of batch and order."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from diffusers import DDPMScheduler, FlowMatchEulerDiscreteScheduler
from torch import Tensor

from eval.spec import Strata
from eval.validation import ValidationSet, validation_losses, validation_losses_each
from foundation.bases.noising import Diffusion, Discrete, Flow, NoiseProcess

ALL = Strata(span=(0.0, 1.0), bins=4, noises_per_bin=2, seed=0)


def validation(**changes: Any) -> ValidationSet:
    generator = torch.Generator().manual_seed(0)
    values: dict[str, Any] = {
        "latents": torch.randn(3, 2, 4, 4, generator=generator),
        "embeddings": torch.randn(3, 5, 6, generator=generator),
        "ids": ["a", "b", "c"],
        "process": Diffusion(DDPMScheduler(num_train_timesteps=100).alphas_cumprod),
        "strata": ALL,
    }
    return ValidationSet(**values | changes)


def denoise(noisy: Tensor, timesteps: Tensor, embeddings: Tensor) -> Tensor:
    return noisy * (timesteps.view(-1, 1, 1, 1) / 100) + embeddings.mean((1, 2)).view(-1, 1, 1, 1)


def test_timesteps_are_the_middles_of_equal_strata() -> None:
    assert validation().timesteps.tolist() == [6, 18, 31, 43, 56, 68, 81, 93]


def test_a_span_is_the_middle_of_what_more_strata_would_ask() -> None:
    middle = replace(ALL, span=(0.25, 0.75), bins=2)
    assert validation(strata=middle).timesteps.tolist() == [31, 43, 56, 68]
    flow = validation(process=Flow(), strata=middle)
    assert flow.timesteps.tolist() == [312.5, 437.5, 562.5, 687.5]
    with pytest.raises(ValueError, match="must be ≤ 50 timesteps, got 26 · 2"):
        validation(strata=replace(middle, bins=26))


def test_losses_equal_a_naive_loop_with_diffusers_noising() -> None:
    kinds: tuple[Discrete, ...] = ("epsilon", "v_prediction")
    for kind in kinds:
        scheduler = DDPMScheduler(num_train_timesteps=100, prediction_type=kind)
        data = validation(process=Diffusion(scheduler.alphas_cumprod, kind))
        expected = torch.zeros(3, 4, dtype=torch.float64)
        for image in range(3):
            for number, (noise, t) in enumerate(zip(data.noise(image), data.timesteps, strict=True)):
                clean, noise, t = data.latents[image : image + 1], noise[None], t[None]
                noisy = scheduler.add_noise(clean, noise, t)
                target = noise if kind == "epsilon" else scheduler.get_velocity(clean, noise, t)
                error = (denoise(noisy, t, data.embeddings[image : image + 1]) - target).square().mean()
                expected[image, number // 2] += error.double() / 2
        assert torch.allclose(validation_losses(data, denoise, max_rows=7), expected, atol=1e-6)


def test_a_flow_is_asked_at_the_middles_of_equal_strata_of_sigma() -> None:
    scheduler = FlowMatchEulerDiscreteScheduler()
    data = validation(process=Flow())
    assert data.timesteps.tolist() == [62.5, 187.5, 312.5, 437.5, 562.5, 687.5, 812.5, 937.5]
    scheduler.set_timesteps(sigmas=(data.timesteps / 1000).flip(0).tolist())
    expected = torch.zeros(3, 4, dtype=torch.float64)
    for image in range(3):
        for number, (noise, t) in enumerate(zip(data.noise(image), data.timesteps, strict=True)):
            clean, noise, t = data.latents[image : image + 1], noise[None], t[None]
            noisy = scheduler.scale_noise(clean, t, noise)
            error = (denoise(noisy, t, data.embeddings[image : image + 1]) - (noise - clean)).square().mean()
            expected[image, number // 2] += error.double() / 2
    assert torch.allclose(validation_losses(data, denoise, max_rows=7), expected, atol=1e-5)


ALPHAS = DDPMScheduler(num_train_timesteps=100).alphas_cumprod


@pytest.mark.parametrize(
    "process", [Diffusion(ALPHAS), Diffusion(ALPHAS, "v_prediction"), Flow(shift=3.0)], ids=["epsilon", "v", "flow"]
)
def test_a_perfect_denoiser_has_no_loss_and_an_idle_one_that_of_the_target(process: NoiseProcess) -> None:
    data = validation(process=process)
    batch = next(data.batches(100))
    assert validation_losses(data, lambda *_: batch.target, 100).abs().max() == 0
    idle = validation_losses(data, lambda noisy, *_: torch.zeros_like(noisy), 100)
    assert float(idle.mean()) == pytest.approx(float(batch.target.square().mean()), rel=1e-5)


@pytest.mark.parametrize("max_rows", [1, 3, 8, 24, 1000])
def test_losses_do_not_depend_on_the_batch(max_rows: int) -> None:
    data = validation()
    sizes = []

    def counted(noisy: Tensor, timesteps: Tensor, embeddings: Tensor) -> Tensor:
        sizes.append(len(noisy))
        return denoise(noisy, timesteps, embeddings)

    losses = validation_losses(data, counted, max_rows)
    assert torch.allclose(losses, validation_losses(data, denoise, 24), atol=1e-7)
    assert sum(sizes) == 24 and max(sizes) <= max_rows


def test_losses_do_not_depend_on_order_or_company() -> None:
    data = validation()
    order = [2, 0]
    part = replace(
        data, latents=data.latents[order], embeddings=data.embeddings[order], ids=[data.ids[i] for i in order]
    )
    whole = validation_losses(data, denoise, 5)
    assert torch.allclose(validation_losses(part, denoise, 5), whole[order], atol=1e-7)


def test_noise_hangs_on_id_and_seed() -> None:
    data = validation()
    assert torch.equal(data.noise(0), validation().noise(0))
    assert not torch.equal(data.noise(0), data.noise(1))
    assert not torch.equal(data.noise(0), validation(strata=replace(ALL, seed=1)).noise(0))


def test_a_denoiser_in_half_precision_is_measured_in_full() -> None:
    data = validation()
    losses = validation_losses(data, lambda noisy, *_: noisy.bfloat16(), 8)
    assert losses.dtype == torch.float64 and losses.isfinite().all()


def test_nan_predictions_show_in_their_image_only() -> None:
    data = validation()

    def broken(noisy: Tensor, timesteps: Tensor, embeddings: Tensor) -> Tensor:
        return torch.where((embeddings[:, 0, 0] == data.embeddings[1, 0, 0]).view(-1, 1, 1, 1), torch.nan, noisy)

    assert validation_losses(data, broken, 5).isnan().any(1).tolist() == [False, True, False]


def test_what_does_not_fit_together_is_refused() -> None:
    with pytest.raises(ValueError, match="same images, got 3, 3 and 2"):
        validation(ids=["a", "b"])
    with pytest.raises(ValueError, match="≤ 100 timesteps"):
        validation(strata=replace(ALL, bins=60))


@pytest.mark.parametrize("max_rows", [1, 5, 100])
def test_each_copy_is_measured_by_its_own_share_of_the_rows(max_rows: int) -> None:
    def by_copy(noisy: Tensor, timesteps: Tensor, embeddings: Tensor) -> Tensor:
        first, second, third = denoise(noisy, timesteps, embeddings).chunk(3)
        return torch.cat([first, second + 1, third * 0])

    embeddings = validation().embeddings
    losses = validation_losses_each(validation(), by_copy, max_rows, [embeddings, embeddings - 2, embeddings])
    expected = [
        validation_losses(validation(embeddings=own), change, 100)
        for own, change in (
            (embeddings, denoise),
            (embeddings - 2, lambda *rows: denoise(*rows) + 1),
            (embeddings, lambda *rows: denoise(*rows) * 0),
        )
    ]
    torch.testing.assert_close(losses, torch.stack(expected))
