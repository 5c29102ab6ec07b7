"""Trains the pocket CLIP: image and text towers of the drawn world, many styles, for scoring only.

Most batches hold one style, and scenes in families that differ in one part each (a colour, a shape, the relation,
the order, the background): without such near misses a small CLIP learns which words occur, not what belongs
to what. The others hold the same scenes in every style: without these it would not see styles at all. Beside the
contrastive loss, linear heads read every part of the scene from the image embedding at first; they are dropped.

The last stage leaves the few styles that have a painter of their own for the whole family by parameters, and for styles
by lot that have no name, so that it reads what is drawn in a style which it never saw.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel

from foundation.bases.saving import load_unless_told
from train.pocket import world
from train.pocket.loop import EMA, Pictures, draw_all, in_stages, train_loop
from train.pocket.recipes import Recipe, recipe_by_lot
from train.pocket.tokens import MAX_TOKENS, build_tokenizer
from train.pocket.world import (
    BACKGROUNDS,
    COLOURS,
    PART_SIZES,
    RELATIONS,
    SHAPES,
    STYLES,
    TAUGHT_STYLES,
    Scene,
    Thing,
    is_held_out,
    parts_of,
    random_scene,
)

FAMILIES, FAMILY_SIZE = 28, 4


@dataclass(frozen=True, kw_only=True, slots=True)
class ClipStage:
    """One stretch of the training, on drawings of its own."""

    name: str
    steps: int
    lr: float
    read_weight: float
    """Of the heads that read every part of the scene."""
    style_share: float = 0.0
    """Of batches that hold the same scenes in several styles."""
    unnamed_share: float = 0.0
    """Of batches whose families have styles by lot."""
    styles: tuple[str, ...] = STYLES


CLIP_STAGES: Final = (
    ClipStage(name="clip", steps=2600, lr=1e-3, read_weight=0.1),
    ClipStage(name="clip, new drawings", steps=500, lr=4e-4, read_weight=0.0),
    ClipStage(name="clip, styles", steps=1000, lr=5e-4, read_weight=0.0, style_share=0.35),
    ClipStage(
        name="clip, family of styles",
        steps=2000,
        lr=6e-4,
        read_weight=0.03,
        style_share=0.25,
        unnamed_share=0.25,
        styles=TAUGHT_STYLES,
    ),
)
POOL_FAMILIES: Final = 16_800
"""Of named styles, in equal shares."""
UNNAMED_FAMILIES: Final = 4200
STYLE_PICTURES, STYLE_BATCH, STYLES_AT_ONCE = 14_000, 16, 7
MEAN, STD = [0.5, 0.5, 0.5], [0.27, 0.27, 0.27]


def build_clip() -> CLIPModel:
    """An untrained CLIP of 1.5 M parameters: 64 patches of 8×8 pixels, embeddings of 128."""
    tower = {"hidden_size": 128, "intermediate_size": 384, "num_attention_heads": 4, "hidden_act": "gelu"}
    tokenizer = build_tokenizer()
    marks = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    text = {
        **tower,
        **marks,
        "vocab_size": len(tokenizer),
        "num_hidden_layers": 3,
        "max_position_embeddings": MAX_TOKENS,
        "pad_token_id": tokenizer.pad_token_id,
    }
    vision = {**tower, "image_size": 64, "patch_size": 8, "num_hidden_layers": 5}
    return CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=128))


def train_clip(folder: Path, state_path: Path, seed: int) -> CLIPModel:
    """Train and save model, tokenizer and image processor to `folder`."""
    torch.manual_seed(seed)
    clip = build_clip()
    in_stages(clip, CLIP_STAGES, lambda stage, number: _train_stage(clip, stage, state_path, seed + number), state_path)
    clip.eval().to(torch.float16).save_pretrained(folder)
    load_unless_told(folder / "config.json")
    build_tokenizer().save_pretrained(folder)
    image_processor().save_pretrained(folder)
    return clip.float()


def _train_stage(clip: CLIPModel, stage: ClipStage, state_path: Path, seed: int) -> None:
    tokenizer, pool = build_tokenizer(), _pool(stage, seed)
    tokens = tokenizer(pool.captions, padding="max_length", return_tensors="pt").input_ids
    tokens = tokens[:, : int((tokens != tokenizer.pad_token_id).sum(1).max()) + 1]
    parts = torch.tensor([parts_of(scene) for scene in pool.scenes])
    heads = nn.ModuleList(nn.Linear(128, size) for size in PART_SIZES)
    ema = EMA([*clip.parameters()])

    def step(generator: torch.Generator) -> tuple[Tensor, str]:
        chosen = _batch(stage, generator)
        output = clip(input_ids=tokens[chosen], pixel_values=normalise(pool.pixels[chosen], generator))
        logits = output.logits_per_image
        target = torch.arange(len(chosen))
        contrast = 0.5 * (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target))
        read = sum(
            F.cross_entropy(head(12 * embeds), parts[chosen, i])
            for i, head in enumerate(heads)
            for embeds in (output.image_embeds, output.text_embeds)
        )
        right = (logits.argmax(1) == target).float().mean().item()
        return contrast + stage.read_weight * read, f"right in batch {right:.2f}"

    train_loop(
        stage.name,
        {"clip": clip, "heads": heads},
        step,
        num_steps=stage.steps,
        lr=stage.lr,
        weight_decay=0.02,
        state_path=state_path,
        seed=seed,
        ema=ema,
    )
    ema.apply()


def _batch(stage: ClipStage, generator: torch.Generator) -> Tensor:
    """Places in the pool: families of one style, scenes in several styles, or families of styles by lot."""
    lot, num_styles = float(torch.rand((), generator=generator)), len(stage.styles)
    each = POOL_FAMILIES // num_styles
    if lot < stage.style_share:
        scene = torch.randperm(STYLE_PICTURES // num_styles, generator=generator)[:STYLE_BATCH]
        style = torch.randperm(num_styles, generator=generator)[:STYLES_AT_ONCE].sort().values
        return (each * num_styles * FAMILY_SIZE + scene[:, None] * num_styles + style).flatten()
    if lot < stage.style_share + stage.unnamed_share:
        first = each * num_styles * FAMILY_SIZE + STYLE_PICTURES // num_styles * num_styles
        family = torch.randperm(UNNAMED_FAMILIES, generator=generator)[:FAMILIES]
        return (first + family[:, None] * FAMILY_SIZE + torch.arange(FAMILY_SIZE)).flatten()
    style = torch.randint(num_styles, (1,), generator=generator)
    family = torch.randperm(each, generator=generator)[:FAMILIES] + int(style) * each
    return (family[:, None] * FAMILY_SIZE + torch.arange(FAMILY_SIZE)).flatten()


def image_processor() -> CLIPImageProcessor:
    """64×64, bicubic, normalised as in training."""
    return CLIPImageProcessor(
        size={"shortest_edge": 64}, crop_size={"height": 64, "width": 64}, image_mean=MEAN, image_std=STD
    )


def normalise(pixels: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """uint8 (B, 3, 64, 64) to the model's input; with a generator, shifted by up to 2 pixels and re-lit a little."""
    images = pixels.float() / 255
    if generator is not None:
        dy, dx = torch.randint(-2, 3, (2,), generator=generator).tolist()
        images = F.pad(images, (2, 2, 2, 2), mode="replicate")[..., 2 + dy : 66 + dy, 2 + dx : 66 + dx]
        gain = 1 + 0.08 * torch.randn(len(images), 1, 1, 1, generator=generator)
        images = images * gain + 0.02 * torch.randn(len(images), 3, 1, 1, generator=generator)
        images = images + 0.02 * torch.randn(images.shape, generator=generator)
    return (images - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]


def _pool(stage: ClipStage, seed: int) -> Pictures:
    """Families style by style, then scenes that are drawn in every style, then families of styles by lot."""
    rng = np.random.default_rng(seed)
    scenes: list[Scene] = []
    styles: list[str | Recipe] = []
    for style in stage.styles:
        for _ in range(POOL_FAMILIES // len(stage.styles)):
            scenes += _family(rng)
            styles += [style] * FAMILY_SIZE
    if stage.style_share:
        for scene in world.scenes(seed, STYLE_PICTURES // len(stage.styles), held_out=False):
            scenes += [scene] * len(stage.styles)
            styles += stage.styles
    if stage.unnamed_share:
        for _ in range(UNNAMED_FAMILIES):
            scenes += _family(rng)
            styles += [recipe_by_lot(rng)] * FAMILY_SIZE
    return draw_all(scenes, styles, seed)


def _family(rng: np.random.Generator) -> list[Scene]:
    """Scenes that differ from the first in one part; none held out, none twice."""
    first = random_scene(rng, single_share=0.2)
    while is_held_out(first):
        first = random_scene(rng, single_share=0.2)
    family = [first]
    while len(family) < FAMILY_SIZE:
        near = _near_miss(first, rng)
        if near not in family and near.first != near.second and not is_held_out(near):
            family.append(near)
    return family


def _near_miss(scene: Scene, rng: np.random.Generator) -> Scene:
    kind = int(rng.integers(9 if scene.second else 3))
    first, second = scene.first, scene.second
    if kind == 0:
        return replace(scene, background=str(rng.choice(tuple(BACKGROUNDS))))
    if kind == 1:
        return replace(scene, first=replace(first, colour=str(rng.choice(COLOURS))))
    if kind == 2 or second is None:
        return replace(scene, first=replace(first, shape=str(rng.choice(SHAPES))))
    if kind == 3:
        return replace(scene, first=second, second=first)
    if kind == 4:
        return replace(scene, relation=RELATIONS[1 - RELATIONS.index(scene.relation or RELATIONS[0])])
    if kind == 5:
        return replace(scene, first=Thing(second.colour, first.shape), second=Thing(first.colour, second.shape))
    if kind == 6:
        return replace(scene, first=Thing(first.colour, second.shape), second=Thing(second.colour, first.shape))
    if kind == 7:
        return replace(scene, second=replace(second, shape=str(rng.choice(SHAPES))))
    return replace(scene, second=Thing(str(rng.choice(COLOURS)), str(rng.choice(SHAPES))))


@torch.no_grad()
def retrieval(clip: CLIPModel, pixels: Tensor, captions: list[str]) -> float:
    """Share of pictures (N, 3, 64, 64) whose own caption is the nearest among all N captions."""
    tokens = build_tokenizer()(captions, padding="max_length", return_tensors="pt").input_ids
    images = torch.cat(
        [clip(input_ids=tokens[:1], pixel_values=normalise(p)).image_embeds for p in torch.split(pixels, 100)]
    )
    texts = clip(input_ids=tokens, pixel_values=normalise(pixels[:1])).text_embeds
    return float(((images @ texts.T).argmax(1) == torch.arange(len(pixels))).float().mean())
