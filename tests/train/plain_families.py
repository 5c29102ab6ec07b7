"""Every family's training written out with diffusers, PEFT and PyTorch alone: what a pack is held against.

Nothing of `foundation.bases` is used: text is encoded by the pipeline as a caption is trained on,
and denoisers are called as diffusers' own training scripts call them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import peft
import torch
from diffusers import DiffusionPipeline
from diffusers.pipelines.flux2.pipeline_flux2_klein import compute_empirical_mu
from torch import Tensor

from train.caches import EncodedDataset
from train.spec import BaseSpec, TrialSpec

TARGETS = {
    "unet": ["to_q", "to_k", "to_v", "to_out.0"],
    "joint": ["to_q", "to_k", "to_v", "to_out.0", "add_q_proj", "add_k_proj", "add_v_proj", "to_add_out"],
}
OWN_TARGETS = {
    "flux2": [
        "to_qkv_mlp_proj",
        *(f"single_transformer_blocks.{number}.attn.to_out" for number in (0, 1)),
    ]
}
SHIFT = {
    "sd3": 3.0,
    "flux": math.exp(0.5 + (1.15 - 0.5) * (64 - 16) / (256 - 16)),
    "chroma": math.exp(0.5 + (1.15 - 0.5) * (64 - 16) / (256 - 16)),
    "flux2": math.exp(compute_empirical_mu(64, 30)),
    "qwen_image": math.exp(0.5 + (0.9 - 0.5) * (64 - 256) / (4096 - 256)),
}
"""Of 8×8 tokens, by the tiny pipelines' schedulers."""


def plain_family_training(
    base: BaseSpec,
    data: EncodedDataset,
    captions: Sequence[str],
    spec: TrialSpec,
    steps: int,
    time_ids: Tensor | None = None,
) -> tuple[list[float], list[Tensor]]:
    """Each step's loss, and the adapter's parameters at the end, in float64; only the draws of chance are agreed on.

    `time_ids` (N·V, 6) are what SDXL is told of each view of each picture; without them all are of 64×64 made 32×32.
    """
    pipeline = DiffusionPipeline.from_pretrained(base.path)
    pipeline.set_progress_bar_config(disable=True)
    text = {
        name: part.requires_grad_(False).eval()
        for name, part in pipeline.components.items()
        if name.startswith("text_encoder") and part is not None
    }
    denoiser = getattr(pipeline, "unet", None) or pipeline.transformer
    denoiser.double().requires_grad_(False)
    torch.manual_seed(spec.train.seed)
    targets = TARGETS["unet" if hasattr(pipeline, "unet") else "joint"]
    denoiser.add_adapter(_lora(spec, [*targets, *OWN_TARGETS.get(base.name, [])]))
    parameters = [p for p in denoiser.parameters() if p.requires_grad]
    if spec.adapter.text_encoder:
        for part in text.values():
            part.double().add_adapter(_lora(spec, ["q_proj", "k_proj", "v_proj", "out_proj"]))
            parameters += [p for p in part.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=spec.optimizer.lr, weight_decay=spec.optimizer.weight_decay)
    generator = torch.Generator().manual_seed(spec.train.seed)
    order: list[int] = []
    losses = []
    for _ in range(steps):
        loss = _loss(pipeline, base.name, data, captions, spec, order, generator, time_ids)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, spec.train.clip_norm)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    return losses, [p.detach() for p in parameters]


def _lora(spec: TrialSpec, targets: list[str]) -> peft.LoraConfig:
    rank = spec.adapter.rank
    return peft.LoraConfig(r=rank, lora_alpha=rank * spec.adapter.alpha_ratio, target_modules=targets)


def _loss(
    pipeline: Any,
    family: str,
    data: EncodedDataset,
    captions: Sequence[str],
    spec: TrialSpec,
    order: list[int],
    chance: torch.Generator,
    time_ids: Tensor | None,
) -> Tensor:
    size = spec.train.batch_size
    while len(order) < size:
        order += torch.randperm(len(captions), generator=chance).tolist()
    rows = [order.pop(0) for _ in range(size)]
    views = len(data.train.means) // len(captions)
    seen = rows
    if views > 1:
        seen = (torch.tensor(rows) * views + torch.randint(views, (size,), generator=chance)).tolist()
    shape = data.train.means[seen].shape
    latents = data.train.means[seen] + data.train.stds[seen] * torch.randn(*shape, generator=chance)
    noise = torch.randn(*shape, generator=chance)
    if family in SHIFT:
        u = torch.sigmoid(torch.randn(size, generator=chance))
        times = 1000 * (SHIFT[family] * u / (1 + (SHIFT[family] - 1) * u))
        sigma = (times / 1000)[:, None, None, None]
        noisy, target = (1 - sigma) * latents + sigma * noise, noise - latents
    else:
        times = torch.randint(1000, (size,), generator=chance)
        noisy = pipeline.scheduler.add_noise(latents, noise, times)
        velocity = pipeline.scheduler.config.prediction_type == "v_prediction"
        target = pipeline.scheduler.get_velocity(latents, noise, times) if velocity else noise
    said = [captions[row] for row in rows]
    if spec.objective.caption_dropout:
        dropped = torch.rand(size, generator=chance) < spec.objective.caption_dropout
        said = ["" if drop else caption for drop, caption in zip(dropped.tolist(), said, strict=True)]
    told = {} if time_ids is None else {"time_ids": time_ids[seen].double()}
    predicted = PREDICT[family](pipeline, noisy.double(), times, said, **told)
    return ((predicted - target.double()) ** 2).mean()


def _stable_diffusion(pipeline: Any, noisy: Tensor, times: Tensor, captions: list[str]) -> Tensor:
    tokens = pipeline.tokenizer(captions, padding="max_length", truncation=True, return_tensors="pt").input_ids
    text = pipeline.text_encoder(tokens)[0]
    return pipeline.unet(noisy, times, text.double()).sample


def _sdxl(pipeline: Any, noisy: Tensor, times: Tensor, captions: list[str], time_ids: Tensor | None = None) -> Tensor:
    text, _, pooled, _ = pipeline.encode_prompt(captions, do_classifier_free_guidance=False)
    if time_ids is None:
        time_ids = torch.tensor([[64, 64, 0, 0, 32, 32]] * len(noisy), dtype=torch.float64)
    added = {"text_embeds": pooled.double(), "time_ids": time_ids}
    return pipeline.unet(noisy, times, text.double(), added_cond_kwargs=added).sample


@torch.no_grad()
def _sd3_text(pipeline: Any, captions: list[str]) -> tuple[Tensor, Tensor]:
    text, _, pooled, _ = pipeline.encode_prompt(
        captions, None, None, do_classifier_free_guidance=False, max_sequence_length=24
    )
    return text.double(), pooled.double()


def _sd3(pipeline: Any, noisy: Tensor, times: Tensor, captions: list[str]) -> Tensor:
    text, pooled = _sd3_text(pipeline, captions)
    return pipeline.transformer(noisy, encoder_hidden_states=text, pooled_projections=pooled, timestep=times).sample


def _flux(pipeline: Any, noisy: Tensor, times: Tensor, captions: list[str]) -> Tensor:
    with torch.no_grad():
        text, pooled, text_ids = pipeline.encode_prompt(captions, None, max_sequence_length=24)
    rows, channels, height, width = noisy.shape
    output = pipeline.transformer(
        hidden_states=pipeline._pack_latents(noisy, rows, channels, height, width),
        timestep=times / 1000,
        guidance=torch.ones(rows),
        pooled_projections=pooled.double(),
        encoder_hidden_states=text.double(),
        txt_ids=text_ids,
        img_ids=pipeline._prepare_latent_image_ids(rows, height // 2, width // 2, "cpu", torch.float64),
    ).sample
    return pipeline._unpack_latents(output, height * 2, width * 2, 2)


def _chroma(pipeline: Any, noisy: Tensor, times: Tensor, captions: list[str]) -> Tensor:
    with torch.no_grad():
        text, text_ids, mask, *_ = pipeline.encode_prompt(
            captions, do_classifier_free_guidance=False, max_sequence_length=24
        )
    rows, channels, height, width = noisy.shape
    tokens = pipeline._pack_latents(noisy, rows, channels, height, width)
    output = pipeline.transformer(
        hidden_states=tokens,
        timestep=times / 1000,
        encoder_hidden_states=text.double(),
        txt_ids=text_ids,
        img_ids=pipeline._prepare_latent_image_ids(rows, height // 2, width // 2, "cpu", torch.float64),
        attention_mask=pipeline._prepare_attention_mask(rows, tokens.shape[1], torch.float64, mask.double()),
    ).sample
    return pipeline._unpack_latents(output, height * 2, width * 2, 2)


def _flux2(pipeline: Any, noisy: Tensor, times: Tensor, captions: list[str]) -> Tensor:
    with torch.no_grad():
        text, text_ids = pipeline.encode_prompt(list(captions), max_sequence_length=64)
    output = pipeline.transformer(
        hidden_states=pipeline._pack_latents(noisy),
        timestep=times / 1000,
        guidance=None,
        encoder_hidden_states=text.double(),
        txt_ids=text_ids,
        img_ids=(ids := pipeline._prepare_latent_ids(noisy)),
    ).sample
    return pipeline._unpack_latents_with_ids(output, ids, *noisy.shape[-2:])


def _qwen_image(pipeline: Any, noisy: Tensor, times: Tensor, captions: list[str]) -> Tensor:
    """One row after another, so that no caption is filled up to another's length."""
    rows = []
    for row, time, caption in zip(noisy, times, captions, strict=True):
        with torch.no_grad():
            text, mask = pipeline.encode_prompt(caption)
        assert mask is None
        channels, height, width = row.shape
        output = pipeline.transformer(
            hidden_states=pipeline._pack_latents(row[None], 1, channels, height, width),
            timestep=time[None] / 1000,
            encoder_hidden_states=text.double(),
            img_shapes=[[(1, height // 2, width // 2)]],
        ).sample
        rows.append(pipeline._unpack_latents(output, height * 2, width * 2, 2)[:, :, 0])
    return torch.cat(rows)


PREDICT: dict[str, Callable[..., Tensor]] = {
    "stable_diffusion": _stable_diffusion,
    "sdxl": _sdxl,
    "sd3": _sd3,
    "flux": _flux,
    "chroma": _chroma,
    "flux2": _flux2,
    "qwen_image": _qwen_image,
}
