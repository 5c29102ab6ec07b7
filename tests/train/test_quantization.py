"""A quantised base: what diffusers is told, what is refused, and what torchao's 8 bits train and draw on the CPU.

bitsandbytes' 4 bits want a CUDA device.
"""

from __future__ import annotations

import copy
import importlib.util
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import PipelineQuantizationConfig, StableDiffusionPipeline, TorchAoConfig
from torch import nn

from foundation.bases.port import Base
from foundation.bases.quantization import quantization_options
from foundation.bases.registry import check_base, load_base
from foundation.errors import AdapterError, ConfigError
from tests.train.test_adapter_kinds import ADAPTERS
from tests.train.test_packed import one, trained
from train.adapters import TrialAdapter
from train.caches import EncodedDataset
from train.command import main
from train.spec import AdapterSpec, BaseSpec


def test_without_a_gpu_it_is_refused_before_anything_is_loaded(
    tiny_spec: BaseSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    spec = replace(tiny_spec, quantization="nf4")
    for refuse in (lambda: check_base(spec), lambda: load_base(spec, torch.device("cpu"))):
        with pytest.raises(ConfigError, match="base.quantization=nf4 needs a CUDA device, and there is none"):
            refuse()
    check_base(tiny_spec)
    assert quantization_options(tiny_spec, "unet", torch.float32) == {}


def test_without_its_library_too(tiny_spec: BaseSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    for kind, library in (("nf4", "bitsandbytes"), ("int8", "torchao"), ("fp8", "torchao")):
        with pytest.raises(ConfigError, match=f"needs {library}; run `pip install {library}`"):
            check_base(replace(tiny_spec, quantization=kind))


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("nf4", {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "bnb_4bit_compute_dtype": torch.bfloat16}),
        ("fp4", {"load_in_4bit": True, "bnb_4bit_quant_type": "fp4", "bnb_4bit_compute_dtype": torch.bfloat16}),
    ],
)
def test_diffusers_is_told_of_the_denoiser_alone(
    kind: Any, told: dict[str, Any], tiny_spec: BaseSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    options = quantization_options(replace(tiny_spec, quantization=kind), "unet", torch.bfloat16)
    mapping = options["quantization_config"].quant_mapping
    assert set(mapping) == {"unet"}
    assert {name: getattr(mapping["unet"], name) for name in told} == told


def test_kinds_that_need_weights_as_they_are_say_so(tiny_base: Base) -> None:
    denoiser: Any = tiny_base.denoiser
    denoiser.is_loaded_in_4bit = True
    with pytest.raises(AdapterError, match="adapter loha needs a base whose weights are whole; .* take lora, locon"):
        TrialAdapter(tiny_base, "one", AdapterSpec(name="loha"), seed=0, steps=1)
    TrialAdapter(tiny_base, "two", AdapterSpec(), seed=0, steps=1)


def test_a_run_says_so_before_anything_is_loaded(
    tiny_spec: BaseSpec, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    arguments = ["+experiment=pencil", f"base.path={tiny_spec.path}", "base.quantization=nf4", "adapter=oft"]
    assert main(arguments) == 2
    assert capsys.readouterr().err.splitlines() == [
        "error: base.quantization=nf4 is for adapters of the kinds lora, locon, got oft; leave these out, "
        "or take base.quantization=int8 or fp8"
    ]


@pytest.fixture(params=["int8", "fp8"])
def kind(request: pytest.FixtureRequest) -> Any:
    pytest.importorskip("torchao")
    return request.param


def dequantized(base: Base) -> Base:
    """The same with whole weights, which are what the quantised ones stand for."""
    whole = copy.deepcopy(base)
    for layer in whole.denoiser.modules():
        if isinstance(layer, nn.Linear) and type(layer.weight.data) is not torch.Tensor:
            layer.weight = nn.Parameter(layer.weight.dequantize(), requires_grad=False)
    return whole


def test_adapters_of_all_kinds_train_as_over_the_weights_that_the_bits_stand_for(
    kind: Any, tiny_spec: BaseSpec, tiny_data: EncodedDataset
) -> None:
    base = load_base(replace(tiny_spec, quantization=kind), torch.device("cpu"))
    specs = [one("adamw", seed, adapter) for seed, (adapter, _) in enumerate(ADAPTERS.values())]
    specs = [replace(spec, train=replace(spec.train, steps=2)) for spec in specs]
    whole = dequantized(base)
    assert not torch.equal(parameters_of(whole), parameters_of(load_base(tiny_spec, torch.device("cpu"))))
    losses, _ = trained(base, tiny_data, specs)
    expected, _ = trained(whole, tiny_data, specs)
    for ours, theirs in zip(losses, expected, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-4)


def parameters_of(base: Base) -> torch.Tensor:
    return torch.cat([each.flatten() for each in base.denoiser.parameters()])


def test_pictures_are_those_of_diffusers_own_quantised_pipeline(kind: Any, tiny_spec: BaseSpec) -> None:
    from torchao.quantization import Float8WeightOnlyConfig, Int8WeightOnlyConfig

    config = {"int8": Int8WeightOnlyConfig, "fp8": Float8WeightOnlyConfig}[kind]()
    mapping = PipelineQuantizationConfig(quant_mapping={"unet": TorchAoConfig(config)})
    theirs = StableDiffusionPipeline.from_pretrained(
        tiny_spec.path, quantization_config=mapping, dtype=torch.float32, safety_checker=None
    )
    ours = load_base(replace(tiny_spec, quantization=kind), torch.device("cpu")).pipeline
    pictures = [
        pipeline(
            "a red cup", num_inference_steps=3, height=32, width=32, generator=torch.Generator().manual_seed(0)
        ).images[0]
        for pipeline in (ours, theirs)
    ]
    assert np.array_equal(*map(np.asarray, pictures))
