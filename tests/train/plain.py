"""A LoRA training written out with diffusers, PEFT and PyTorch alone: what a slot of a pack is held against."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import peft
import torch
from diffusers import DDIMScheduler, StableDiffusionPipeline
from diffusers.optimization import get_scheduler

from train.caches import EncodedDataset
from train.optimizers import build_optimizer
from train.spec import BaseSpec, TrialSpec

ATTENTION = ["to_q", "to_k", "to_v", "to_out.0"]
TARGETS: dict[Any, list[str]] = {"attention": ATTENTION, "attention+ff": [*ATTENTION, "ff.net.0.proj", "ff.net.2"]}
TEXT_ATTENTION = ["q_proj", "k_proj", "v_proj", "out_proj"]


def plain_training(
    base: BaseSpec,
    data: EncodedDataset,
    spec: TrialSpec,
    steps: int,
    dtype: torch.dtype = torch.float32,
    configs: Sequence[peft.PeftConfig] = (),
) -> tuple[list[float], list[torch.Tensor]]:
    """Each step's loss, and the adapter's parameters at the end, the text encoder's last.

    Only the draws of chance are agreed on. `configs` are PEFT's for the UNet and, if that is trained, for the text
    encoder; without them `spec.adapter` is a LoRA.
    """
    pipeline = StableDiffusionPipeline.from_pretrained(base.path, safety_checker=None, requires_safety_checker=False)
    unet = pipeline.unet.to(dtype).requires_grad_(False)
    text_encoder = pipeline.text_encoder.to(dtype).requires_grad_(False)
    torch.manual_seed(spec.train.seed)
    adaptive = [inject(unet, configs[0] if configs else lora_of_unet(spec))]
    parameters = [p for p in unet.parameters() if p.requires_grad]
    optimizer = build_optimizer(spec.optimizer, parameters)
    if spec.adapter.text_encoder:
        adaptive.append(inject(text_encoder, configs[1] if configs else lora_of_text_encoder(spec)))
        learning = [p for p in text_encoder.parameters() if p.requires_grad]
        optimizer.add_param_group({"params": learning, "lr": spec.optimizer.lr * spec.optimizer.text_encoder_lr_ratio})
        parameters += learning
    schedule = get_scheduler(
        spec.lr_scheduler.name,
        optimizer,
        num_warmup_steps=round(spec.lr_scheduler.warmup * spec.train.steps),
        num_training_steps=spec.train.steps,
    )
    noising = DDIMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
    generator = torch.Generator().manual_seed(spec.train.seed)
    torch.manual_seed(spec.train.seed + 1)  # of the dropout inside PEFT
    order: list[int] = []
    losses = []
    unet.train()
    text_encoder.train()
    for step in range(1, steps + 1):
        seen = 0.0
        for _ in range(spec.train.gradient_accumulation):
            loss = micro_batch(unet, text_encoder, noising, data, spec, order, generator)
            loss = loss / spec.train.gradient_accumulation
            seen += loss.item()
            for tuner in filter(None, adaptive):
                loss = loss + peft_penalty(tuner) / spec.train.gradient_accumulation
            loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, spec.train.clip_norm)
        optimizer.step()
        for tuner in filter(None, adaptive):
            tuner.update_and_allocate(step)
        schedule.step()
        optimizer.zero_grad()
        losses.append(seen)
    return losses, [p.detach() for p in parameters]


def inject(module: Any, config: peft.PeftConfig) -> peft.AdaLoraModel | None:
    """PEFT's adapter in a module; AdaLoRA has something to do in each step."""
    if isinstance(config, peft.AdaLoraConfig):
        return peft.AdaLoraModel(module, config, "default")
    peft.inject_adapter_in_model(config, module)
    return None


def peft_penalty(tuner: Any) -> torch.Tensor:
    """What AdaLoraModel adds to a loss that the model gives."""
    forward = tuner.model.forward
    tuner.model.forward = lambda: SimpleNamespace(loss=torch.zeros((), dtype=tuner.model.dtype))
    try:
        penalty: torch.Tensor = tuner().loss
    finally:
        tuner.model.forward = forward
    return penalty


def lora_of_unet(spec: TrialSpec) -> peft.LoraConfig:
    """The trial's LoRA there."""
    return lora(spec, spec.adapter.rank, TARGETS.get(spec.adapter.targets) or list(spec.adapter.targets))


def lora_of_text_encoder(spec: TrialSpec) -> peft.LoraConfig:
    """The trial's LoRA there."""
    targets = [*TEXT_ATTENTION, "fc1", "fc2"] if spec.adapter.targets == "attention+ff" else TEXT_ATTENTION
    return lora(spec, spec.adapter.text_encoder_rank or spec.adapter.rank, targets)


def lora(spec: TrialSpec, rank: int, targets: list[str]) -> peft.LoraConfig:
    """The trial's LoRA over some layers."""
    return peft.LoraConfig(
        r=rank,
        lora_alpha=rank * spec.adapter.alpha_ratio,
        lora_dropout=spec.adapter.dropout,
        use_rslora=spec.adapter.rslora,
        use_dora=spec.adapter.dora,
        rank_pattern=spec.adapter.rank_pattern,
        alpha_pattern=spec.adapter.alpha_pattern,
        target_modules=targets,
    )


def micro_batch(
    unet: Any,
    text_encoder: Any,
    noising: DDIMScheduler,
    data: EncodedDataset,
    spec: TrialSpec,
    order: list[int],
    chance: torch.Generator,
) -> torch.Tensor:
    """The loss of the next rows, which are taken off `order`."""
    size, objective = spec.train.batch_size, spec.objective
    while len(order) < size:
        order += torch.randperm(len(data.train), generator=chance).tolist()
    rows = [order.pop(0) for _ in range(size)]
    shape = data.train.means[rows].shape
    latents = data.train.means[rows] + data.train.stds[rows] * torch.randn(*shape, generator=chance)
    noise = torch.randn(*shape, generator=chance)
    if objective.noise_offset:
        noise = noise + objective.noise_offset * torch.randn(size, shape[1], 1, 1, generator=chance)
    timesteps = torch.randint(1000, (size,), generator=chance)
    text, tokens = data.train.embeddings[rows], data.train.tokens[rows]
    if objective.caption_dropout:
        dropped = torch.rand(size, generator=chance) < objective.caption_dropout
        text = torch.where(dropped[:, None, None], data.empty, text)
        tokens = torch.where(dropped[:, None], data.empty_tokens, tokens)
    if spec.adapter.text_encoder:
        text = text_encoder(tokens).last_hidden_state
    noisy = noising.add_noise(latents, noise, timesteps)
    predicted = unet(noisy.to(unet.dtype), timesteps, text.to(unet.dtype)).sample
    error = ((predicted - noise) ** 2).mean((1, 2, 3))
    if objective.snr_gamma:
        snr = noising.alphas_cumprod[timesteps] / (1 - noising.alphas_cumprod[timesteps])
        error = error * (torch.minimum(snr, torch.tensor(objective.snr_gamma)) / snr)
    return error.mean()
