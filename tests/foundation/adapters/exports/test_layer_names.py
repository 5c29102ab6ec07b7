"""Each family's names, held against diffusers' own reader of kohya files."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import torch
from diffusers import UNet2DConditionModel
from diffusers.loaders.lora_conversion_utils import (
    _convert_non_diffusers_lora_to_diffusers,
    _maybe_map_sgm_blocks_to_diffusers,
)
from diffusers.utils import convert_unet_state_dict_to_peft
from peft.utils.other import get_pattern_key
from safetensors import safe_open
from torch import Tensor, nn

from foundation.adapters.exports import About, SavedAdapter, about_of, readers_of, write_format
from foundation.adapters.exports.kohya import kohya_state
from foundation.adapters.exports.layer_names import built_in_names, names_of, version_of
from foundation.adapters.exports.layers import BaseLayer, layers_of
from foundation.adapters.files import AdapterPart, lora_config
from foundation.errors import AdapterError


def lora_part(layers: dict[str, int], width: int = 6) -> AdapterPart:
    """A LoRA of layers by rank, on layers of one width."""
    state: dict[str, Tensor] = {}
    for number, (name, rank) in enumerate(layers.items()):
        state[f"{name}.lora_A.weight"] = torch.full((rank, width), float(number))
        state[f"{name}.lora_B.weight"] = torch.full((width, rank), float(-number))
    return AdapterPart(state, lora_config(layers))


@pytest.fixture(scope="module")
def sdxl_unet() -> nn.Module:
    """SDXL's blocks, two transformer layers where it has ten, all of them thin."""
    return UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(4, 8, 8),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        layers_per_block=2,
        transformer_layers_per_block=(1, 2, 2),
        cross_attention_dim=8,
        attention_head_dim=2,
        norm_num_groups=4,
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=4,
        projection_class_embeddings_input_dim=32,
    )


def test_sdxl_names_are_stabilitys_as_diffusers_reads_them(sdxl_unet: nn.Module) -> None:
    """Every layer of the UNet that can be adapted comes back under its own name."""
    names = [name for name, module in sdxl_unet.named_modules() if isinstance(module, nn.Linear | nn.Conv2d)]
    adapter = SavedAdapter(
        {"unet": lora_part(dict.fromkeys(names, 2)), "text_encoder_2": lora_part({"text_projection": 2})}
    )
    assert version_of(adapter) == "sdxl"
    state = kohya_state(adapter, built_in_names()["sdxl"])
    assert "lora_te2_text_projection.lora_down.weight" in state
    ours = {key: tensor for key, tensor in state.items() if key.startswith("lora_unet_")}
    assert not any("_blocks_0_resnets" in key or "down_blocks" in key for key in ours)
    mapped = _maybe_map_sgm_blocks_to_diffusers(dict(ours), sdxl_unet.config)
    converted, alphas = _convert_non_diffusers_lora_to_diffusers(mapped)
    read = convert_unet_state_dict_to_peft({key.removeprefix("unet."): value for key, value in converted.items()})
    assert set(read) == set(adapter.parts["unet"].state)
    assert all(torch.equal(read[key], value) for key, value in adapter.parts["unet"].state.items())
    assert set(alphas.values()) == {2.0}


@pytest.mark.parametrize(
    ("family", "parts", "names"),
    [
        (
            "sd1",
            {"unet": {"mid_block.attentions.0.proj_in": 2}, "text_encoder": {"encoder.layers.0.mlp.fc1": 3}},
            ["lora_unet_mid_block_attentions_0_proj_in", "lora_te_text_model_encoder_layers_0_mlp_fc1"],
        ),
        (
            "sdxl",
            {
                "text_encoder": {"encoder.layers.1.self_attn.q_proj": 1},
                "text_encoder_2": {"encoder.layers.0.self_attn.k_proj": 1},
            },
            [
                "lora_te1_text_model_encoder_layers_1_self_attn_q_proj",
                "lora_te2_text_model_encoder_layers_0_self_attn_k_proj",
            ],
        ),
        (
            "sd3",
            {
                "transformer": {"transformer_blocks.0.attn.to_q": 1, "pos_embed.proj": 1},
                "text_encoder_3": {"encoder.block.0.layer.0.SelfAttention.q": 1},
            },
            [
                "lora_unet_x_embedder_proj",
                "lora_unet_joint_blocks_0_x_block_attn_qkv",
                "lora_te3_encoder_block_0_layer_0_SelfAttention_q",
            ],
        ),
        (
            "flux",
            {"transformer": {"single_transformer_blocks.3.attn.to_k": 1}, "text_encoder_2": {"encoder.block.0.x": 1}},
            ["lora_unet_single_blocks_3_linear1", "lora_te3_encoder_block_0_x"],
        ),
        (
            "qwen_image",
            {"transformer": {"transformer_blocks.7.attn.to_q": 1, "transformer_blocks.7.img_mlp.net.2": 1}},
            ["lora_unet_transformer_blocks_7_attn_to_q", "lora_unet_transformer_blocks_7_img_mlp_net_2"],
        ),
    ],
)
def test_prefixes(family: str, parts: dict[str, dict[str, int]], names: list[str]) -> None:
    adapter = SavedAdapter({part: lora_part(layers) for part, layers in parts.items()})
    assert version_of(adapter) == family
    assert list(dict.fromkeys(key.partition(".")[0] for key in kohya_state(adapter, built_in_names()[family]))) == names


@pytest.mark.parametrize(("width", "family"), [(768, "sd1"), (1024, "sd2"), (2048, "sdxl")])
def test_a_unets_family_by_its_text(width: int, family: str) -> None:
    assert version_of(SavedAdapter({"unet": lora_part({"down_blocks.1.attn2.to_k": 1}, width)})) == family


@pytest.mark.parametrize(
    ("layer", "width", "family"),
    [
        ("transformer_blocks.0.attn.to_q", 1536, "sd3"),
        ("transformer_blocks.37.attn.to_q", 2432, "sd3"),
        ("transformer_blocks.18.attn.to_q", 3072, "flux"),
        ("transformer_blocks.19.attn.to_q", 3072, "qwen_image"),
        ("transformer_blocks.0.txt_mod.1", 3072, "qwen_image"),
    ],
)
def test_a_transformers_family_by_its_layers(layer: str, width: int, family: str) -> None:
    adapter = SavedAdapter({"transformer": lora_part({layer: 1}, width)})
    assert version_of(adapter) == family
    assert names_of(adapter) is built_in_names()[family]
    assert names_of(adapter, "qwen_image") is built_in_names()["qwen_image"]


@pytest.mark.parametrize(("told", "family"), [("stable_diffusion", "sd2"), ("sdxl", "sdxl"), ("", "sd2")])
def test_a_unets_family_as_it_is_told(told: str, family: str) -> None:
    adapter = SavedAdapter({"unet": lora_part({"down_blocks.1.attn2.to_k": 1}, 1024)})
    family_of_config = about_of({"base": {"family": told or "auto"}}, title="x").family
    assert names_of(adapter, family_of_config) is built_in_names()[family]


TRAINER = "kohya's trainer"


@pytest.mark.parametrize(
    ("family", "plain", "others"),
    [
        ("stable_diffusion", ("A1111", "Forge", "ComfyUI", TRAINER, "diffusers"), ("A1111", "Forge", "ComfyUI")),
        ("sd3", ("Forge", "ComfyUI", TRAINER), ("ComfyUI",)),
        ("flux", ("Forge", "ComfyUI", TRAINER, "diffusers"), ("Forge", "ComfyUI")),
        ("qwen_image", ("ComfyUI", "musubi-tuner", "diffusers"), ("ComfyUI",)),
    ],
)
def test_who_reads_a_kohya_file(family: str, plain: tuple[str, ...], others: tuple[str, ...]) -> None:
    about = About(family=family)
    part = "unet" if family == "stable_diffusion" else "transformer"
    lora = SavedAdapter({part: lora_part({"transformer_blocks.0.attn.to_q": 1})})
    loha = SavedAdapter({part: AdapterPart({}, {"peft_type": "LOHA"})})
    assert readers_of("kohya", lora, about).read == plain
    assert readers_of("kohya", loha, about).read == others


def test_what_is_said_of_a_file() -> None:
    name = "transformer_blocks.0.attn.to_q"
    lora = lora_part({name: 1})
    dora = SavedAdapter(
        {"unet": AdapterPart({**lora.state, f"{name}.lora_magnitude_vector": torch.ones(6)}, lora.config)}
    )
    assert str(readers_of("kohya", dora, About())) == (
        "for Forge, ComfyUI; not for A1111 (takes the magnitudes of outputs for those of inputs), kohya's trainer, "
        "diffusers (leaves the magnitudes out); format full is for A1111"
    )
    assert str(readers_of("diffusers", SavedAdapter({"unet": lora}), About())).startswith(
        "for diffusers; not for A1111, Forge, ComfyUI, kohya's trainer (knows few of its names"
    )
    assert str(readers_of("kohya", SavedAdapter({"transformer": lora}), About(family="qwen_image"))) == (
        "for ComfyUI, musubi-tuner, diffusers; not for A1111, Forge (does not know the family)"
    )
    assert str(readers_of("peft", dora, About())) == "for PEFT"


def test_a_part_that_a_family_has_not() -> None:
    adapter = SavedAdapter({"unet": lora_part({"conv_in": 1}), "text_encoder_2": lora_part({"text_projection": 1})})
    with pytest.raises(AdapterError, match="no name for the text_encoder_2 of stable-diffusion-v1"):
        kohya_state(adapter, built_in_names()["sd1"])


@pytest.mark.parametrize("layer", ["single_transformer_blocks.0.proj_out", "transformer_blocks.0.attn.to_q"])
def test_ia3_where_layers_are_fused_is_read_by_nobody(layer: str) -> None:
    config = {"peft_type": "IA3", "feedforward_modules": [layer]}
    adapter = SavedAdapter({"transformer": AdapterPart({f"{layer}.ia3_l": torch.ones(1, 6)}, config)})
    with pytest.raises(AdapterError, match=f"cannot hold IA3 of {layer}.*export formats full"):
        kohya_state(adapter, built_in_names()["flux"], lambda part, name: BaseLayer(torch.ones(6, 6), None))


def test_patterns_are_pefts() -> None:
    """Which rank and alpha a layer has is decided as `get_pattern_key` does."""
    layers = ["a.to_q", "a.b.to_q", "to_q", "a.not_to_q", "a.10.x", "a.1.x"]
    config = {"peft_type": "LOKR", "r": 1, "alpha": 1.0}
    config |= {"rank_pattern": {"b.to_q": 2, "to_q": 3, r"a\.\d+\.x": 4, "^a.1.x": 5}}
    part = AdapterPart({f"{name}.lokr_w1": torch.ones(1, 1) for name in layers}, config)
    patterns = config["rank_pattern"]
    for layer in layers_of(part, "a test"):
        assert layer.rank == patterns.get(get_pattern_key(patterns, layer.name), 1)


CONFIG = {
    "base": {"name": "sd15", "resolution": 512},
    "data": {"trigger": "in pencil style"},
    "optimizer": {"name": "lion", "lr": 1e-4},
    "train": {"steps": 160, "seed": 3},
    "objective": {"snr_gamma": None},
}


def test_the_header_tells_what_is_known(tmp_path: Path) -> None:
    adapter = SavedAdapter({"unet": lora_part({"a.to_q": 4, "b.to_q": 4, "c.to_k": 8})})
    about = about_of(CONFIG, title="pencil", steps=120, date="2026-11-22T10:00:00")
    file = write_format("kohya", adapter, tmp_path, about)
    assert file.name == "pencil.safetensors"
    with safe_open(file, "pt") as opened:
        header = opened.metadata()
    expected = {
        "ss_network_module": "networks.lora",
        "ss_network_dim": "4",
        "ss_network_alpha": "4",
        "ss_base_model_version": "sd_v1",
        "ss_output_name": "pencil",
        "ss_sd_model_name": "sd15",
        "ss_learning_rate": "0.0001",
        "ss_optimizer": "lion",
        "ss_steps": "120",
        "ss_max_train_steps": "160",
        "ss_seed": "3",
        "modelspec.sai_model_spec": "1.0.1",
        "modelspec.architecture": "stable-diffusion-v1/lora",
        "modelspec.implementation": "diffusers",
        "modelspec.title": "pencil",
        "modelspec.resolution": "512x512",
        "modelspec.date": "2026-11-22T10:00:00",
        "modelspec.trigger_phrase": "in pencil style",
    }
    assert {key: header.get(key) for key in expected} == expected
    assert "ss_min_snr_gamma" not in header
    data = file.read_bytes()
    content = data[8 + int.from_bytes(data[:8], "little") :]
    assert header["modelspec.hash_sha256"] == f"0x{hashlib.sha256(content).hexdigest()}"


def test_lycoris_says_so(tmp_path: Path) -> None:
    loha = {f"a.hada_w{i}_{side}": torch.ones(2, 2) for i in (1, 2) for side in "ab"}
    part = AdapterPart(loha, {"peft_type": "LOHA", "r": 2, "alpha": 3})
    file = write_format("kohya", SavedAdapter({"unet": part}), tmp_path, About(title="x"))
    with safe_open(file, "pt") as opened:
        header = opened.metadata()
        assert opened.get_tensor("lora_unet_a.alpha").item() == 3
    assert header["ss_network_module"] == "lycoris.kohya"
    assert json.loads(header["ss_network_args"]) == {"algo": "loha"}
    assert header["ss_network_dim"] == "2" and header["ss_network_alpha"] == "3"


def test_the_config_of_a_run_without_a_study() -> None:
    grouped = {"base": CONFIG["base"], "data": CONFIG["data"], "trial": {"optimizer": CONFIG["optimizer"]}}
    about = about_of(grouped, title="one")
    assert (about.trigger, about.resolution, about.steps) == ("in pencil style", 512, None)
    assert about.training == {"ss_learning_rate": "0.0001", "ss_optimizer": "lion"}
