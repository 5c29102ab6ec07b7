"""A base by its shapes: the same as the loaded one in all that shapes tell, for every family."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from benchmarks.architectures import ARCHITECTURES
from foundation.bases import frozen, unloaded
from foundation.bases.memory import base_memory, latent_shape, weights_of
from foundation.bases.registry import load_base
from foundation.bases.unloaded import architecture_of, unloaded_base
from foundation.errors import BaseModelError
from foundation.tensor_memory import TensorMemory
from tests.train.tiny_families import BUILDERS, SIDE, build
from train.spec import BaseSpec

PUBLISHED = {
    "sd15": {"unet": 859.5, "text_encoder": 123.1, "vae": 83.7},
    "sd21": {"unet": 865.9, "text_encoder": 340.4, "vae": 83.7},
    "sdxl": {"unet": 2567.5, "text_encoder": 123.1, "text_encoder_2": 694.7, "vae": 83.7},
    "sd3": {"transformer": 2243.2, "text_encoder_2": 694.7, "text_encoder_3": 4762.3},
    "flux": {"transformer": 11901.4, "text_encoder_2": 4762.3},
    "chroma": {"transformer": 8900.0},
    "qwen_image": {"transformer": 20430.4, "text_encoder": 8292.2},
}
"""Millions of parameters."""


@pytest.mark.parametrize("family", BUILDERS)
def test_shapes_and_bytes_are_those_of_the_loaded_base(family: str, tmp_path: Path) -> None:
    spec = build(family, tmp_path)
    base = load_base(spec, torch.device("cpu"))
    text, ids, latents = base.encode_texts(["a cup"]).shape[1:], base.tokenize(["a cup"]).shape[1], latent_shape(base)
    with unloaded_base(spec, family, architecture_of(spec), "fp32") as (fake, memory):
        weights = weights_of(fake, spec)
        assert weights == weights_of(base, spec)
        assert sum(weights.values()) <= memory.alive <= 1.05 * sum(weights.values())
        assert fake.text_shape == base.text_shape == tuple(text)
        assert fake.num_ids == base.num_ids == ids
        assert latent_shape(fake) == latents
        counted = base_memory(fake, spec, memory, torch.float32, "cpu")
    pixels = torch.zeros(2, 3, SIDE, SIDE)
    with TensorMemory() as real, torch.no_grad(), real.peak() as peak:
        base.encode_images(pixels)
    assert counted.encoding.two - sum(weights.values()) == pytest.approx(peak[0] + pixels.nbytes, rel=0.1)


def test_a_quantised_denoiser_takes_what_libraries_keep_of_it(tmp_path: Path) -> None:
    spec = build("flux", tmp_path)
    with unloaded_base(spec, "flux", architecture_of(spec), "bf16") as (fake, _):
        whole = weights_of(fake, spec)["transformer"]
        linear = [each.weight for each in fake.denoiser.modules() if isinstance(each, torch.nn.Linear)]
        count = sum(each.numel() for each in linear)
        four = weights_of(fake, replace(spec, quantization="nf4"))["transformer"]
        eight = weights_of(fake, replace(spec, quantization="int8"))["transformer"]
    assert whole - four == pytest.approx(count * (2 - 0.5 - 4 / 64), rel=0.02)
    assert whole - eight == count - 5 * sum(len(each) for each in linear)


def test_sums_of_a_large_weight_are_taken_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    weights = torch.randn(50, 7).bfloat16()
    monkeypatch.setattr(frozen, "_SUMMED_AT_ONCE", 100)
    sums = weights.double().sum(), weights.double().square().sum()
    assert torch.allclose(frozen._sums(weights), torch.stack(sums), rtol=1e-12)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_known_architectures_have_as_many_parameters_as_was_published(name: str) -> None:
    for part, millions in PUBLISHED[name].items():
        with torch.device("meta"):
            made = unloaded._build(*ARCHITECTURES[name][part], torch.bfloat16)
        assert sum(each.numel() for each in made.parameters()) == pytest.approx(1e6 * millions, rel=1e-3)


def test_what_has_no_configs_is_refused_in_one_line(tmp_path: Path) -> None:
    spec = BaseSpec(name="none", path=str(tmp_path), resolution=64)
    with pytest.raises(BaseModelError, match=r"its model_index\.json is not to be had"):
        architecture_of(spec)
    file = tmp_path / "base.safetensors"
    file.touch()
    with pytest.raises(BaseModelError, match=r"is known once base\.parts is set"):
        architecture_of(replace(spec, path=str(file), family="sdxl"))
