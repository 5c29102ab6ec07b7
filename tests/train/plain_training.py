"""A LoRA training written out with diffusers, PEFT and PyTorch alone: what a slot of a pack is held against."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import peft
import torch
from diffusers import StableDiffusionPipeline
from diffusers.optimization import get_scheduler
from peft.tuners.lora.layer import LoraLayer
from peft.tuners.tuners_utils import BaseTunerLayer

from tests.train.plain_objective import Asked, caption, noise_like
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
    kind: str = "epsilon",
    configs: Sequence[peft.PeftConfig] = (),
) -> tuple[list[float], list[torch.Tensor]]:
    """Each step's loss, and the adapter's parameters at the end, the text encoder's last.

    The base is taken to predict `kind`. Only the draws of chance are agreed on. `configs` are PEFT's for the UNet and,
    if that is trained, for the text encoder; without them `spec.adapter` is a LoRA.
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
    asked = Asked(kind, spec.objective)
    generator = torch.Generator().manual_seed(spec.train.seed)
    torch.manual_seed(spec.train.seed + 1)  # of the dropout inside PEFT
    orders: tuple[list[int], list[int]] = [], []
    losses = []
    unet.train()
    if spec.adapter.text_encoder:
        text_encoder.train()
    for step in range(1, steps + 1):
        seen = 0.0
        to_come = orders[0] or range(len(data.train))
        passes = min(spec.train.gradient_accumulation, -(-len(to_come) // spec.train.batch_size))
        for _ in range(passes):
            loss = micro_batch(pipeline, asked, data, spec, orders, generator)
            loss = loss / passes
            seen += loss.item()
            for tuner in filter(None, adaptive):
                loss = loss + peft_penalty(tuner) / passes
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
    if str(getattr(config, "init_lora_weights", True)).startswith(("pissa", "olora")):
        inject_from_base(module, config)
    else:
        peft.inject_adapter_in_model(config, module)
    return None


def inject_from_base(module: Any, config: peft.PeftConfig) -> None:
    """PEFT takes W - s·B·A in float32, from which it must start; in the module's own numbers that is put right."""
    dtype, weights = module.dtype, {name: tensor.clone() for name, tensor in module.state_dict().items()}
    peft.inject_adapter_in_model(config, module.float())
    module.to(dtype)
    for name, layer in module.named_modules():
        if isinstance(layer, LoraLayer):
            product = layer.lora_B["default"].weight @ layer.lora_A["default"].weight
            residual = (weights[f"{name}.weight"] - layer.scaling["default"] * product).detach()
            torch.testing.assert_close(layer.base_layer.weight.detach(), residual, rtol=0, atol=1e-5)
            layer.base_layer.weight.data = residual


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
    pipeline: Any,
    asked: Asked,
    data: EncodedDataset,
    spec: TrialSpec,
    orders: tuple[list[int], list[int]],
    chance: torch.Generator,
) -> torch.Tensor:
    """The loss of the next rows, which are taken off `orders`: of the pictures, and of the regularisation pictures."""
    objective, unet = spec.objective, pipeline.unet
    size = min(spec.train.batch_size, len(orders[0]) or len(data.train))
    sets = [data.train]
    if data.regularization is not None and objective.prior_weight:
        sets.append(data.regularization)
    columns: list[tuple[torch.Tensor, ...]] = []
    words: list[str] = []
    first: list[int] = []
    for part, order in zip(sets, orders, strict=False):
        while len(order) < size:
            order += torch.randperm(len(part), generator=chance).tolist()
        rows = [order.pop(0) for _ in range(size)]
        masks = torch.ones(size, 1, *part.means.shape[2:]) if part.masks is None else part.masks[rows]
        columns.append((part.means[rows], part.stds[rows], part.embeddings[rows], part.tokens[rows], masks))
        words += [part.captions[row] for row in rows]
        first = first or rows
    means, stds, text, tokens, masks = (torch.cat(column) for column in zip(*columns, strict=True))
    latents = means + stds * torch.randn(*means.shape, generator=chance)
    noise = noise_like(means, objective, chance)
    seen = noise
    if objective.input_perturbation:
        seen = noise + objective.input_perturbation * torch.randn(*means.shape, generator=chance)
    times = asked.times(len(means), chance)
    varies = objective.shuffle_tags or objective.tag_dropout
    if varies:
        words = [caption(each, objective, data.trigger, chance) for each in words]
    if objective.caption_dropout:
        dropped = torch.rand(len(means), generator=chance) < objective.caption_dropout
        words = ["" if drop else each for each, drop in zip(words, dropped, strict=True)]
        text = torch.where(dropped[:, None, None], data.empty, text)
        tokens = torch.where(dropped[:, None], data.empty_tokens, tokens)
    if varies:  # not from the cache, which was written in float32
        tokens = pipeline.tokenizer(words, padding="max_length", max_length=40, return_tensors="pt").input_ids
        with torch.no_grad():
            text = pipeline.text_encoder(tokens).last_hidden_state.float()
    if spec.adapter.text_encoder:
        text = pipeline.text_encoder(tokens).last_hidden_state
    noisy = asked.noisy(latents, seen, times).to(unet.dtype)
    predicted = unet(noisy, times, text.to(unet.dtype)).sample
    error = predicted - asked.target(latents, noise, times)
    rows = asked.costs(error, times)
    if data.train.masks is not None and objective.unmasked_weight < 1:
        weights = masks.to(rows.dtype).clamp(objective.unmasked_weight, 1).expand_as(rows)
        rows = (rows * weights).sum((1, 2, 3)) / weights.sum((1, 2, 3))
    else:
        rows = rows.mean((1, 2, 3))
    rows = rows * asked.weights(times)
    loss = rows[:size].mean()
    if len(sets) > 1:
        loss = loss + objective.prior_weight * rows[size:].mean()
    if objective.preserve_class:
        loss = loss + objective.preserve_class * class_loss(pipeline, data, spec, first, noisy[:size], times[:size])
    return loss


def class_loss(
    pipeline: Any, data: EncodedDataset, spec: TrialSpec, rows: list[int], noisy: torch.Tensor, times: torch.Tensor
) -> torch.Tensor:
    """How far the adapter moves the same noisy pictures where the captions name the class alone."""
    unet, plain = pipeline.unet, data.train.class_embeddings[rows].to(pipeline.unet.dtype)
    text = (
        pipeline.text_encoder(data.train.class_tokens[rows]).last_hidden_state if spec.adapter.text_encoder else plain
    )
    layers = [layer for layer in unet.modules() if isinstance(layer, BaseTunerLayer)]
    for layer in layers:
        layer.enable_adapters(False)
    with torch.no_grad():
        wanted = unet(noisy, times, plain).sample
    for layer in layers:
        layer.enable_adapters(True)
    return ((unet(noisy, times, text.to(unet.dtype)).sample - wanted) ** 2).mean()
