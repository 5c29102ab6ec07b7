"""The shipped pocket models hold their bars on scenes that none of them trained on, and are what they claim to be."""

from __future__ import annotations

from pathlib import Path

import pytest
from diffusers import StableDiffusionPipeline
from safetensors import safe_open
from transformers import CLIPModel

from train.pocket.card import draw_scenes, load_models, sample_match, style_match
from train.pocket.clip import retrieval
from train.pocket.tokens import build_tokenizer
from train.pocket.unet import build_unet
from train.pocket.vae import peak_signal_to_noise
from train.pocket.world import is_held_out, scenes

ROOT = Path(__file__).parents[2]
PIPELINE = ROOT / "train/pocket/weights/pipeline"
CLIP = ROOT / "eval/pocket_clip"


@pytest.fixture(scope="module")
def models() -> tuple[StableDiffusionPipeline, CLIPModel]:
    return load_models(PIPELINE, CLIP)


@pytest.mark.parametrize(("style", "bar"), [("photo", 0.9), ("pencil", 0.8)])
def test_clip_finds_the_right_caption_among_those_of_1000_scenes(
    style: str, bar: float, models: tuple[StableDiffusionPipeline, CLIPModel]
) -> None:
    pictures = draw_scenes(style, 1000)
    assert len(set(pictures.captions)) == 1000
    assert retrieval(models[1], pictures.pixels, pictures.captions) >= bar


@pytest.mark.parametrize(("style", "bar"), [("photo", 0.8), ("pencil", 0.9), ("chalk", 0.9)])
def test_clip_tells_a_style_to_learn_from_all_others(
    style: str, bar: float, models: tuple[StableDiffusionPipeline, CLIPModel]
) -> None:
    assert style_match(models[1], draw_scenes(style, 100), style) >= bar


@pytest.mark.parametrize(("style", "bar"), [("photo", 30.0), ("pencil", 22.0)])
def test_vae_keeps_pictures_in_decibels(
    style: str, bar: float, models: tuple[StableDiffusionPipeline, CLIPModel]
) -> None:
    assert peak_signal_to_noise(models[0].vae, draw_scenes(style, 100).pixels) >= bar


def test_base_draws_what_is_asked_for(models: tuple[StableDiffusionPipeline, CLIPModel]) -> None:
    match, _, captions = sample_match(*models, count=60)
    assert len(set(captions)) == 60
    assert match >= 0.85


def test_held_out_scenes_are_all_that_is_measured_on() -> None:
    assert all(is_held_out(scene) for scene in scenes(900_001, 50, held_out=True))
    assert not any(is_held_out(scene) for scene in scenes(20, 50, held_out=False))


def test_weights_are_half_precision_safetensors_of_at_most_12_mb() -> None:
    files = [path for folder in (PIPELINE, CLIP) for path in folder.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 12e6
    weights = [path for path in files if path.suffix == ".safetensors"]
    assert len(weights) == 4
    assert not [path for path in files if path.suffix in {".bin", ".pt", ".ckpt", ".pkl"}]
    for path in weights:
        with safe_open(path, framework="pt") as tensors:
            kinds = {tensors.get_slice(name).get_dtype() for name in tensors.keys()}  # noqa: SIM118  # no mapping
        assert kinds <= {"F16", "I64"}, path


def test_card_says_how_it_was_made_and_what_it_scores() -> None:
    card = (PIPELINE.parent / "card.md").read_text()
    for word in ("python -m train.pocket", "held out", "PSNR", "| photo |", "| pencil |"):
        assert word in card
    assert (PIPELINE.parent / "samples.png").is_file()


def test_shipped_tokenizer_and_unet_are_what_the_code_builds(
    models: tuple[StableDiffusionPipeline, CLIPModel],
) -> None:
    caption = "a red cup left of an orange star on grass, in pencil style"
    built = build_tokenizer()(caption).input_ids
    assert models[0].tokenizer(caption).input_ids == built
    assert len(built) == 16  # a token a word, the comma, and the two marks
    shipped = {name: p.shape for name, p in models[0].unet.named_parameters()}
    assert shipped == {name: p.shape for name, p in build_unet().named_parameters()}
