"""The pocket base with adapters in it whose weights are far from where they start, and what it draws with them."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline
from numpy.typing import NDArray
from torch import nn

from foundation.bases.folder import EMBEDDED
from foundation.bases.port import Base
from foundation.bases.registry import load_base
from train.adapters import TrialAdapter
from train.packed import Packed
from train.spec import AdapterSpec, BaseSpec

POCKET = BaseSpec(name="pocket", path="pocket", resolution=64)
Picture = NDArray[np.float32]

LORAS = {
    "alpha": AdapterSpec(rank=4, alpha_ratio=0.5, targets="attention+ff"),
    "mixed": AdapterSpec(
        rank=4, targets="all", rank_pattern={"to_k": 8, "conv1": 2}, alpha_pattern={"to_v": 3.0, "to_k": 2.0}
    ),
    "text": AdapterSpec(rank=4, alpha_ratio=0.3, rslora=True, text_encoder=True, text_encoder_rank=6),
    "pissa": AdapterSpec(rank=4, init="pissa", targets=("to_q", "ff.net.2")),
    "dora": AdapterSpec(rank=4, alpha_ratio=0.5, targets="all", dora=True, text_encoder=True),
}
"""What is saved as a LoRA: alpha that is not the rank, ranks and alphas by layer, convolutions, text encoder …"""
SPECS = LORAS | {
    "loha": AdapterSpec(name="loha", rank=3, alpha_ratio=0.5, targets="all", text_encoder=True),
    "lokr": AdapterSpec(name="lokr", rank=2, alpha_ratio=0.5, factor=4, targets="all"),
    "ia3": AdapterSpec(name="ia3", targets=("to_q", "to_k", "to_v", "ff.net.2")),
    "oft": AdapterSpec(name="oft", block_size=4),
}
"""These, and kinds that diffusers does not load."""


@pytest.fixture(scope="session")
def pocket() -> Base:
    """The embedded base, loaded once; who puts an adapter into it takes it out."""
    return load_base(POCKET, torch.device("cpu"))


@pytest.fixture(scope="session")
def new_pipeline() -> Callable[[], Any]:
    """Gives the embedded pipeline as any program would load it, loaded once."""
    pipeline = StableDiffusionPipeline.from_pretrained(EMBEDDED["pocket"], dtype=torch.float32, safety_checker=None)
    return lambda: copy.deepcopy(pipeline)


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
            adapter = TrialAdapter(pocket, name, SPECS[name], seed=1, steps=10)
            stir([each for part in adapter.parameters for each in part])
            adapter.save(folder)
            made[name] = folder, _drawn(pocket, adapter)
        return made[name]

    return train


def _drawn(base: Base, adapter: TrialAdapter) -> Picture:
    """As a pack draws with the adapter in its one slot."""
    denoiser, text = both = Packed(base.denoiser, 1), Packed(base.text_encoder, 1)
    for packed in both:
        packed.put(0, adapter, torch.Generator())
    with denoiser.rows_of([0]), text.rows_of([0]):
        picture = draw(base.pipeline)
    for packed in both:
        packed.remove(0)
    return picture


@pytest.fixture(scope="session")
def plain_picture(new_pipeline: Callable[[], Any]) -> Picture:
    """What the base draws alone."""
    return draw(new_pipeline())
