"""What all ways of training in a benchmark share: one base, one set of pictures, one kind of trial."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel

from train.bases import Base, base_location, load_base
from train.caches import EncodedDataset, encode_dataset
from train.data import Dataset, load_dataset
from train.drawn import draw_set
from train.pocket.tokens import build_tokenizer
from train.spec import AdapterSpec, BaseSpec, DataSpec, OptimizerSpec, TrainingSpec, TrialSpec

BASES: Final = ("pocket", "sd15")
RANK: Final = 16


@dataclass(frozen=True, kw_only=True, slots=True)
class Setting:
    """Where a benchmark runs."""

    path: str
    """The pipeline's folder."""
    base: Base
    dataset: Dataset
    data: EncodedDataset
    folder: Path
    """The pictures', with `metadata.jsonl`."""
    device: torch.device
    precision: str
    resolution: int


@contextmanager
def setting(name: str, device: torch.device) -> Iterator[Setting]:
    """The pocket base in fp32, or a base of Stable Diffusion 1.5's shape with random weights in bf16, at 512²."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        if name == "pocket":
            spec, precision = BaseSpec(name=name, path="pocket", resolution=64), "fp32"
        else:
            _make_sd15(folder / "sd15")
            spec, precision = BaseSpec(name=name, path=str(folder / "sd15"), resolution=512), "bf16"
        drawn = draw_set("pencil", 24, 8, folder / "cache")
        base = load_base(spec, device, precision)  # type: ignore[arg-type]
        dataset = load_dataset(
            DataSpec(name="drawn", path=str(drawn / "train"), validation_path=str(drawn / "validation"))
        )
        data = encode_dataset(base, dataset, folder / "cache")
        yield Setting(
            path=base_location(spec),
            base=base,
            dataset=dataset,
            data=data,
            folder=drawn / "train",
            device=device,
            precision=precision,
            resolution=spec.resolution,
        )


def trial(batch_size: int, seed: int = 0, precision: str = "fp32", steps: int = 100_000) -> TrialSpec:
    """The kind of trial that is timed: attention layers, rank 16, AdamW."""
    return TrialSpec(
        adapter=AdapterSpec(rank=RANK),
        optimizer=OptimizerSpec(name="adamw", lr=1e-4),
        train=TrainingSpec(steps=steps, batch_size=batch_size, seed=seed, precision=precision),  # type: ignore[arg-type]
    )


def _make_sd15(folder: Path) -> None:
    """A pipeline of Stable Diffusion 1.5's shape; random weights take the same time as trained ones."""
    tokenizer = build_tokenizer()
    text = CLIPTextConfig(
        vocab_size=49408,
        hidden_size=768,
        intermediate_size=3072,
        num_hidden_layers=12,
        num_attention_heads=12,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    tokenizer.model_max_length = 77
    StableDiffusionPipeline(
        vae=AutoencoderKL(
            block_out_channels=(128, 256, 512, 512),
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            layers_per_block=2,
            latent_channels=4,
            sample_size=512,
        ),
        text_encoder=CLIPTextModel(text),
        tokenizer=tokenizer,
        unet=UNet2DConditionModel(
            sample_size=64,
            block_out_channels=(320, 640, 1280, 1280),
            layers_per_block=2,
            cross_attention_dim=768,
            attention_head_dim=8,
        ),
        scheduler=DDIMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).save_pretrained(folder)
