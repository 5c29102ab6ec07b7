"""What an adapter is written in, apart from what it is trained in, and how the base computes attention."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline
from diffusers.models.attention_processor import AttnProcessor2_0, SlicedAttnProcessor
from safetensors.torch import load_file

from foundation.adapters.files import WEIGHTS_FILE
from foundation.bases.port import Base
from foundation.bases.registry import load_base
from foundation.errors import ConfigError
from tests.train.tiny_families import build
from train.attention import set_attention
from train.caches import EncodedDataset
from train.pack import Pack
from train.spec import AdapterSpec, OptimizerSpec, Precision, TrainingSpec, TrialSpec

NewBase = Callable[[], Base]


def trained(base: Base, data: EncodedDataset, **train: Any) -> tuple[Pack, list[float]]:
    pack = Pack(base, data, 1)
    pack.admit(
        TrialSpec(
            adapter=AdapterSpec(rank=4, alpha_ratio=0.5, targets="all", text_encoder=True),
            optimizer=OptimizerSpec(lr=0.05),
            train=TrainingSpec(steps=4, batch_size=2, **train),
        )
    )
    return pack, [report.loss for _ in range(4) for report in pack.step()]


@pytest.mark.parametrize(("precision", "dtype"), [("bf16", torch.bfloat16), ("fp16", torch.float16)])
def test_an_adapter_is_written_in_the_numbers_asked_for_and_goes_on_in_fp32(
    precision: Precision,
    dtype: torch.dtype,
    new_base: NewBase,
    tiny_data: EncodedDataset,
    tiny_pipeline: Path,
    tmp_path: Path,
) -> None:
    exact, losses = trained(new_base(), tiny_data)
    exact.save_adapter(0, tmp_path / "exact")
    rounded, same_losses = trained(new_base(), tiny_data, save_precision=precision)
    rounded.save_adapter(0, tmp_path / "rounded")
    rounded.save_state(0, tmp_path / "state")
    assert same_losses == losses
    ours, theirs = (load_file(tmp_path / name / WEIGHTS_FILE) for name in ("rounded", "exact"))
    assert ours.keys() == theirs.keys()
    for key, tensor in ours.items():
        assert tensor.dtype == dtype
        assert torch.equal(tensor, theirs[key].to(dtype))
    state = torch.load(tmp_path / "state" / "state.pt", weights_only=True)
    assert {tensor.dtype for tensor in state["adapter"].values()} == {torch.float32}
    plain = StableDiffusionPipeline.from_pretrained(tiny_pipeline, safety_checker=None, requires_safety_checker=False)
    plain.load_lora_weights(str(tmp_path / "rounded"))
    with rounded.acting([0]) as base:
        own = picture(base.pipeline)
    assert np.abs(own - picture(plain)).mean() < 1 / 255
    with rounded.acting_file(tmp_path / "rounded") as base:
        assert np.abs(own - picture(base.pipeline)).mean() < 1 / 255


def picture(pipeline: StableDiffusionPipeline) -> np.ndarray:
    pipeline.set_progress_bar_config(disable=True)
    generator = torch.Generator().manual_seed(0)
    images = pipeline("a red cup", num_inference_steps=4, generator=generator, output_type="np").images
    return np.asarray(images[0])


def test_sliced_attention_trains_to_the_same_numbers(new_base: NewBase, tiny_data: EncodedDataset) -> None:
    _, losses = trained(new_base(), tiny_data)
    base = new_base()
    assert processors(base) == {AttnProcessor2_0}
    set_attention(base, TrainingSpec(attention="sdpa"))
    assert processors(base) == {AttnProcessor2_0}
    set_attention(base, TrainingSpec(attention="sliced"))
    assert processors(base) == {SlicedAttnProcessor}
    _, sliced = trained(base, tiny_data)
    assert sliced == pytest.approx(losses, abs=1e-5)


def processors(base: Base) -> set[type]:
    denoiser: Any = base.denoiser
    return {type(processor) for processor in denoiser.attn_processors.values()}


def test_attention_that_is_not_to_be_had_is_refused_in_one_line(
    new_base: NewBase, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match="train.attention xformers is not installed; run `pip install xformers`"):
        set_attention(new_base(), TrainingSpec(attention="xformers"))
    monkeypatch.setattr("train.spec.training.importlib.util.find_spec", lambda name: object())
    with pytest.raises(ConfigError) as caught:  # installed, says the finder, but diffusers cannot use it here
        set_attention(new_base(), TrainingSpec(attention="xformers"))
    (problem,) = caught.value.problems
    assert problem.startswith("train.attention xformers cannot be had here: ") and problem.endswith("; use sdpa")
    whole: Any = SimpleNamespace(denoiser=torch.nn.Linear(1, 1))
    with pytest.raises(ConfigError, match="train.attention sliced cannot be had here: .*set_attention_slice"):
        set_attention(whole, TrainingSpec(attention="sliced"))


def test_sdxl_decodes_in_float32_when_its_pipeline_wants_that(tmp_path: Path) -> None:
    """In half precision such an autoencoder overflows; its pipeline then makes it float32, within a pack's autocast."""
    vae = load_base(build("sdxl", tmp_path / "sdxl"), torch.device("cpu")).pipeline.vae
    latents = torch.randn(1, 4, 4, 4, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        alone = vae.decode(latents).sample
        with torch.autocast("cpu", torch.bfloat16):
            assert torch.equal(vae.decode(latents).sample, alone)
