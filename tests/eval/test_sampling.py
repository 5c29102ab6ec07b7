"""Pictures come in order and do not depend on the batch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline
from PIL import Image

from eval.sampling import sample, sample_each
from eval.spec import Drawing
from foundation.bases.registry import load_plain
from foundation.bases.spec import BaseSpec

PROMPTS = ["a red cup", "an orange star on grass", "sea"]


@pytest.fixture(scope="module")
def pipe(pipeline_folder: Path) -> StableDiffusionPipeline:
    return load_plain(BaseSpec(name="tiny", path=str(pipeline_folder), resolution=16))


def pixels(images: list[Image.Image]) -> np.ndarray:
    return np.stack([np.asarray(image, dtype=np.int16) for image in images])


def draw(pipe: StableDiffusionPipeline, prompts: list[str], seeds: list[int], rows: int = 64, guidance: float = 4.0):
    return pixels(sample(pipe, prompts, seeds, Drawing(steps=2, guidance_scale=guidance, batch_rows=rows)))


def test_pictures_are_the_pipelines_own_prompt_by_prompt(pipe: StableDiffusionPipeline) -> None:
    images = draw(pipe, PROMPTS, [5, 9])
    assert images.shape == (6, 16, 16, 3)
    for number, (prompt, seed) in enumerate((prompt, seed) for prompt in PROMPTS for seed in (5, 9)):
        generator = torch.Generator().manual_seed(seed)
        own = pipe(prompt, generator=generator, num_inference_steps=2, guidance_scale=4.0).images
        assert np.abs(images[number] - pixels(own)[0]).max() <= 1


@pytest.mark.parametrize("rows", [1, 4, 7])
def test_pictures_do_not_depend_on_the_batch(pipe: StableDiffusionPipeline, rows: int) -> None:
    assert np.abs(draw(pipe, PROMPTS, [5, 9], rows) - draw(pipe, PROMPTS, [5, 9])).max() <= 1


def test_pictures_differ_by_seed_and_prompt(pipe: StableDiffusionPipeline) -> None:
    images = draw(pipe, PROMPTS[:2], [0, 1])
    for a, b in ((0, 1), (0, 2), (2, 3)):
        assert not np.array_equal(images[a], images[b])


def test_rows_bound_what_the_denoiser_sees(pipe: StableDiffusionPipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    forward = pipe.unet.forward
    monkeypatch.setattr(pipe.unet, "forward", lambda x, *a, **k: seen.append(len(x)) or forward(x, *a, **k))
    draw(pipe, PROMPTS, [0, 1], rows=5)
    assert max(seen) == 4
    seen.clear()
    draw(pipe, PROMPTS, [0, 1], rows=5, guidance=1.0)
    assert max(seen) == 5


def test_sampling_leaves_no_gradients_and_shows_no_bar(
    pipe: StableDiffusionPipeline, capfd: pytest.CaptureFixture[str]
) -> None:
    with torch.enable_grad():
        draw(pipe, PROMPTS[:1], [0])
    assert all(parameter.grad is None for parameter in pipe.unet.parameters())
    captured = capfd.readouterr()
    assert captured.out == captured.err == ""


def test_no_prompts_no_pictures(pipe: StableDiffusionPipeline) -> None:
    assert sample(pipe, [], [0, 1], Drawing(steps=2, guidance_scale=4.0, batch_rows=8)) == []


@pytest.mark.parametrize("rows", [4, 64])
def test_each_copy_has_the_pictures_of_its_own_share_of_the_rows(
    pipe: StableDiffusionPipeline, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    forward = pipe.unet.forward

    def shifted(x: torch.Tensor, *rest: object, **more: object) -> tuple[torch.Tensor]:
        halves = [torch.full((len(x) // 2, 1, 1, 1), shift) for shift in (0.0, 0.3)]
        return (forward(x, *rest, **more)[0] + torch.cat(halves),)

    def shifted_all(x: torch.Tensor, *rest: object, **more: object) -> tuple[torch.Tensor]:
        return (forward(x, *rest, **more)[0] + 0.3,)

    first = draw(pipe, PROMPTS, [5, 9])
    monkeypatch.setattr(pipe.unet, "forward", shifted_all)
    second = draw(pipe, PROMPTS, [5, 9])
    monkeypatch.setattr(pipe.unet, "forward", shifted)
    pairs = [(prompt, seed) for prompt in PROMPTS for seed in (5, 9)]
    both = sample_each(pipe, pairs, Drawing(steps=2, guidance_scale=4.0, batch_rows=rows), copies=2)
    assert np.abs(pixels(both[0]) - first).max() <= 1
    assert np.abs(pixels(both[1]) - second).max() <= 1
    assert np.abs(first - second).max() > 8


@torch.no_grad()
def by_hand(pipe: StableDiffusionPipeline, prompt: str, seed: int, steps: int, every: int) -> np.ndarray:
    """One picture, the unconditional answer asked for in every so many steps."""
    text, away = pipe.encode_prompt(prompt, torch.device("cpu"), 1, True)
    latents = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(seed))
    pipe.scheduler.set_timesteps(steps)
    latents, difference = latents * pipe.scheduler.init_noise_sigma, torch.zeros(0)
    for number, time in enumerate(pipe.scheduler.timesteps):
        conditional = pipe.unet(latents, time, text).sample
        if number % every == 0:
            difference = conditional - pipe.unet(latents, time, away).sample
        latents = pipe.scheduler.step(conditional + 3.0 * difference, time, latents).prev_sample
    drawn = pipe.vae.decode(latents / pipe.vae.config.scaling_factor).sample
    return pixels(pipe.image_processor.postprocess(drawn))[0]


@pytest.mark.parametrize("every", [1, 2, 3])
def test_between_guided_steps_the_last_difference_is_added_again(pipe: StableDiffusionPipeline, every: int) -> None:
    pairs = [("a red cup", 5), ("sea", 9), ("sea", 5)]
    drawing = Drawing(steps=5, guidance_scale=4.0, batch_rows=8, guidance_every=every)
    (images,) = sample_each(pipe, pairs, drawing, copies=1)
    for image, (prompt, seed) in zip(images, pairs, strict=True):
        assert np.abs(pixels([image])[0] - by_hand(pipe, prompt, seed, 5, every)).max() <= 1


def test_no_row_is_computed_without_need(pipe: StableDiffusionPipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    forward = pipe.unet.forward
    monkeypatch.setattr(pipe.unet, "forward", lambda x, *a, **k: seen.append(len(x)) or forward(x, *a, **k))
    pairs = [(prompt, seed) for prompt in PROMPTS for seed in (5, 9)]
    sample_each(pipe, pairs, Drawing(steps=4, guidance_scale=4.0, batch_rows=24, guidance_every=2), copies=2)
    assert seen == [2 * (2 + 6), 2 * 6, 2 * (6 + 6), 2 * 6]  # first one unconditional row a seed
    assert not pipe.unet._forward_hooks and not pipe.unet._forward_pre_hooks
