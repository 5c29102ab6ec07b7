"""The ways in which LoRAs are trained elsewhere, written as those scripts write them, to be timed beside the pack.

(a) `stock`: as diffusers' `train_text_to_image_lora.py` works. Every step reads pictures, runs the VAE and the text
encoder and waits for the device twice; every trial is a process of its own that loads the model anew.
(b) `solo`: one trial with latents and text embeddings computed beforehand; plain PEFT, plain PyTorch.
(c) `compiled`: as (b) with `torch.compile` on the UNet.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import peft
import torch
import torch.nn.functional as F
from diffusers import DDPMScheduler, DiffusionPipeline

from benchmarks.setting import RANK, Setting
from foundation.bases.pixels import to_pixels
from foundation.bases.text import join_text, split_text
from foundation.data.images import read_rgb, square

ATTENTION = ["to_q", "to_k", "to_v", "to_out.0"]
_PIPELINES: Any = DiffusionPipeline  # untyped upstream


def solo(setting: Setting, batch_size: int, compiled: bool = False) -> Callable[[], None]:
    """A function that does one training step of one trial, everything cached, as (b) or (c)."""
    dtype = torch.bfloat16 if setting.precision == "bf16" else torch.float32
    unet, noising = _unet(setting.path, setting.device, dtype)
    parameters = [p for p in unet.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=1e-4)
    data, device = setting.data.train, setting.device
    means, stds, embeddings = (tensor.to(device) for tensor in (data.means, data.stds, data.embeddings))
    run = torch.compile(unet) if compiled else unet

    def step() -> None:
        rows = torch.randint(len(means), (batch_size,), device=device)
        latents = means[rows] + stds[rows] * torch.randn_like(means[rows])
        with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            loss = _loss(run, noising, latents, embeddings[rows])
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        _ = loss.item()

    return step


@dataclass(frozen=True, kw_only=True, slots=True)
class StockTrial:
    """One run of the stock script."""

    path: str
    """The pipeline's folder."""
    folder: str
    """The pictures', with `metadata.jsonl`."""
    batch_size: int
    steps: int
    resolution: int
    precision: str
    pictures: int = 0
    """Drawn at each validation, one after another as the script does; 0: it never looks."""
    validate_every: int = 1
    """Steps between two validations."""
    sample_steps: int = 25
    """Denoising steps of a picture."""

    @classmethod
    def over(cls, where: Setting, batch_size: int, steps: int, **more: int) -> StockTrial:
        """In this setting."""
        return cls(
            path=where.path,
            folder=str(where.folder),
            batch_size=batch_size,
            steps=steps,
            resolution=where.resolution,
            precision=where.precision,
            **more,
        )

    def seconds(self) -> float:
        """Wall time as (a): a new process that imports, loads, trains and saves."""
        began = time.perf_counter()
        subprocess.run([sys.executable, "-m", "benchmarks.baselines", json.dumps(asdict(self))], check=True)
        return time.perf_counter() - began


def _stock(trial: StockTrial) -> None:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    dtype = torch.bfloat16 if trial.precision == "bf16" else torch.float32
    pipeline = _PIPELINES.from_pretrained(trial.path, dtype=dtype).to(device)
    vae = pipeline.vae
    unet, noising = _unet(trial.path, device, dtype)
    parameters = [p for p in unet.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=1e-4)
    folder = Path(trial.folder)
    lines = [json.loads(line) for line in (folder / "metadata.jsonl").read_text().splitlines()]
    for step in range(1, trial.steps + 1):
        chosen = [lines[i] for i in torch.randint(len(lines), (trial.batch_size,)).tolist()]
        images = [square(read_rgb(folder / line["file_name"]), trial.resolution) for line in chosen]
        with torch.no_grad():
            latents = vae.encode(to_pixels(images).to(device, dtype)).latent_dist.sample() * vae.config.scaling_factor
            text = _texts(pipeline, [line["text"] for line in chosen], device)
        with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            loss = _loss(unet, noising, latents.float(), text.float())
        _ = loss.item()  # the script gathers it for its average
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        _ = loss.detach().item()  # and again for its progress bar
        if trial.pictures and step % trial.validate_every == 0:
            _draw(trial, unet, lines[0]["text"], device, dtype)
    unet.save_lora_adapter(folder.parent / "stock", adapter_name="default")


def _draw(trial: StockTrial, unet: Any, prompt: str, device: torch.device, dtype: torch.dtype) -> None:
    """The script's validation: the whole pipeline is loaded around the UNet, pictures are drawn one by one."""
    pipeline = _PIPELINES.from_pretrained(trial.path, unet=unet, dtype=dtype).to(device)
    pipeline.set_progress_bar_config(disable=True)
    generator = torch.Generator(device).manual_seed(0)
    with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
        for _ in range(trial.pictures):
            pipeline(prompt, num_inference_steps=trial.sample_steps, generator=generator)


def _unet(path: str, device: torch.device, dtype: torch.dtype) -> tuple[Any, DDPMScheduler]:
    pipeline = _PIPELINES.from_pretrained(path, dtype=dtype)
    unet = pipeline.unet.requires_grad_(False).to(device)
    unet.add_adapter(peft.LoraConfig(r=RANK, lora_alpha=RANK, target_modules=ATTENTION))
    for parameter in unet.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
    return unet.train(), DDPMScheduler.from_config(pipeline.scheduler.config)


def _loss(unet: Any, noising: DDPMScheduler, latents: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
    noise = torch.randn_like(latents)
    timesteps = torch.randint(1000, (len(latents),), device=latents.device)
    noisy = noising.add_noise(latents, noise, timesteps)
    predicted = unet(noisy, timesteps, **_conditions(unet, latents, text), return_dict=False)[0]
    return F.mse_loss(predicted.float(), noise)


def _texts(pipeline: Any, captions: list[str], device: torch.device) -> torch.Tensor:
    """As the pack's data has them: SDXL's pooled embedding behind the tokens."""
    made = pipeline.encode_prompt(captions, device=device, num_images_per_prompt=1, do_classifier_free_guidance=False)
    return made[0] if len(made) == 2 else join_text(made[0], made[2])


def _conditions(unet: Any, latents: torch.Tensor, text: torch.Tensor) -> dict[str, Any]:
    config = unet.config
    if config.addition_embed_type is None:
        return {"encoder_hidden_states": text}
    size_width = 6 * config.addition_time_embed_dim
    tokens, pooled = split_text(text, config.projection_class_embeddings_input_dim - size_width)
    side = 8 * latents.shape[-1]
    sizes = torch.tensor([[side, side, 0, 0, side, side]] * len(latents), device=latents.device)
    return {"encoder_hidden_states": tokens, "added_cond_kwargs": {"text_embeds": pooled, "time_ids": sizes}}


if __name__ == "__main__":
    from foundation.quiet import quiet_libraries

    quiet_libraries()
    _stock(StockTrial(**json.loads(sys.argv[1])))
