"""Trains the pocket UNet and its text encoder on latents of the base's styles, and assembles the pipeline.

The text encoder learns alone, in two minutes, to read every part of a scene from its caption, and is then frozen: left
to the UNet's loss it learns late which colour belongs to which shape, and the UNet waits for it. The UNet in turn does
not learn from noise alone: since the world knows what it drew, a linear head reads from its features which colour and
which shape belongs where, and is dropped afterwards. Both let a small model draw what a caption says after few steps.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel

from foundation.bases.saving import save_pipeline
from foundation.console import say
from train.pocket.draw import layout
from train.pocket.loop import EMA, Pictures, draw_all, learning_rate_factor, to_unit, train_loop
from train.pocket.tokens import MAX_TOKENS, build_tokenizer
from train.pocket.world import BASE_STYLES, COLOURS, PART_SIZES, SHAPES, is_held_out, parts_of, random_scene, scenes

STEPS, BATCH, LR = 2400, 32, 1.5e-3
POOL: Final = 24_000
CAPTION_DROPOUT = 0.1  # what classifier-free guidance needs (Ho & Salimans 2022)
STYLE_DROPOUT = 0.05  # a caption without its style still means something
SNR_GAMMA = 5.0  # min-SNR weighting (Hang et al. 2023)
WIDTH = 96
LAYOUT_WEIGHT = 0.05
"""Of the head that reads the layout, beside the denoising loss."""
CELLS = 16
WORD_STEPS, WORD_BATCH = 300, 128


def build_unet() -> UNet2DConditionModel:
    """An untrained UNet of 1.8 M parameters over 16×16×4 latents, cross-attention at 16×16 and in the middle."""
    return UNet2DConditionModel(
        sample_size=16,
        in_channels=4,
        out_channels=4,
        layers_per_block=1,
        block_out_channels=(48, 96),
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=WIDTH,
        attention_head_dim=(3, 6),  # diffusers reads this as the number of heads, 16 channels each
        norm_num_groups=16,
    )


def build_text_encoder() -> CLIPTextModel:
    """An untrained CLIP text encoder of 0.3 M parameters."""
    tokenizer = build_tokenizer()
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=WIDTH,
            intermediate_size=3 * WIDTH,
            num_hidden_layers=3,
            num_attention_heads=4,
            max_position_embeddings=MAX_TOKENS,
            hidden_act="gelu",
            projection_dim=WIDTH,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def build_scheduler() -> DDIMScheduler:
    """Stable Diffusion's noise schedule."""
    return DDIMScheduler(
        num_train_timesteps=1000,
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
    )


def train_unet(
    vae: AutoencoderKL,
    folder: Path,
    state_path: Path,
    seed: int,
    num_steps: int = STEPS,
    now_and_then: Callable[[], None] = lambda: None,
) -> None:
    """Train with `vae` for `num_steps` from `seed` (`state_path`, `now_and_then`: `train_loop`), save to `folder`."""
    torch.manual_seed(seed)
    unet = build_unet().to(memory_format=torch.channels_last)
    text_encoder, tokenizer, scheduler = build_text_encoder(), build_tokenizer(), build_scheduler()
    pool = _pool(seed)
    mean, std = encode_all(vae, pool.pixels)
    layouts = _layouts(pool)
    head = nn.Conv2d(96, len(COLOURS) + 1 + len(SHAPES) + 1, 1)
    features: list[Tensor] = []
    hook = unet.up_blocks[0].register_forward_hook(lambda _, __, output: features.append(output))
    captions = [*pool.captions, *(str(scene) for scene in pool.scenes), ""]
    tokens = tokenizer(captions, padding="max_length", return_tensors="pt").input_ids
    snr = scheduler.alphas_cumprod / (1 - scheduler.alphas_cumprod)
    if not state_path.exists():
        teach_words(text_encoder, seed)
    text_encoder.requires_grad_(False).eval()
    ema = EMA(unet.parameters())

    def step(generator: torch.Generator) -> tuple[Tensor, str]:
        chosen = torch.randint(len(mean), (BATCH,), generator=generator)
        caption = _captions_by_lot(chosen, len(mean), generator)
        latents = mean[chosen] + std[chosen] * torch.randn(mean[chosen].shape, generator=generator)
        noise = torch.randn(latents.shape, generator=generator)
        timesteps = torch.randint(1000, (BATCH,), generator=generator)
        noisy = scheduler.add_noise(latents, noise, timesteps)
        with torch.no_grad():
            condition = text_encoder(tokens[caption]).last_hidden_state
        predicted = unet(noisy.to(memory_format=torch.channels_last), timesteps, condition).sample
        error = F.mse_loss(predicted, noise, reduction="none").mean((1, 2, 3))
        weight = snr[timesteps].clamp(max=SNR_GAMMA) / snr[timesteps]
        colours, shapes = head(features.pop()).split([len(COLOURS) + 1, len(SHAPES) + 1], dim=1)
        where = layouts[chosen]
        read = F.cross_entropy(colours, where[:, 0]) + F.cross_entropy(shapes, where[:, 1])
        word = f"mse {error.detach().mean().item():.3f}  layout {read.detach().item():.3f}"
        return (weight * error).mean() + LAYOUT_WEIGHT * read, word

    train_loop(
        "unet",
        {"unet": unet, "text_encoder": text_encoder, "head": head},
        step,
        num_steps=num_steps,
        lr=LR,
        weight_decay=0.01,
        state_path=state_path,
        seed=seed,
        ema=ema,
        now_and_then=now_and_then,
    )
    hook.remove()
    ema.apply()
    pipeline = _assemble(vae, text_encoder, unet, scheduler)
    save_pipeline(pipeline.to(torch.float16), folder)


def _assemble(
    vae: AutoencoderKL, text_encoder: CLIPTextModel, unet: UNet2DConditionModel, scheduler: DDIMScheduler
) -> StableDiffusionPipeline:
    return StableDiffusionPipeline(
        vae=vae,
        text_encoder=text_encoder,
        tokenizer=build_tokenizer(),
        unet=unet.to(memory_format=torch.contiguous_format).eval(),
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def _captions_by_lot(chosen: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Places among `count` whole captions, as many without a style, and the empty one."""
    lot = torch.rand(len(chosen), generator=generator)
    caption = torch.where(lot < CAPTION_DROPOUT + STYLE_DROPOUT, chosen + count, chosen)
    return torch.where(lot < CAPTION_DROPOUT, 2 * count, caption)


def _layouts(pool: Pictures) -> Tensor:
    """(N, 2, CELLS, CELLS) class numbers, see `draw.layout`."""
    places = zip(pool.scenes, pool.seeds, strict=True)
    return torch.from_numpy(np.stack([layout(scene, seed, CELLS) for scene, seed in places]))


def teach_words(text_encoder: CLIPTextModel, seed: int, num_steps: int = WORD_STEPS) -> None:
    """Train the text encoder so that linear heads read all parts of a scene, and its style if any, behind its end.

    Only base styles, and scenes that are not held out, are read.
    """
    tokenizer = build_tokenizer()
    rng = np.random.default_rng(seed)
    heads = nn.ModuleList(nn.Linear(WIDTH, size) for size in (*PART_SIZES, len(BASE_STYLES) + 1))
    parameters = [*text_encoder.parameters(), *heads.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=LR, weight_decay=0.01)
    for index in range(num_steps):
        for group in optimizer.param_groups:
            group["lr"] = LR * learning_rate_factor(index, num_steps)
        drawn = [scene for scene in (random_scene(rng) for _ in range(WORD_BATCH)) if not is_held_out(scene)]
        styles = rng.integers(len(BASE_STYLES) + 1, size=len(drawn)).tolist()
        captions = [scene.caption((*BASE_STYLES, None)[style]) for scene, style in zip(drawn, styles, strict=True)]
        tokens = tokenizer(captions, padding="max_length", return_tensors="pt").input_ids
        # The end mark is also the padding: every place from the first end mark on has read the whole caption.
        ended = (tokens == tokenizer.eos_token_id).float()
        hidden = text_encoder(tokens).last_hidden_state
        read = (hidden * ended[..., None]).sum(1) / ended.sum(1, keepdim=True)
        parts = torch.tensor([[*parts_of(scene), style] for scene, style in zip(drawn, styles, strict=True)])
        losses = [F.cross_entropy(head(read), parts[:, i]) for i, head in enumerate(heads)]
        optimizer.zero_grad(set_to_none=True)
        loss = torch.stack(losses).sum()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        if index % 50 == 49 or index == num_steps - 1:
            say(f"words {index + 1}/{num_steps}  loss {loss.item():.4f}")


def _pool(seed: int) -> Pictures:
    """Scenes of the base's styles, most of them drawn once; each picture in one style."""
    chosen = scenes(seed + 1, POOL, held_out=False)
    return draw_all(chosen, [BASE_STYLES[i % len(BASE_STYLES)] for i in range(POOL)], seed + 1)


@torch.no_grad()
def encode_all(vae: AutoencoderKL, pixels: Tensor) -> tuple[Tensor, Tensor]:
    """Scaled posterior mean and standard deviation of every picture, each (N, 4, 16, 16)."""
    means, stds = [], []
    for part in torch.split(pixels, 64):
        posterior = vae.encode(to_unit(part)).latent_dist
        means.append(posterior.mean * vae.config.scaling_factor)
        stds.append(posterior.std * vae.config.scaling_factor)
    return torch.cat(means), torch.cat(stds)
