"""SD3's and FLUX's LoRAs in the layout of the original code, where query, key and value are one layer."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from diffusers import FluxTransformer2DModel, SD3Transformer2DModel
from diffusers.loaders.lora_conversion_utils import _convert_kohya_flux_lora_to_diffusers
from safetensors import safe_open
from torch import Tensor, nn

from foundation.adapters.exports import About, SavedAdapter, write_format
from foundation.adapters.exports.kohya import kohya_state
from foundation.adapters.exports.layer_names import built_in_names
from foundation.adapters.exports.layers import BaseLayer, layers_of
from foundation.adapters.files import AdapterPart, lora_config
from foundation.errors import AdapterError
from tests.foundation.adapters.exports import lycoris


def lora(layers: dict[str, nn.Linear], ranks: tuple[int, ...], alphas: dict[str, float]) -> SavedAdapter:
    """A random LoRA on some layers, which take turns in their ranks."""
    generator = torch.Generator().manual_seed(0)
    by_layer = {name: ranks[number % len(ranks)] for number, name in enumerate(layers)}
    state = {}
    for name, layer in layers.items():
        state[f"{name}.lora_A.weight"] = torch.randn(by_layer[name], layer.in_features, generator=generator)
        state[f"{name}.lora_B.weight"] = torch.randn(layer.out_features, by_layer[name], generator=generator)
    config = lora_config(by_layer)
    config["alpha_pattern"] = {**alphas, **config["alpha_pattern"]}
    return SavedAdapter({"transformer": AdapterPart(state, config)})


@pytest.fixture(scope="module")
def flux() -> dict[str, nn.Linear]:
    """FLUX.1's layers at their real size, a block of each kind; without memory."""
    with torch.device("meta"):
        model = FluxTransformer2DModel(num_layers=1, num_single_layers=1)
    return {name: layer for name, layer in model.named_modules() if isinstance(layer, nn.Linear)}


@pytest.mark.parametrize("ranks", [(4,), (1, 2, 5)])
@pytest.mark.parametrize("left_out", [None, "to_k", "proj_mlp"])
def test_diffusers_reads_flux_as_it_was(
    ranks: tuple[int, ...], left_out: str | None, flux: dict[str, nn.Linear]
) -> None:
    """diffusers' reader as it is, at the one width that it knows: the same update of every layer."""
    layers = {
        name: layer
        for name, layer in flux.items()
        if "blocks.0." in name and not (left_out and name.endswith(left_out))
    }
    adapter = lora(layers, ranks, {"to_v": 2.0})
    read = _convert_kohya_flux_lora_to_diffusers(kohya_state(adapter, built_in_names()["flux"]))
    for layer in layers_of(adapter.parts["transformer"], "a test"):
        probe = torch.ones(flux[layer.name].in_features)
        ours = layer.scale * layer.tensors["lora_B"] @ (layer.tensors["lora_A"] @ probe)
        down, up = (read.pop(f"transformer.{layer.name}.lora_{side}.weight") for side in "AB")
        torch.testing.assert_close(up @ (down @ probe), ours, rtol=1e-4, atol=1e-2)
        if len(ranks) == 1 and left_out is None:
            assert len(down) == layer.rank  # equal ranks come apart again
    assert all(not tensor.any() for name, tensor in read.items() if name.endswith("lora_B.weight"))
    assert {name for name in read if left_out is None} == set()


def test_layers_outside_of_blocks(flux: dict[str, nn.Linear]) -> None:
    layers = {name: layer for name, layer in flux.items() if "blocks." not in name}
    state = kohya_state(lora(layers, (2,), {}), built_in_names()["flux"])
    names = {key.partition(".")[0].removeprefix("lora_unet_") for key in state}
    embedders = {f"{name}_{side}_layer" for name in ("time_in", "vector_in", "guidance_in") for side in ("in", "out")}
    final = {"final_layer_linear", "final_layer_adaLN_modulation_1"}
    assert names >= {"img_in", "txt_in"} | final and names <= {"img_in", "txt_in"} | final | embedders
    read = _convert_kohya_flux_lora_to_diffusers(state)  # docs/exports.md tells that diffusers leaves these out
    assert read and not any(name.startswith("transformer.") for name in read)


def test_shift_and_scale_change_places_where_there_is_no_gate() -> None:
    with torch.device("meta"):
        model = SD3Transformer2DModel(
            num_layers=2, num_attention_heads=2, attention_head_dim=4, caption_projection_dim=8
        )
    names = [
        "transformer_blocks.0.norm1_context.linear",
        "transformer_blocks.1.norm1_context.linear",
        "norm_out.linear",
    ]
    adapter = lora({name: model.get_submodule(name) for name in names}, (2,), {})
    state = kohya_state(adapter, built_in_names()["sd3"])
    part = adapter.parts["transformer"].state
    for name, original, swapped in [
        (names[0], "lora_unet_joint_blocks_0_context_block_adaLN_modulation_1", False),
        (names[1], "lora_unet_joint_blocks_1_context_block_adaLN_modulation_1", True),
        (names[2], "lora_unet_final_layer_adaLN_modulation_1", True),
    ]:
        up: Tensor = part[f"{name}.lora_B.weight"]
        scale, shift = up[:8], up[8:]
        assert torch.equal(state[f"{original}.lora_up.weight"], torch.cat([shift, scale]) if swapped else up)


def test_scales_that_differ_go_into_the_ups() -> None:
    layers = {f"transformer_blocks.0.attn.{name}": nn.Linear(6, 6) for name in ("to_q", "to_k", "to_v")}
    adapter = lora(layers, (2, 1, 3), {"to_k": 5.0, "to_v": 0.5})
    state = kohya_state(adapter, built_in_names()["sd3"])
    prefix = "lora_unet_joint_blocks_0_x_block_attn_qkv"
    update = lycoris.update({key.removeprefix(f"{prefix}."): tensor.double() for key, tensor in state.items()})
    parts = {layer.name: layer for layer in layers_of(adapter.parts["transformer"], "a test")}
    ours = [
        layer.scale * layer.tensors["lora_B"] @ layer.tensors["lora_A"] for layer in map(parts.get, layers) if layer
    ]
    assert len({layer.scale for layer in parts.values()}) > 1
    torch.testing.assert_close(update.float(), torch.cat(ours))


def test_kinds_that_cannot_be_fused_keep_diffusers_names() -> None:
    loha = {f"transformer_blocks.0.attn.to_q.hada_w{i}_{side}": torch.ones(2, 2) for i in (1, 2) for side in "ab"}
    dora = lora({"transformer_blocks.0.attn.to_q": nn.Linear(6, 6)}, (2,), {}).parts["transformer"]
    dora = AdapterPart(
        {**dora.state, "transformer_blocks.0.attn.to_q.lora_magnitude_vector": torch.ones(6)}, dora.config
    )
    for part in (AdapterPart(loha, {"peft_type": "LOHA", "r": 2, "alpha": 2}), dora):
        state = kohya_state(
            SavedAdapter({"transformer": part}), built_in_names()["sd3"], lambda _, __: BaseLayer(torch.eye(6), None)
        )
        assert {key.partition(".")[0] for key in state} == {"lora_transformer_transformer_blocks_0_attn_to_q"}


def test_what_has_no_place_is_refused(tmp_path: Path) -> None:
    """A FLUX of another make; and what is in the header of one that has."""
    adapter = lora({"transformer_blocks.0.attn.to_q": nn.Linear(6, 6), "strange": nn.Linear(6, 6)}, (2,), {})
    with pytest.raises(AdapterError, match="no name for strange; export formats diffusers, peft or merged instead"):
        write_format("kohya", adapter, tmp_path, About(family="flux"))
    good = lora({"transformer_blocks.0.attn.to_q": nn.Linear(6, 6)}, (2,), {})
    with safe_open(write_format("kohya", good, tmp_path, About(family="flux")), "pt") as opened:
        header = opened.metadata()
    assert header["ss_network_module"] == "networks.lora_flux" and header["ss_base_model_version"] == "flux1"
    assert header["modelspec.implementation"] == "https://github.com/black-forest-labs/flux"
    assert header["ss_network_dim"] == "2" and math.isclose(float(header["ss_network_alpha"]), 2)
