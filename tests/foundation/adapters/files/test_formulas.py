"""Every kind of file in every family: the weights that act are its formula's, of its layers and no others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from tests.foundation.adapters.files.conftest import pipeline
from tests.foundation.adapters.files.formulas import KINDS, leaf

_BLOCK = "down_blocks.{}.attentions.0.transformer_blocks.0"
LAYERS = {
    "stable_diffusion": [
        f"{_BLOCK.format(0)}.attn1.to_q",
        f"{_BLOCK.format(0)}.attn2.to_k",
        f"{_BLOCK.format(0)}.attn1.to_out.0",
        "down_blocks.0.resnets.0.conv1",
        "down_blocks.0.attentions.0.proj_in",
    ],
    "sdxl": [f"{_BLOCK.format(1)}.ff.net.0.proj", "up_blocks.0.resnets.1.conv2", "time_embedding.linear_1"],
    "sd3": ["transformer_blocks.0.attn.add_q_proj", "transformer_blocks.1.ff.net.2"],
    "flux": [
        "transformer_blocks.0.attn.to_v",
        "single_transformer_blocks.1.proj_out",
        "transformer_blocks.0.norm1.linear",
    ],
    "qwen_image": ["transformer_blocks.0.attn.to_q", "transformer_blocks.1.img_mod.1"],
}
DENOISERS = {"stable_diffusion": "unet", "sdxl": "unet"}
TEXT = "encoder.layers.1.mlp.fc1"


@pytest.mark.parametrize("family", LAYERS)
@pytest.mark.parametrize("kind", KINDS)
def test_kind(kind: str, family: str, assert_acts: Callable[..., None], tmp_path: Path) -> None:
    """LyCORIS's names: the same for all families."""
    pipe, g = pipeline(family), torch.Generator().manual_seed(0)
    denoiser = DENOISERS.get(family, "transformer")
    places = [(denoiser, "lora_unet_", layer) for layer in LAYERS[family]]
    if family != "qwen_image":
        inner = pipe.text_encoder if hasattr(pipe.text_encoder, "encoder") else pipe.text_encoder.text_model
        assert inner.get_submodule(TEXT) is not None
        prefix = "" if hasattr(pipe.text_encoder, "encoder") else "text_model."
        places.append(("text_encoder", "lora_te1_text_model_", f"{prefix}{TEXT}"))
    file: dict[str, Tensor] = {}
    wanted: dict[str, Tensor] = {}
    for component, start, layer in places:
        tensors, expected = KINDS[kind](leaf(getattr(pipe, component), layer), g)
        flat = layer.removeprefix("text_model.").replace(".", "_")
        file |= {f"{start}{flat}.{name}": tensor for name, tensor in tensors.items()}
        wanted[f"{component}.{layer}.weight"] = expected
    save_file({name: tensor.contiguous() for name, tensor in file.items()}, tmp_path / "a.safetensors")
    assert_acts(pipe, tmp_path / "a.safetensors", wanted)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "dora"])  # see the next
def test_strength_multiplies_what_is_added(kind: str, assert_acts: Callable[..., None], tmp_path: Path) -> None:
    pipe, g = pipeline("stable_diffusion"), torch.Generator().manual_seed(1)
    weight = leaf(pipe.unet, LAYERS["stable_diffusion"][0])
    tensors, expected = KINDS[kind](weight, g)
    name = LAYERS["stable_diffusion"][0]
    file = {f"lora_unet_{name.replace('.', '_')}.{key}": tensor.contiguous() for key, tensor in tensors.items()}
    save_file(file, tmp_path / "a.safetensors")
    between = weight + 0.4 * (expected - weight)
    assert_acts(pipe, tmp_path / "a.safetensors", {f"unet.{name}.weight": between}, strength=0.4)


def test_strength_of_dora_is_before_the_norm(assert_acts: Callable[..., None], tmp_path: Path) -> None:
    """m · (W + s · ΔW) / ‖W + s · ΔW‖, as PEFT and diffusers have it."""
    pipe, g = pipeline("stable_diffusion"), torch.Generator().manual_seed(1)
    name = LAYERS["stable_diffusion"][0]
    weight = leaf(pipe.unet, name)
    tensors, _ = KINDS["dora"](weight, g)
    file = {f"lora_unet_{name.replace('.', '_')}.{key}": tensor.contiguous() for key, tensor in tensors.items()}
    save_file(file, tmp_path / "a.safetensors")
    update = tensors["lora_up.weight"].double() @ tensors["lora_down.weight"].double() * tensors["alpha"] / 3
    changed = weight + 0.4 * update
    wanted = tensors["dora_scale"] * changed / changed.norm(dim=1, keepdim=True)
    assert_acts(pipe, tmp_path / "a.safetensors", {f"unet.{name}.weight": wanted}, strength=0.4)


def test_kinds_of_one_file_differ_by_layer(assert_acts: Callable[..., None], tmp_path: Path) -> None:
    """Ranks, alphas, and kinds; DoRA of some layers only; a bias of one."""
    pipe, g = pipeline("stable_diffusion"), torch.Generator().manual_seed(2)
    layers = LAYERS["stable_diffusion"]
    file, wanted = {}, {}
    for layer, kind in zip(layers, ("dora", "lora", "loha", "tucker_lora", "lora_without_alpha"), strict=True):
        tensors, expected = KINDS[kind](leaf(pipe.unet, layer), g)
        file |= {f"lora_unet_{layer.replace('.', '_')}.{key}": tensor.contiguous() for key, tensor in tensors.items()}
        wanted[f"unet.{layer}.weight"] = expected
    save_file(file, tmp_path / "a.safetensors")
    assert_acts(pipe, tmp_path / "a.safetensors", wanted)
    bias = pipe.unet.get_submodule(layers[2]).bias.data
    file[f"lora_unet_{layers[2].replace('.', '_')}.diff_b"] = torch.full_like(bias, 0.7)
    save_file(file, tmp_path / "b.safetensors")
    assert_acts(pipe, tmp_path / "b.safetensors", {**wanted, f"unet.{layers[2]}.bias": bias + 0.7})
