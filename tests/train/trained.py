"""The pocket base with adapters in it whose weights are far from where they start, and what it draws with them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline
from numpy.typing import NDArray
from torch import nn

from train.adapters import add_adapter, only_adapter, remove_adapter, save_adapter
from train.bases import Base, load_base
from train.bases.registry import EMBEDDED
from train.spec import AdapterSpec, BaseSpec

POCKET = BaseSpec(name="pocket", path="pocket", resolution=64)
Picture = NDArray[np.float32]

SPECS = {
    "alpha": AdapterSpec(rank=4, alpha_ratio=0.5, targets="attention+ff"),
    "rslora": AdapterSpec(rank=4, alpha_ratio=0.3, rslora=True),
    "mixed": AdapterSpec(rank=4, rank_pattern={"to_k": 8, "ff.net.2": 2}, alpha_pattern={"to_v": 3.0, "to_k": 2.0}),
    "convolutions": AdapterSpec(rank=3, alpha_ratio=2 / 3, targets="all", rank_pattern={"conv1": 2}),
    "text": AdapterSpec(rank=4, alpha_ratio=0.5, targets="attention+ff", text_encoder=True, text_encoder_rank=6),
    "dora": AdapterSpec(rank=4, alpha_ratio=0.5, targets="all", dora=True, text_encoder=True),
}
"""What is saved and comes back: alpha that is not the rank, rsLoRA, ranks and alphas by layer …"""


@pytest.fixture(scope="session")
def pocket() -> Base:
    """The embedded base, loaded once; who puts an adapter into it takes it out."""
    return load_base(POCKET, torch.device("cpu"))


@pytest.fixture(scope="session")
def new_pipeline() -> Callable[[], Any]:
    """Loads the embedded pipeline as any program would."""
    return lambda: StableDiffusionPipeline.from_pretrained(EMBEDDED["pocket"], dtype=torch.float32, safety_checker=None)


@torch.no_grad()
def draw(pipe: Any) -> Picture:
    """One picture (64, 64, 3) in 0 … 255, always from the same noise."""
    pipe.set_progress_bar_config(disable=True)
    picture: Picture = pipe(
        "a red cup left of an orange star on grass",
        num_inference_steps=3,
        guidance_scale=3.0,
        generator=torch.Generator().manual_seed(0),
        output_type="np",
        width=64,
        height=64,
    ).images[0]
    return 255 * picture


def difference(one: Picture, other: Picture) -> float:
    """Mean absolute difference, of 255."""
    return float(np.abs(one - other).mean())


def stir(parameters: list[nn.Parameter], seed: int = 0, share: float = 0.3) -> None:
    """Give parameters values that training might have given them: new directions, of the size of what is there."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in parameters:
            size = parameter.abs().mean().clamp(min=1) * share
            parameter += size * torch.randn(parameter.shape, generator=generator)


@pytest.fixture(scope="session")
def trained(pocket: Base, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Path, Picture]]:
    """By a name of `SPECS`: the checkpoint's folder, and what the trainer's own base draws with it."""
    made: dict[str, tuple[Path, Picture]] = {}

    def train(name: str) -> tuple[Path, Picture]:
        if name not in made:
            folder = tmp_path_factory.mktemp(name)
            denoiser, text = add_adapter(pocket, name, SPECS[name], seed=1)
            stir([*denoiser, *text])
            with only_adapter(pocket, name):
                made[name] = folder, draw(pocket.pipeline)
            save_adapter(pocket, name, folder, SPECS[name])
            remove_adapter(pocket, name)
        return made[name]

    return train


@pytest.fixture(scope="session")
def plain_picture(pocket: Base) -> Picture:
    """What the base draws alone."""
    return draw(pocket.pipeline)
