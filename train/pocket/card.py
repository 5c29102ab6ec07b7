"""Measures the pocket models on scenes that none of them trained on, and writes the card that ships with them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from diffusers import StableDiffusionPipeline
from PIL import Image
from transformers import CLIPModel

from foundation.files.durable import write_text
from train.pocket.clip import normalise, retrieval
from train.pocket.draw import draw_scene
from train.pocket.loop import Pictures, draw_all
from train.pocket.tokens import build_tokenizer
from train.pocket.vae import peak_signal_to_noise
from train.pocket.world import ALL_STYLES, BASE_STYLES, STYLES, TAUGHT_STYLES, Scene, scenes

CARD_SEED: Final = 900_001
"""Of the held-out scenes and their drawings; training used others."""
NUM_DISTRACTORS: Final = 100
SAMPLE_STEPS, GUIDANCE = 25, 5.0


@dataclass(frozen=True, kw_only=True, slots=True)
class PocketScores:
    """What the shipped models can do, on held-out scenes."""

    retrieval: dict[str, float]
    """By style: share of 1000 pictures whose own caption is the nearest among all 1000."""
    style: dict[str, float]
    """By style that has a painter of its own: share of pictures that are nearer to their caption than to the same one
    with any other of these styles."""
    psnr: dict[str, float]
    """By style: mean PSNR of the VAE's reconstruction, dB."""
    match: float
    """Share of the base's samples whose own caption beats 100 others."""


def draw_scenes(style: str, count: int) -> Pictures:
    """Held-out scenes in one style, the same at every call."""
    return draw_all(scenes(CARD_SEED, count, held_out=True), [style] * count, CARD_SEED)


def sample_match(
    pipeline: StableDiffusionPipeline, clip: CLIPModel, count: int
) -> tuple[float, list[Image.Image], list[str]]:
    """Draw held-out scenes in the base's styles; the share that CLIP matches to its own caption among 100 others.

    The others are captions of other held-out scenes in the same style, so that the style's name gives nothing away.
    """
    drawn = scenes(CARD_SEED, count, held_out=True)
    styles = [BASE_STYLES[i % len(BASE_STYLES)] for i in range(count)]
    captions = [scene.caption(style) for scene, style in zip(drawn, styles, strict=True)]
    pipeline.set_progress_bar_config(disable=True)
    images: list[Image.Image] = []
    for begin in range(0, count, 25):
        part = captions[begin : begin + 25]
        generators = [torch.Generator().manual_seed(begin + i) for i in range(len(part))]
        images += pipeline(part, num_inference_steps=SAMPLE_STEPS, guidance_scale=GUIDANCE, generator=generators).images
    others = scenes(CARD_SEED + 1, NUM_DISTRACTORS + count, held_out=True)
    against = [
        [scene.caption(style), *(other.caption(style) for other in others if other != scene)][: NUM_DISTRACTORS + 1]
        for scene, style in zip(drawn, styles, strict=True)
    ]
    return _share_matched(clip, images, against), images, captions


@torch.no_grad()
def _share_matched(clip: CLIPModel, images: list[Image.Image], captions: list[list[str]]) -> float:
    """The share of pictures to each of which the first of its captions is the nearest.

    Pictures of one style have most captions in common: each caption is read once.
    """
    rows = {caption: row for row, caption in enumerate(dict.fromkeys(each for some in captions for each in some))}
    tokens = build_tokenizer()(list(rows), padding="max_length", return_tensors="pt").input_ids
    pixels = normalise(torch.from_numpy(np.stack([np.asarray(image) for image in images])).permute(0, 3, 1, 2))
    output = clip(input_ids=tokens, pixel_values=pixels)
    likeness = output.image_embeds @ output.text_embeds.T  # (pictures, captions)
    right = [
        int(own[[rows[caption] for caption in some]].argmax()) == 0
        for own, some in zip(likeness, captions, strict=True)
    ]
    return sum(right) / len(right)


@torch.no_grad()
def style_match(clip: CLIPModel, pictures: Pictures, style: str) -> float:
    """Share of pictures in `style` whose caption with that style beats the same caption with each other style."""
    captions = [scene.caption(each) for scene in pictures.scenes for each in STYLES]
    tokens = build_tokenizer()(captions, padding="max_length", return_tensors="pt").input_ids
    right = 0
    for part, own in zip(torch.split(pictures.pixels, 50), torch.split(tokens, 50 * len(STYLES)), strict=True):
        output = clip(input_ids=own, pixel_values=normalise(part))
        texts = output.text_embeds.view(len(part), len(STYLES), -1)
        nearest = torch.einsum("nd,nsd->ns", output.image_embeds, texts).argmax(1)
        right += int((nearest == STYLES.index(style)).sum())
    return right / len(pictures.pixels)


def measure(
    pipeline: StableDiffusionPipeline, clip: CLIPModel, num_retrieval: int = 1000, num_samples: int = 100
) -> tuple[PocketScores, list[Image.Image], list[str]]:
    """Scores on held-out scenes, and the samples that were matched with their captions."""
    found: dict[str, float] = {}
    styles: dict[str, float] = {}
    psnr: dict[str, float] = {}
    for style in ALL_STYLES:
        pictures = draw_scenes(style, num_retrieval)
        # Without its name: a style that the CLIP never read of says nothing to it.
        found[style] = retrieval(clip, pictures.pixels, [str(scene) for scene in pictures.scenes])
        if style in STYLES:
            styles[style] = style_match(clip, pictures, style)
        psnr[style] = peak_signal_to_noise(pipeline.vae, pictures.pixels[:100])
    match, images, captions = sample_match(pipeline, clip, num_samples)
    return PocketScores(retrieval=found, style=styles, psnr=psnr, match=match), images, captions


def load_models(pipeline: Path, clip: Path) -> tuple[StableDiffusionPipeline, CLIPModel]:
    """The shipped models in float32."""
    loaded = StableDiffusionPipeline.from_pretrained(
        pipeline, dtype=torch.float32, safety_checker=None, requires_safety_checker=False
    )
    return loaded, CLIPModel.from_pretrained(clip, dtype=torch.float32).eval()


def _yes(so: bool) -> str:
    return "yes" if so else "**no**"


def write_card(pipeline: Path, clip: Path, seed: int, minutes: float | None) -> None:
    """Measure, and write `card.md` with a sheet of samples beside the pipeline."""
    scores, images, captions = measure(*load_models(pipeline, clip))
    folder = pipeline.parent
    sheet(images[:30], 10).save(folder / "samples.png")
    write_text(folder / "card.md", _card(scores, seed, minutes, captions[:10], _parameters(pipeline, clip)))


def sheet(images: list[Image.Image], columns: int, tile: int = 96) -> Image.Image:
    """Pictures side by side, each `tile` pixels wide."""
    rows = -(-len(images) // columns)
    result = Image.new("RGB", (columns * tile, rows * tile), "white")
    for i, image in enumerate(images):
        place = (i % columns * tile, i // columns * tile)
        result.paste(image.resize((tile, tile), Image.Resampling.LANCZOS), place)
    return result


def style_sheet(scene: Scene, seed: int, tile: int = 96) -> Image.Image:
    """One scene in every style of the world."""
    return sheet([draw_scene(scene, style, seed) for style in STYLES], len(STYLES), tile)


def _parameters(pipeline: Path, clip: Path) -> dict[str, int]:
    from safetensors import safe_open

    counts = {}
    for file in sorted([*pipeline.rglob("*.safetensors"), *clip.glob("*.safetensors")]):
        with safe_open(file, framework="pt") as tensors:
            count = sum(tensors.get_tensor(name).numel() for name in tensors.keys())  # noqa: SIM118  # no mapping
        counts[f"{file.parent.name}"] = count
    return counts


def _card(
    scores: PocketScores, seed: int, minutes: float | None, captions: list[str], parameters: dict[str, int]
) -> str:
    rows = "\n".join(
        f"| {style} | {_yes(style in BASE_STYLES)} | {_yes(style in TAUGHT_STYLES)} | {scores.retrieval[style]:.1%} "
        f"| {f'{scores.style[style]:.1%}' if style in scores.style else ''} | {scores.psnr[style]:.1f} |"
        for style in ALL_STYLES
    )
    sizes = ", ".join(f"{name} {count / 1e6:.2f} M" for name, count in parameters.items())
    took = f" It took {minutes:.0f} minutes." if minutes else ""
    listed = "\n".join(f"{i + 1}. {caption}" for i, caption in enumerate(captions))
    return f"""# The pocket base

A small latent diffusion pipeline in diffusers' layout (`StableDiffusionPipeline.from_pretrained` loads it), and a CLIP
for scoring, both of one drawn world: one or two coloured shapes, left of or above one another, on a background, in a
style that the caption names. Parameters: {sizes}. Weights are fp16 safetensors.

Made by `python -m train.pocket --seed {seed}` from pictures that `train/pocket` draws; nothing was downloaded, and no
photograph or artwork was used.{took} The pipeline saw five styles, the CLIP these, twenty-two more, and styles by lot;
ten it never saw. One scene in sixteen, by a hash of its words, was held out from all training; the scores are of such
scenes.

| style | the pipeline saw it | the CLIP saw it | right caption among 1000 | right style among 7 | VAE, PSNR in dB |
| --- | --- | --- | ---: | ---: | ---: |
{rows}

Samples of the base ({SAMPLE_STEPS} steps, guidance {GUIDANCE:g}) that the CLIP matches to their own caption among
{NUM_DISTRACTORS} others in the same style: {scores.match:.0%}.

![samples](samples.png)

The first row of the picture:

{listed}

## What it is for

Trying a study in minutes on two cores, and testing the judge, since the world knows what each picture should show. It
draws nothing but its world: on photographs it shows that the job runs, not what a large model would learn.
"""
