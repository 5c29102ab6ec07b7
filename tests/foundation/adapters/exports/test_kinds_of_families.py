"""Every kind of adapter on every family's denoiser: its kohya files act in ComfyUI as in PEFT, or there are none."""

from __future__ import annotations

import copy
from types import SimpleNamespace
from typing import Any

import peft
import pytest
import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from peft.utils import get_peft_model_state_dict
from torch import Tensor

from foundation.adapters.exports import SavedAdapter
from foundation.adapters.exports.full import full_state
from foundation.adapters.exports.kohya import kohya_state
from foundation.adapters.exports.layer_names import built_in_names, kohya_name
from foundation.adapters.files import AdapterPart, plain_config
from foundation.adapters.merge.difference import base_layers, weight_differences
from foundation.errors import AdapterError
from tests.foundation.adapters.exports import loaders, original
from tests.train.peft_adapters import injected
from tests.train.tiny_families import BUILDERS

ATTENTION = ["to_q", "to_k", "to_v", "to_out.0", "to_add_out"]
CONFIGS: dict[str, Any] = {
    "lora": peft.LoraConfig(r=2, lora_alpha=3, target_modules=ATTENTION),
    "dora": peft.LoraConfig(r=2, lora_alpha=3, use_dora=True, target_modules=ATTENTION),
    "bias": peft.LoraConfig(r=2, lora_alpha=3, lora_bias=True, target_modules=["to_out.0", "proj_mlp"]),
    "loha": peft.LoHaConfig(r=2, alpha=3, target_modules=ATTENTION),
    "lokr": peft.LoKrConfig(r=2, alpha=3, target_modules=ATTENTION),
    "ia3": peft.IA3Config(target_modules=ATTENTION, feedforward_modules=["to_out.0"]),
    "oft": peft.OFTConfig(oft_block_size=4, target_modules=["to_q", "to_k"]),
}
FUSED = ("flux", "chroma", "flux2", "sd3")
UNWRITTEN = {(each, kind) for each in FUSED for kind in ("ia3", "bias")} | {(each, "oft") for each in built_in_names()}
"""Which there is no kohya file of, but for the one of differences."""


@pytest.fixture(scope="module", params=BUILDERS)
def base(request: pytest.FixtureRequest) -> tuple[str, str, Any]:
    """A family as the exports call it, its denoiser's part, and the denoiser."""
    torch.manual_seed(0)
    pipe = BUILDERS[request.param]()
    part = "unet" if hasattr(pipe, "unet") else "transformer"
    return {"stable_diffusion": "sd1"}.get(request.param, request.param), part, getattr(pipe, part)


@pytest.mark.parametrize("kind", CONFIGS)
def test_a_kind_in_a_family(kind: str, base: tuple[str, str, Any]) -> None:
    name, part, denoiser = base
    family, config = built_in_names()[name], CONFIGS[kind]
    module = injected(denoiser, config)
    state = {key: tensor.clone() for key, tensor in get_peft_model_state_dict(module, adapter_name="theirs").items()}
    adapter = SavedAdapter({part: AdapterPart(state, plain_config(config))})
    if (name, kind) == ("flux2", "bias"):  # whose layers have none
        with pytest.raises(RuntimeError, match="the base layer has no bias"):
            merged(module)
        return
    wanted = merged(module)
    fused = family.places is not None
    own_names = {kohya_name(family, part, layer): layer for layer in wanted}
    whole = full_state(weight_differences(SimpleNamespace(**{part: copy.deepcopy(denoiser)}), adapter), family)
    if fused:
        assert_added(original.in_diffusers(name, whole), denoiser, wanted)
    else:
        assert_acts(whole, own_names, denoiser, wanted)
    plain = base_layers(SimpleNamespace(**{part: denoiser}))
    if (name, kind) in UNWRITTEN:
        with pytest.raises(AdapterError, match="export formats full"):
            kohya_state(adapter, family, plain)
        return
    small = kohya_state(adapter, family, plain)
    if fused and kind == "lora":
        assert_added(original.in_diffusers(name, small), denoiser, wanted)
    else:
        unfused = {f"lora_transformer_{layer.replace('.', '_')}": layer for layer in wanted}
        assert_acts(small, unfused if fused else own_names, denoiser, wanted)


def merged(module: Any) -> dict[str, tuple[Tensor, Tensor | None]]:
    """Weight and bias of each layer as PEFT merges them."""
    found = {}
    for name, layer in module.named_modules():
        if isinstance(layer, BaseTunerLayer):
            layer.merge(adapter_names=["theirs"])
            found[name] = layer.get_base_layer().weight.detach(), layer.get_base_layer().bias
    return found


def assert_acts(state: dict[str, Tensor], names: dict[str, str], denoiser: Any, wanted: dict[str, Any]) -> None:
    """In ComfyUI each layer has PEFT's weight and bias, and all of the file is read."""
    found = loaders.by_layer(state)
    assert found.keys() == names.keys()
    for key, tensors in found.items():
        layer = denoiser.get_submodule(names[key])
        loaded = loaders.comfyui(layer.weight.detach(), None if layer.bias is None else layer.bias.detach(), tensors)
        assert loaded.read == tensors.keys()
        weight, bias = wanted[names[key]]
        assert not torch.allclose(weight, layer.weight)
        torch.testing.assert_close(loaded.weight, weight, rtol=1e-5, atol=1e-6)
        if bias is not None:
            torch.testing.assert_close(loaded.bias, bias, rtol=1e-5, atol=1e-6)


def assert_added(converted: dict[str, Tensor], denoiser: Any, wanted: dict[str, Any]) -> None:
    """What is added to the original's layers is, in diffusers', what PEFT adds; to no other layer anything."""
    changed = {key for key, tensor in converted.items() if tensor.any()}
    assert {key.rpartition(".")[0] for key in changed} == wanted.keys()
    for key in changed:
        layer, _, which = key.rpartition(".")
        after = wanted[layer][which == "bias"]
        torch.testing.assert_close(
            getattr(denoiser.get_submodule(layer), which) + converted[key], after, rtol=1e-5, atol=1e-6
        )
    for layer, (_, bias) in wanted.items():
        if bias is not None and f"{layer}.bias" not in changed:
            torch.testing.assert_close(denoiser.get_submodule(layer).bias, bias)
