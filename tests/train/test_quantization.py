"""A quantised base: what diffusers is told, and what is refused. No GPU is here to load one."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from typing import Any

import pytest
import torch

from foundation.bases.port import Base
from foundation.bases.quantization import quantization_options
from foundation.bases.registry import check_base, load_base
from foundation.errors import AdapterError, ConfigError
from train.adapters import TrialAdapter
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


def test_without_bitsandbytes_too(tiny_spec: BaseSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="run `pip install bitsandbytes`"):
        check_base(replace(tiny_spec, quantization="int8"))


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("nf4", {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "bnb_4bit_compute_dtype": torch.bfloat16}),
        ("fp4", {"load_in_4bit": True, "bnb_4bit_quant_type": "fp4", "bnb_4bit_compute_dtype": torch.bfloat16}),
        ("int8", {"load_in_8bit": True, "load_in_4bit": False}),
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


def test_kinds_that_need_whole_weights_say_so(tiny_base: Base) -> None:
    denoiser: Any = tiny_base.denoiser
    denoiser.is_quantized = True
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
        "or leave base.quantization null"
    ]
