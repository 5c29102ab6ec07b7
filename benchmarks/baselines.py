"""The ways in which LoRAs are trained elsewhere, written as those scripts write them, to be timed beside the pack.

(a) `stock`: as diffusers' `train_text_to_image_lora.py` works. Every step reads pictures, runs the VAE and the text
encoder and waits for the device twice; every trial is a process of its own that loads the model anew.
(b) `solo`: one trial with latents and text embeddings computed beforehand; plain PEFT, plain PyTorch.
(c) `compiled`: as (b) with `torch.compile` on the UNet.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import peft
import torch
import torch.nn.functional as F
from diffusers import DDPMScheduler, StableDiffusionPipeline

from benchmarks.setting import RANK, Setting
from foundation.images import read_rgb, square
from train.images import to_pixels

ATTENTION = ["to_q", "to_k", "to_v", "to_out.0"]


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


def stock_seconds(path: str, folder: Path, batch_size: int, steps: int, resolution: int, precision: str) -> float:
    """Wall seconds of one trial as (a): a new process that imports, loads, trains `steps` steps and saves."""
    arguments = [path, str(folder), str(batch_size), str(steps), str(resolution), precision]
    began = time.perf_counter()
    subprocess.run([sys.executable, "-m", "benchmarks.baselines", *arguments], check=True)
    return time.perf_counter() - began


def _stock(path: str, folder: str, batch_size: int, steps: int, resolution: int, precision: str) -> None:
    import json

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    pipeline = StableDiffusionPipeline.from_pretrained(
        path, dtype=dtype, safety_checker=None, requires_safety_checker=False
    ).to(device)
    vae, text_encoder, tokenizer = pipeline.vae, pipeline.text_encoder, pipeline.tokenizer
    unet, noising = _unet(path, device, dtype)
    parameters = [p for p in unet.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=1e-4)
    lines = [json.loads(line) for line in (Path(folder) / "metadata.jsonl").read_text().splitlines()]
    for _ in range(steps):
        chosen = [lines[i] for i in torch.randint(len(lines), (batch_size,)).tolist()]
        images = [square(read_rgb(Path(folder) / line["file_name"]), resolution) for line in chosen]
        with torch.no_grad():
            latents = vae.encode(to_pixels(images).to(device, dtype)).latent_dist.sample() * vae.config.scaling_factor
            tokens = tokenizer(
                [line["text"] for line in chosen], padding="max_length", truncation=True, return_tensors="pt"
            )
            text = text_encoder(tokens.input_ids.to(device)).last_hidden_state
        with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            loss = _loss(unet, noising, latents.float(), text.float())
        _ = loss.item()  # the script gathers it for its average
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        _ = loss.detach().item()  # and again for its progress bar
    unet.save_lora_adapter(Path(folder).parent / "stock", adapter_name="default")


def _unet(path: str, device: torch.device, dtype: torch.dtype) -> tuple[Any, DDPMScheduler]:
    pipeline = StableDiffusionPipeline.from_pretrained(
        path, dtype=dtype, safety_checker=None, requires_safety_checker=False
    )
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
    predicted = unet(noisy, timesteps, text, return_dict=False)[0]
    return F.mse_loss(predicted.float(), noise)


if __name__ == "__main__":
    from foundation.quiet import quiet_libraries

    quiet_libraries()
    path, folder, batch_size, steps, resolution, precision = sys.argv[1:]
    _stock(path, folder, int(batch_size), int(steps), int(resolution), precision)
