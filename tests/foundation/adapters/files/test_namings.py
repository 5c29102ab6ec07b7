"""Every naming of layers and tensors in every family: a LoRA acts on the right layer by its formula."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import save_file
from torch import Tensor, nn

from foundation.adapters.exports import SavedAdapter
from foundation.adapters.exports.kohya import kohya_state
from foundation.adapters.exports.layer_names import built_in_names
from foundation.adapters.exports.layers import layers_of
from foundation.adapters.files import AdapterPart, lora_config, read_parts
from tests.foundation.adapters.files.conftest import pipeline
from tests.foundation.adapters.files.formulas import KINDS, leaf, lora, lora_without_alpha

Q = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"
OUT = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_out.0"
DEEP = "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q"
TIME = "down_blocks.0.resnets.0.time_emb_proj"
CLIP = "encoder.layers.1.self_attn.q_proj"
CLIP_OUT = "encoder.layers.0.self_attn.out_proj"
T5 = "encoder.block.0.layer.0.SelfAttention.q"
WO = "encoder.block.0.layer.1.DenseReluDense.wo"
JOINT, SINGLE = "transformer_blocks.0", "single_transformer_blocks.1"

KOHYA = {"lora_down.weight": ".lora_down.weight", "lora_up.weight": ".lora_up.weight", "alpha": ".alpha"}
PEFT = {"lora_down.weight": ".lora_A.weight", "lora_up.weight": ".lora_B.weight"}
NAMED = {"lora_down.weight": ".lora_A.default.weight", "lora_up.weight": ".lora_B.default.weight"}
BARE = {"lora_down.weight": ".lora_A", "lora_up.weight": ".lora_B"}
DOWN = {"lora_down.weight": ".lora.down.weight", "lora_up.weight": ".lora.up.weight", "alpha": ".alpha"}
OLD = {"lora_down.weight": "_lora.down.weight", "lora_up.weight": "_lora.up.weight", "alpha": "_lora.alpha"}
LINEAR = {"lora_down.weight": ".lora_linear_layer.down.weight", "lora_up.weight": ".lora_linear_layer.up.weight"}

NAMINGS: list[tuple[str, str, str, str, Mapping[str, str]]] = [
    # family, component, layer, its name in the file, names of the tensors
    ("stable_diffusion", "unet", Q, f"lora_unet_{Q.replace('.', '_')}", KOHYA),
    ("stable_diffusion", "unet", OUT, f"lora_unet_{OUT.replace('.', '_')}", KOHYA),
    ("stable_diffusion", "unet", Q, f"lycoris_{Q.replace('.', '_')}", KOHYA),
    ("stable_diffusion", "unet", Q, f"unet.{Q}", KOHYA),
    ("stable_diffusion", "unet", Q, f"unet.{Q}", PEFT),
    ("stable_diffusion", "unet", Q, f"unet.{Q}", NAMED),
    ("stable_diffusion", "unet", Q, f"base_model.model.{Q}", PEFT),
    ("stable_diffusion", "unet", Q, f"base_model.model.unet.{Q}", NAMED),
    ("stable_diffusion", "unet", Q, f"unet.{Q}", BARE),
    ("stable_diffusion", "unet", Q, f"unet.{Q}", DOWN),
    ("stable_diffusion", "unet", Q, f"unet.{Q.replace('to_q', 'processor.to_q')}", OLD),
    ("stable_diffusion", "unet", OUT, f"unet.{OUT.replace('to_out.0', 'processor.to_out')}", OLD),
    ("stable_diffusion", "unet", Q, Q.replace("to_q", "processor.to_q"), OLD),
    ("stable_diffusion", "unet", Q, f"diffusion_model.{Q}", PEFT),
    ("stable_diffusion", "unet", Q, f"lora_unet.{Q}", KOHYA),
    ("stable_diffusion", "unet", "conv_in", "lora_unet_conv_in", KOHYA),
    ("stable_diffusion", "unet", "time_embedding.linear_2", "lora_unet_time_embedding_linear_2", KOHYA),
    ("stable_diffusion", "unet", TIME, "lora_unet_input_blocks_1_0_emb_layers_1", KOHYA),
    ("stable_diffusion", "unet", Q, "diffusion_model.input_blocks.1.1.transformer_blocks.0.attn1.to_q", PEFT),
    ("stable_diffusion", "text_encoder", CLIP, f"lora_te_text_model_{CLIP.replace('.', '_')}", KOHYA),
    ("stable_diffusion", "text_encoder", CLIP, f"lora_te1_text_model_{CLIP.replace('.', '_')}", KOHYA),
    ("stable_diffusion", "text_encoder", CLIP, f"text_encoder.text_model.{CLIP}", LINEAR),
    ("stable_diffusion", "text_encoder", CLIP, f"text_encoder.text_model.{CLIP}", PEFT),
    ("stable_diffusion", "text_encoder", CLIP, f"text_encoder.{CLIP}", NAMED),
    ("stable_diffusion", "text_encoder", CLIP, "text_encoder.text_model.encoder.layers.1.self_attn.to_q", OLD),
    ("stable_diffusion", "text_encoder", CLIP_OUT, "text_encoder.text_model.encoder.layers.0.self_attn.to_out", OLD),
    ("stable_diffusion", "text_encoder", CLIP, f"base_model.model.text_model.{CLIP}", PEFT),
    ("sdxl", "unet", DEEP, "lora_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_q", KOHYA),
    ("sdxl", "unet", "up_blocks.0.resnets.2.conv_shortcut", "lora_unet_output_blocks_2_0_skip_connection", KOHYA),
    ("sdxl", "unet", "up_blocks.0.upsamplers.0.conv", "lora_unet_output_blocks_2_2_conv", KOHYA),
    ("sdxl", "unet", "down_blocks.0.downsamplers.0.conv", "lora_unet_input_blocks_3_0_op", KOHYA),
    ("sdxl", "unet", "mid_block.attentions.0.proj_in", "lora_unet_middle_block_1_proj_in", KOHYA),
    ("sdxl", "unet", "mid_block.resnets.1.conv1", "unet.middle_block.2.in_layers.2", KOHYA),
    ("sdxl", "unet", "add_embedding.linear_1", "lora_unet_label_emb_0_0", KOHYA),
    ("sdxl", "unet", "conv_out", "lora_unet_out_2", KOHYA),
    ("sdxl", "unet", DEEP, f"lora_unet_{DEEP.replace('.', '_')}", KOHYA),
    ("sdxl", "text_encoder", CLIP, f"clip_l.text_model.{CLIP}", KOHYA),
    ("sdxl", "text_encoder_2", f"text_model.{CLIP}", f"lora_te2_text_model_{CLIP.replace('.', '_')}", KOHYA),
    ("sdxl", "text_encoder_2", f"text_model.{CLIP}", f"text_encoder_2.text_model.{CLIP}", LINEAR),
    ("sdxl", "text_encoder_2", f"text_model.{CLIP}", f"text_encoders.clip_g.transformer.text_model.{CLIP}", PEFT),
    ("sd3", "transformer", f"{JOINT}.attn.to_k", f"transformer.{JOINT}.attn.to_k", PEFT),
    ("sd3", "transformer", f"{JOINT}.attn2.to_out.0", "lora_unet_joint_blocks_0_x_block_attn2_proj", KOHYA),
    ("sd3", "transformer", f"{JOINT}.ff_context.net.0.proj", "lora_unet_joint_blocks_0_context_block_mlp_fc1", KOHYA),
    ("sd3", "transformer", f"{JOINT}.attn.to_v", "transformer.joint_blocks.0.x_block.attn.qkv.2", KOHYA),
    ("sd3", "transformer", f"{JOINT}.attn.to_k", "lora_transformer_transformer_blocks_0_attn_to_k", KOHYA),
    ("sd3", "transformer", f"{JOINT}.attn.to_k", f"diffusion_model.{JOINT}.attn.to_k", PEFT),
    ("sd3", "text_encoder", f"text_model.{CLIP}", f"lora_te1_text_model_{CLIP.replace('.', '_')}", KOHYA),
    ("sd3", "text_encoder_2", f"text_model.{CLIP}", f"lora_te2_text_model_{CLIP.replace('.', '_')}", KOHYA),
    ("sd3", "text_encoder_3", T5, f"lora_te3_{T5.replace('.', '_')}", KOHYA),
    ("flux", "transformer", f"{JOINT}.attn.to_q", f"transformer.{JOINT}.attn.to_q", PEFT),
    ("flux", "transformer", f"{JOINT}.attn.to_out.0", "lora_unet_double_blocks_0_img_attn_proj", KOHYA),
    ("flux", "transformer", f"{SINGLE}.proj_out", "lora_unet_single_blocks_1_linear2", KOHYA),
    ("flux", "transformer", f"{SINGLE}.proj_out", "diffusion_model.single_blocks.1.linear2", PEFT),
    ("flux", "transformer", f"{SINGLE}.norm.linear", "base_model.model.single_blocks.1.modulation.lin", PEFT),
    ("flux", "transformer", f"{JOINT}.attn.to_add_out", "double_blocks.0.processor.proj_lora2", {
        "lora_down.weight": ".down.weight", "lora_up.weight": ".up.weight"}),
    ("flux", "transformer", f"{SINGLE}.proj_mlp", "transformer.single_blocks.1.linear1.3", KOHYA),
    ("flux", "transformer", f"{SINGLE}.attn.to_q", "lora_transformer_single_transformer_blocks_1_attn_to_q", KOHYA),
    ("flux", "text_encoder", CLIP, f"lora_te1_text_model_{CLIP.replace('.', '_')}", KOHYA),
    ("flux", "text_encoder_2", T5, f"lora_te3_{T5.replace('.', '_')}", KOHYA),
    ("flux", "text_encoder_2", WO, f"lora_te2_{WO.replace('.', '_')}", KOHYA),
    ("flux", "text_encoder_2", T5, f"text_encoders.t5xxl.transformer.{T5}", PEFT),
    ("qwen_image", "transformer", f"{JOINT}.attn.add_k_proj", "lora_unet_transformer_blocks_0_attn_add_k_proj", KOHYA),
    ("qwen_image", "transformer", f"{JOINT}.img_mlp.net.2", f"diffusion_model.{JOINT}.img_mlp.net.2", PEFT),
    ("qwen_image", "transformer", f"{JOINT}.txt_mod.1", f"transformer.{JOINT}.txt_mod.1", NAMED),
    ("qwen_image", "transformer", "img_in", "lora_unet_img_in", KOHYA),
]  # fmt: skip


@pytest.mark.parametrize(
    ("family", "component", "layer", "name", "tensors"),
    NAMINGS,
    ids=lambda value: str(value) if isinstance(value, str) else "",
)
def test_naming(
    family: str,
    component: str,
    layer: str,
    name: str,
    tensors: Mapping[str, str],
    assert_acts: Callable[..., None],
    tmp_path: Path,
) -> None:
    pipe, g = pipeline(family), torch.Generator().manual_seed(0)
    make = lora if "alpha" in tensors else lora_without_alpha
    made, expected = make(leaf(getattr(pipe, component), layer), g)
    save_file({f"{name}{tensors[key]}": tensor for key, tensor in made.items()}, tmp_path / "a.safetensors")
    assert_acts(pipe, tmp_path / "a.safetensors", {f"{component}.{layer}.weight": expected})


@pytest.mark.parametrize(
    ("family", "name", "parts"),
    [
        ("sd3", "lora_unet_joint_blocks_1_x_block_attn_qkv", {f"transformer_blocks.1.attn.to_{x}": 16 for x in "qkv"}),
        ("flux", "lora_unet_double_blocks_0_txt_attn_qkv", {f"{JOINT}.attn.add_{x}_proj": 16 for x in "qkv"}),
        ("flux", "diffusion_model.single_blocks.1.linear1", {
            **{f"{SINGLE}.attn.to_{x}": 16 for x in "qkv"}, f"{SINGLE}.proj_mlp": 64}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["lora", "dora", "loha"])
def test_fused_layers_are_taken_apart(
    kind: str, family: str, name: str, parts: dict[str, int], assert_acts: Callable[..., None], tmp_path: Path
) -> None:
    """One update of what is one layer in the original code; its rows are those of diffusers' layers, in order."""
    pipe, g = pipeline(family), torch.Generator().manual_seed(0)
    fused = torch.cat([leaf(pipe.transformer, layer) for layer in parts])
    made, expected = KINDS[kind](fused, g)
    save_file({f"{name}.{key}": tensor for key, tensor in made.items()}, tmp_path / "a.safetensors")
    rows = dict(zip(parts, expected.split(list(parts.values())), strict=True))
    assert_acts(pipe, tmp_path / "a.safetensors", {f"transformer.{layer}.weight": own for layer, own in rows.items()})


def test_xlabs_leaves_out_what_is_with_the_projections_of_a_single_block(
    assert_acts: Callable[..., None], tmp_path: Path
) -> None:
    pipe, g = pipeline("flux"), torch.Generator().manual_seed(0)
    layers = [f"{SINGLE}.attn.to_{each}" for each in "qkv"]
    made, expected = lora_without_alpha(torch.cat([leaf(pipe.transformer, layer) for layer in layers]), g)
    file = {f"single_blocks.1.processor.qkv_lora.{side}.weight": made[f"lora_{side}.weight"] for side in ("down", "up")}
    save_file(file, tmp_path / "a.safetensors")
    rows = zip(layers, expected.chunk(3), strict=True)
    assert_acts(pipe, tmp_path / "a.safetensors", {f"transformer.{layer}.weight": own for layer, own in rows})


@pytest.mark.parametrize("kind", ["lora", "full", "dora"])
@pytest.mark.parametrize(("family", "name", "layer"), [
    ("sd3", "lora_unet_joint_blocks_1_context_block_adaLN_modulation_1", "transformer_blocks.1.norm1_context.linear"),
    ("flux", "lora_unet_final_layer_adaLN_modulation_1", "norm_out.linear"),
])  # fmt: skip
def test_shift_and_scale_change_places(
    family: str, name: str, layer: str, kind: str, assert_acts: Callable[..., None], tmp_path: Path
) -> None:
    pipe, g = pipeline(family), torch.Generator().manual_seed(0)
    scale, shift = leaf(pipe.transformer, layer).chunk(2)
    made, expected = KINDS[kind](torch.cat([shift, scale]), g)
    other, block = lora(leaf(pipe.transformer, f"{JOINT}.attn.to_out.0"), g)
    place = {"sd3": "lora_unet_joint_blocks_0_x_block_attn_proj", "flux": "lora_unet_double_blocks_0_img_attn_proj"}
    file = {f"{name}.{key}": tensor for key, tensor in made.items()}
    file |= {f"{place[family]}.{key}": tensor for key, tensor in other.items()}
    save_file(file, tmp_path / "a.safetensors")
    own_shift, own_scale = expected.chunk(2)
    wanted = {f"transformer.{layer}.weight": torch.cat([own_scale, own_shift])}
    assert_acts(pipe, tmp_path / "a.safetensors", {**wanted, f"transformer.{JOINT}.attn.to_out.0.weight": block})


COMPONENTS = {"stable_diffusion": "sd1", "sdxl": "sdxl", "sd3": "sd3", "flux": "flux", "qwen_image": "qwen_image"}


@pytest.mark.parametrize(("family", "names"), COMPONENTS.items())
def test_our_kohya_file_of_all_layers_is_read_back(family: str, names: str, tmp_path: Path) -> None:
    """Every layer that a LoRA can be of, at scales and ranks of its own, and by what diffusers calls it."""
    pipe, g = pipeline(family), torch.Generator().manual_seed(0)
    parts: dict[str, AdapterPart] = {}
    for component in built_in_names()[names].prefixes:
        module = getattr(pipe, component)
        layers = {name: leaf(module, name) for name, each in module.named_modules() if isinstance(each, nn.Linear)}
        layers = {name: weight for name, weight in layers.items() if _is_exported(family, component, name)}
        if component.startswith("text_encoder"):
            layers = {name: weight for name, weight in layers.items() if "projection" not in name}
            own = {_in_memory(component, name): weight for name, weight in layers.items()}
        else:
            own = layers
        ranks = {name: 2 + number % 3 for number, name in enumerate(own)}
        state = {}
        for name, weight in own.items():
            state[f"{name}.lora_A.weight"] = torch.randn(ranks[name], weight.shape[1], generator=g)
            state[f"{name}.lora_B.weight"] = torch.randn(len(weight), ranks[name], generator=g)
        alphas = {name: 1.0 + number % 4 for number, name in enumerate(own)}
        parts[component] = AdapterPart(state, lora_config(ranks, alphas))
    save_file(kohya_state(SavedAdapter(parts), built_in_names()[names]), tmp_path / "a.safetensors")
    read = read_parts(tmp_path / "a.safetensors")
    assert read.keys() == parts.keys()
    for component, part in parts.items():
        products, theirs = (_products(each) for each in (part, read[component]))
        assert products.keys() == theirs.keys()
        for name, product in products.items():
            torch.testing.assert_close(theirs[name], product, rtol=0, atol=1e-5)


def _is_exported(family: str, component: str, name: str) -> bool:
    """All but layers that the original code has none of."""
    return (
        component.startswith("text_encoder")
        or family != "sd3"
        or not name.startswith("transformer_blocks.1.attn.to_add")
    )


def _in_memory(component: str, name: str) -> str:
    return name.removeprefix("text_model.") if component == "text_encoder" else name


def _products(part: AdapterPart) -> dict[str, Tensor]:
    return {
        layer.name: layer.scale * layer.tensors["lora_B"] @ layer.tensors["lora_A"]
        for layer in layers_of(part, "a test")
    }


@pytest.mark.parametrize("init", [True, "pissa", "olora"])
@pytest.mark.parametrize(
    "config", [{}, {"use_rslora": True}, {"alpha_pattern": {"to_q": 7.0}, "rank_pattern": {"to_q": 2}}]
)
def test_what_peft_saves(init: Any, config: dict[str, Any], assert_acts: Callable[..., None], tmp_path: Path) -> None:
    """Its folder, with what its beginning took out of the base."""
    pipe = pipeline("stable_diffusion")
    settings = LoraConfig(r=3, lora_alpha=2, target_modules=[Q, OUT], init_lora_weights=init, **config)
    model = get_peft_model(copy.deepcopy(pipe.unet), settings)
    g = torch.Generator().manual_seed(0)
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            parameter.data += 0.3 * torch.randn(parameter.shape, generator=g)
    model.save_pretrained(tmp_path / "saved")
    merged = model.merge_and_unload()
    wanted = {f"unet.{layer}.weight": leaf(merged, layer) for layer in (Q, OUT)}
    assert_acts(pipe, tmp_path / "saved", wanted)


def test_diffusers_header_tells_alpha(assert_acts: Callable[..., None], tmp_path: Path) -> None:
    pipe, g = pipeline("stable_diffusion"), torch.Generator().manual_seed(0)
    made, expected = lora(leaf(pipe.unet, Q), g, 6.0)
    header = {"unet.r": 3, "unet.lora_alpha": 6.0, "unet.target_modules": [Q]}
    file = {f"unet.{Q}{PEFT[key]}": tensor for key, tensor in made.items() if key != "alpha"}
    save_file(file, tmp_path / "a.safetensors", {"lora_adapter_metadata": json.dumps(header)})
    assert_acts(pipe, tmp_path / "a.safetensors", {f"unet.{Q}.weight": expected})
