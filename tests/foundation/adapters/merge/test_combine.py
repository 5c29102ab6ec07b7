"""Combining is PEFT's `add_weighted_adapter` without the base; resizing is the singular value decomposition's best."""

from __future__ import annotations

import copy
import warnings
from pathlib import Path
from typing import Any, get_args

import peft
import pytest
import torch
from diffusers import UNet2DConditionModel
from peft.tuners.lora import LoraLayer, LoraModel
from peft.utils import get_peft_model_state_dict
from torch import Tensor, nn

from foundation.adapters.exports import SavedAdapter
from foundation.adapters.exports.layers import layers_of
from foundation.adapters.files import AdapterPart, plain_config
from foundation.adapters.merge.combine import combine
from foundation.adapters.merge.recipe import Method, Recipe
from foundation.adapters.merge.resize import resize
from foundation.errors import AdapterError

LAYERS = ["to_q", "to_k", "conv1", "conv_shortcut"]
ONE = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"
WEIGHTS = (0.75, -0.5)
DENSITY = 0.6
CLOSE = {"rtol": 1e-6, "atol": 1e-6}
"""PEFT keeps weights in float32."""


@pytest.fixture(scope="module")
def unet(tiny_pipeline: Path) -> Any:
    return UNet2DConditionModel.from_pretrained(tiny_pipeline, subfolder="unet").double()


def two(unet: nn.Module, one: peft.LoraConfig, other: peft.LoraConfig) -> tuple[peft.PeftModel, list[SavedAdapter]]:
    """PEFT's model with adapters `a` and `b` of random weights, and these as they would be read from files."""
    torch.manual_seed(0)
    model = peft.PeftModel(copy.deepcopy(unet), one, "a")
    model.add_adapter("b", other)
    for name, parameter in model.named_parameters():
        if ".lora_" in name:
            parameter.data = torch.randn_like(parameter)
    adapters = []
    for name, config in {"a": one, "b": other}.items():
        state = get_peft_model_state_dict(model, adapter_name=name)
        state = {key.removeprefix("base_model.model."): tensor.clone() for key, tensor in state.items()}
        adapters.append(SavedAdapter({"unet": AdapterPart(state, plain_config(config))}))
    return model, adapters


def lora(**settings: Any) -> peft.LoraConfig:
    return peft.LoraConfig(**{"r": 3, "lora_alpha": 2, "target_modules": LAYERS} | settings)


def theirs(model: peft.PeftModel, recipe: Recipe) -> dict[str, Tensor]:
    """The updates of PEFT's own combination, layer by layer."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(recipe.seed)
        model.add_weighted_adapter(["a", "b"], list(WEIGHTS), "new", recipe.method, recipe.rank, density=recipe.density)
    return {
        name: layer.get_delta_weight("new")
        for name, layer in model.get_base_model().named_modules()
        if isinstance(layer, LoraLayer)
    }


def updates(adapter: SavedAdapter) -> dict[str, Tensor]:
    """ΔW of each layer (out, in·k·k)."""
    return {
        layer.name: layer.scale * layer.tensors["lora_B"].flatten(1) @ layer.tensors["lora_A"].flatten(1)
        for layer in layers_of(adapter.parts["unet"], "a test")
    }


@pytest.mark.parametrize("method", [method for method in get_args(Method) if not method.startswith("dare")])
def test_methods(method: Method, unet: nn.Module) -> None:
    recipe = Recipe(method=method, density=DENSITY)
    model, adapters = two(unet, lora(), lora(lora_alpha=5, use_rslora=True))
    ours = updates(combine(adapters, WEIGHTS, recipe))
    reference = theirs(model, recipe)
    assert ours.keys() == reference.keys()
    for name, update in reference.items():
        torch.testing.assert_close(ours[name].reshape(update.shape), update, **CLOSE)


@pytest.mark.parametrize("method", [method for method in get_args(Method) if method.startswith("dare")])
def test_methods_of_chance(method: Method, unet: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    """On one layer, where PEFT and we ask for chance in the same order; what it draws for a start apart."""
    inject = LoraModel.inject_adapter

    def without_chance(*args: Any, **kwargs: Any) -> None:
        with torch.random.fork_rng():
            inject(*args, **kwargs)

    monkeypatch.setattr(LoraModel, "inject_adapter", without_chance)
    recipe = Recipe(method=method, density=DENSITY, seed=3)
    model, adapters = two(unet, lora(target_modules=[ONE]), lora(target_modules=[ONE], lora_alpha=5))
    (ours,) = updates(combine(adapters, WEIGHTS, recipe)).values()
    torch.testing.assert_close(ours, theirs(model, recipe)[ONE], **CLOSE)
    (again,) = updates(combine(adapters, WEIGHTS, recipe)).values()
    assert torch.equal(ours, again)


def test_other_layers_and_ranks(unet: nn.Module) -> None:
    """A layer that only one has is combined of this one; cat and svd take any ranks."""
    model, adapters = two(unet, lora(target_modules=["to_q", "to_k"]), lora(target_modules=["to_q"], r=5))
    for recipe in (Recipe(method="cat"), Recipe(method="svd"), Recipe(method="svd", rank=2)):
        ours = updates(combine(adapters, WEIGHTS, recipe))
        reference = theirs(copy.deepcopy(model), recipe)
        assert ours.keys() == reference.keys()
        for name, update in reference.items():
            torch.testing.assert_close(ours[name], update, **CLOSE)
    with pytest.raises(AdapterError, match="has ranks 3 and 5: linear adds up factors; take method cat or svd"):
        combine(adapters, WEIGHTS, Recipe())


def test_what_cannot_be_combined(unet: nn.Module) -> None:
    _, (one, dora) = two(unet, lora(), lora(use_dora=True))
    with pytest.raises(AdapterError, match="a combination takes no DoRA"):
        combine([one, dora], WEIGHTS, Recipe())
    loha = SavedAdapter({"unet": AdapterPart({}, {"peft_type": "LOHA", "r": 1, "alpha": 1})})
    with pytest.raises(AdapterError, match="a combination takes LoRA only, got LOHA"):
        combine([one, loha], WEIGHTS, Recipe())
    with pytest.raises(AdapterError, match="2 LoRAs, 1 weights"):
        combine([one, one], WEIGHTS[:1], Recipe())
    state = {name: tensor.repeat_interleave(2, 1) for name, tensor in one.parts["unet"].state.items() if "_A" in name}
    wider = SavedAdapter({"unet": AdapterPart({**one.parts["unet"].state, **state}, one.parts["unet"].config)})
    with pytest.raises(AdapterError, match="of different bases"):
        combine([one, wider], WEIGHTS, Recipe())


def test_a_resize_keeps_the_most_that_a_rank_can(unet: nn.Module) -> None:
    _, (adapter, _) = two(unet, lora(r=6, rank_pattern={"to_k": 2}), lora())
    before = updates(adapter)
    resized = resize(adapter, 3)
    after = updates(resized.adapter)
    lost, total, shares = 0.0, 0.0, {}
    for name, update in before.items():
        values = torch.linalg.svdvals(update).square()
        rank = 2 if name.endswith("to_k") else 3
        best = values[rank:].sum().item()
        assert (update - after[name]).square().sum().item() == pytest.approx(best, abs=1e-9)  # Eckart–Young
        shares[name] = (values[:rank].sum() / values.sum()).sqrt().item()
        lost, total = lost + best, total + values.sum().item()
    assert resized.kept == pytest.approx((1 - lost / total) ** 0.5)
    assert resized.worst == pytest.approx(min(shares.values()))
    assert shares[resized.worst_layer.removeprefix("unet.")] == pytest.approx(resized.worst)
    assert {layer.rank for layer in layers_of(resized.adapter.parts["unet"], "")} == {2, 3}
    same = resize(adapter, 99)
    assert same.kept == pytest.approx(1)
    for name, update in updates(same.adapter).items():
        torch.testing.assert_close(update, before[name], **CLOSE)
    with pytest.raises(AdapterError, match="rank must be 1 or more, got 0"):
        resize(adapter, 0)
