"""PEFT's initialisations and the fields of its configs: what each does in a pack is what it does in plain PEFT."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import peft
import pytest
import torch

from foundation.bases.port import Base
from foundation.errors import AdapterError, ConfigError
from tests.train.plain_training import ATTENTION, plain_training
from tests.train.test_packed import STEPS, assert_same, doubled, one, trained
from train.adapters import TrialAdapter
from train.caches import EncodedDataset
from train.spec import AdapterSpec, BaseSpec, TrainingSpec, TrialSpec

NewBase = Callable[[], Base]


def lora(**settings: Any) -> peft.LoraConfig:
    return peft.LoraConfig(**{"r": 4, "lora_alpha": 4, "target_modules": ATTENTION, **settings})


FIELDS: dict[str, tuple[AdapterSpec, peft.LoraConfig]] = {
    "pissa": (
        AdapterSpec(rank=4, init="pissa", rslora=True, rank_pattern={"to_q": 2}, alpha_pattern={"to_k": 1.5}),
        lora(init_lora_weights="pissa", use_rslora=True, rank_pattern={"to_q": 2}, alpha_pattern={"to_k": 1.5}),
    ),
    "olora": (AdapterSpec(rank=3, alpha_ratio=0.5, init="olora"), lora(r=3, lora_alpha=1.5, init_lora_weights="olora")),
    "gaussian": (AdapterSpec(rank=4, init="gaussian"), lora(init_lora_weights="gaussian")),
    "orthogonal": (AdapterSpec(rank=4, init="orthogonal"), lora(init_lora_weights="orthogonal")),
    "lora_bias": (AdapterSpec(rank=4, dropout=0.1, lora_bias=True), lora(lora_dropout=0.1, lora_bias=True)),
    "exclude": (AdapterSpec(rank=4, exclude=("attn2.to_q", "to_v")), lora(exclude_modules=["attn2.to_q", "to_v"])),
    "exclude by expression": (AdapterSpec(rank=4, exclude="up_blocks.*"), lora(exclude_modules="up_blocks.*")),
    "targets by expression": (
        AdapterSpec(rank=4, targets=r".*attn2[.]to_[kv]"),
        lora(target_modules=r".*attn2[.]to_[kv]"),
    ),
    "layers": (
        AdapterSpec(rank=4, layers=(1,), layers_pattern="up_blocks"),
        lora(layers_to_transform=[1], layers_pattern="up_blocks"),
    ),
}


@pytest.fixture(scope="module")
def together(loaded_base: Base, tiny_data: EncodedDataset) -> dict[str, tuple[list[float], list[torch.Tensor]]]:
    """Losses and parameters of them all, trained in two packs in float64."""
    specs = [one("adamw", number, spec) for number, (spec, _) in enumerate(FIELDS.values())]
    packs = [trained(doubled(copy.deepcopy(loaded_base)), tiny_data, some) for some in (specs[:5], specs[5:])]
    results = [result for losses, parameters in packs for result in zip(losses, parameters, strict=True)]
    return dict(zip(FIELDS, results, strict=True))


@pytest.mark.parametrize("field", FIELDS)
def test_in_float64_it_trains_as_plain_peft(
    field: str, together: Any, tiny_spec: BaseSpec, tiny_data: EncodedDataset
) -> None:
    spec, config = FIELDS[field]
    trial = one("adamw", list(FIELDS).index(field), spec)
    configs = [copy.deepcopy(config)]
    losses, parameters = plain_training(tiny_spec, tiny_data, trial, STEPS, torch.float64, configs=configs)
    assert together[field][0] == pytest.approx(losses, abs=1e-10)
    assert_same(together[field][1], parameters, 1e-8)


def test_mica_too_in_the_float32_that_peft_asks_for(
    new_base: NewBase, tiny_spec: BaseSpec, tiny_data: EncodedDataset
) -> None:
    trial = one("adamw", 1, AdapterSpec(rank=2, init="mica"))
    (losses,), (parameters,) = trained(new_base(), tiny_data, [trial])
    plain, _ = plain_training(
        tiny_spec, tiny_data, trial, STEPS, configs=[lora(r=2, lora_alpha=2, init_lora_weights="mica")]
    )
    assert losses == pytest.approx(plain, abs=1e-4)
    assert {len(parameter) for parameter in parameters} == {2}  # A alone is trained


def test_pissa_leaves_the_shared_base_to_the_bit(tiny_base: Base) -> None:
    before = {name: tensor.clone() for name, tensor in tiny_base.denoiser.state_dict().items()}
    for init in ("pissa", "pissa_niter_2", "olora"):
        TrialAdapter(tiny_base, "one", AdapterSpec(rank=2, init=init), seed=0, steps=1)
    after = tiny_base.denoiser.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())


def test_all_linear_is_every_linear_layer_and_conv_ranks_are_for_wide_windows(tiny_base: Base) -> None:
    linear = TrialAdapter(tiny_base, "one", AdapterSpec(targets="all-linear"), seed=0, steps=1)
    part = linear.part_in(tiny_base.denoiser)
    assert part is not None
    modules = dict(tiny_base.denoiser.named_modules())
    assert set(part.products) == {name for name, each in modules.items() if isinstance(each, torch.nn.Linear)}
    locon = TrialAdapter(
        tiny_base, "two", AdapterSpec(name="locon", rank=6, conv_rank=2, conv_alpha_ratio=0.5), seed=0, steps=1
    )
    part = locon.part_in(tiny_base.denoiser)
    assert part is not None
    convolutions = {name: each for name, each in modules.items() if isinstance(each, torch.nn.Conv2d)}
    of_blocks = {name for name in convolutions if name not in ("conv_in", "conv_out")}
    assert of_blocks <= set(part.products)
    for name, product in part.products.items():
        wide = name in convolutions and convolutions[name].kernel_size == (3, 3)
        assert (product.rank, product.scale) == ((2, 0.5) if wide else (6, 1.0)), name


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (AdapterSpec(targets=("no_such_layer",)), "adapter.targets no_such_layer fits no layer"),
        (AdapterSpec(targets=".*attn1"), "adapter lora does not fit the base: Target module Attention"),
        (
            AdapterSpec(name="oft", targets=("conv1",)),
            "oft is for linear layers and 1 × 1 convolutions, got down_blocks",
        ),
        (AdapterSpec(init="pissa", targets=("conv1",)), "init=pissa is for linear layers, got a Conv2d"),
        (AdapterSpec(init="pissa", rank=9), "needs ranks up to a layer's width, got 9 for one of 8"),
        (AdapterSpec(init="mica", rank=9), "MiCA requires `r` <= min"),
    ],
)
def test_what_only_the_base_can_tell_is_refused_in_one_line(spec: AdapterSpec, words: str, tiny_base: Base) -> None:
    with pytest.raises(AdapterError, match=words) as caught:
        TrialAdapter(tiny_base, "one", spec, seed=0, steps=1)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"name": "ia3", "rank": 8}, "adapter.rank means nothing for ia3, got 8; it is for lora, locon, loha"),
        ({"name": "loha", "dora": True}, "adapter.dora means nothing for loha"),
        ({"factor": 4}, "adapter.factor means nothing for lora, got 4; it is for lokr"),
        ({"bias": "all"}, "adapter.bias must be none, got all: it trains the base's own biases"),
        ({"modules_to_save": ("conv_in",)}, "adapter.modules_to_save must be empty"),
        ({"targets": "atention"}, "got 'atention'; did you mean attention?"),
        ({"targets": ".*(to_q"}, "adapter.targets is no regular expression"),
        ({"exclude": "to_q"}, "adapter.exclude must be a list of names or a regular expression"),
        ({"targets": ".*to_q", "layers": (1,)}, "adapter.layers needs a preset or a list"),
        ({"layers_pattern": "up_blocks"}, "adapter.layers_pattern needs adapter.layers"),
        ({"name": "oft", "targets": "all"}, "must leave convolutions out for oft"),
        ({"init": False}, "adapter.init must not be false here: it starts away from the base"),
        ({"init": "eva"}, "wants the activations of a first pass"),
        ({"init": "loftq"}, "quantises the base anew, which all trials share"),
        ({"init": "pisa"}, "got 'pisa'; did you mean pissa?"),
        ({"init": "pissa", "targets": "all"}, "adapter.init=pissa is for linear layers"),
        ({"init": "pissa", "dropout": 0.1}, "adapter.init=pissa needs adapter.dropout=0"),
        ({"init": "olora", "dora": True}, "adapter.init=olora does not go with adapter.dora"),
        ({"init": "orthogonal", "rank": 3}, "adapter.rank must be even"),
        ({"lora_bias": True, "dora": True}, "adapter.lora_bias does not go with adapter.dora"),
        ({"lora_bias": True, "init": "gaussian"}, "adapter.lora_bias needs adapter.init=true"),
        ({"name": "lokr", "init": "pissa"}, "adapter.init must be true or lycoris for lokr"),
        ({"name": "adalora", "rank": 1}, "adapter.rank must be 2 or more for adalora"),
        ({"name": "adalora", "budget_warmup": 0.5, "budget_final": 0.5}, "must leave steps between them"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_runs(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        AdapterSpec(**settings)
    (problem,) = caught.value.problems
    assert words in problem
    assert "\n" not in problem


def test_adaloras_schedule_counts_steps_that_fp16_would_skip() -> None:
    with pytest.raises(ValueError, match="adapter=adalora needs train.precision fp32 or bf16"):
        TrialSpec(adapter=AdapterSpec(name="adalora"), train=TrainingSpec(precision="fp16"))
