"""What is no adapter, or none for this base, is refused in one line: what it is, how much of it, what to do."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save, save_file
from torch import Tensor, nn

from eval.command import main as judge
from foundation.adapters.files import put_on, read_parts
from foundation.adapters.files.opened import adapter_files
from foundation.adapters.merge.command import main as merge
from foundation.errors import AdapterError
from tests.foundation.adapters.files.conftest import pipeline
from tests.foundation.adapters.files.formulas import leaf, lora

Q = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"


def layer(name: str = f"unet.{Q}", width: int = 8, rank: int = 2) -> dict[str, Tensor]:
    return {f"{name}.lora_A.weight": torch.ones(rank, width), f"{name}.lora_B.weight": torch.ones(width, rank)}


def kohya(*leaves: str) -> dict[str, Tensor]:
    return {f"lora_unet_{Q.replace('.', '_')}.{leaf}": torch.ones(2, 2) for leaf in leaves}


WHOLE = save(layer())
CONTENTS: dict[str, tuple[bytes | dict[str, Tensor], str]] = {
    "empty": (b"", "is empty, 0 bytes; save or download it again"),
    "git-LFS pointer": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
        "is a git-LFS pointer .*git lfs pull",
    ),
    "web page": (b"<!DOCTYPE html><html>", "is a web page and not the weights; download"),
    "pickle": (b"PK\x03\x04archive/data.pkl", "is a pickled PyTorch file or a zip; nothing is unpickled here"),
    "old pickle": (b"\x80\x02}q\x00.", "is a pickled Python file"),
    "GGUF": (b"GGUF\x03\x00\x00\x00", "is a GGUF file"),
    "cut off": (WHOLE[:-5], rf"is cut off: {len(WHOLE) - 5} of {len(WHOLE)} bytes are there; copy or download"),
    "cut off early": (WHOLE[:40], "is cut off within its header, at 40 bytes"),
    "noise": (b"nothing at all", "cannot be read as a safetensors file"),
    "no tensors": ({}, "holds no tensors at all"),
    "embedding": (
        {"emb_params": torch.ones(2, 16)},
        "is an embedding .textual inversion, first emb_params. and no LoRA",
    ),
    "SDXL embedding": ({"clip_l": torch.ones(1, 8), "clip_g": torch.ones(1, 9)}, "is an embedding .textual inversion"),
    "diffusers' embedding": ({"<cup>": torch.ones(2, 16)}, "is an embedding .textual inversion, first <cup>."),
    "bundle": (
        {**layer(), "bundle_emb.cup.clip_l": torch.ones(1, 8)},
        "is a LoRA with 1 of 3 tensors of embeddings .* first bundle_emb.cup.clip_l; .* save it without",
    ),
    "checkpoint": (
        {"model.diffusion_model.input_blocks.0.0.weight": torch.ones(1), "first_stage_model.a": torch.ones(1)},
        "is a whole model and no LoRA; load it as a base",
    ),
    "UNet": (
        {"down_blocks.0.resnets.0.conv1.weight": torch.ones(1)},
        "the weights of a whole UNet .*load it as a base",
    ),
    "transformer": (
        {"double_blocks.0.img_attn.qkv.weight": torch.ones(1)},
        "the weights of a whole UNet or transformer",
    ),
    "VAE": ({"decoder.conv_in.weight": torch.ones(1), "encoder.conv_in.weight": torch.ones(1)}, "is an autoencoder"),
    "text encoder": ({"text_model.encoder.layers.0.mlp.fc1.weight": torch.ones(1)}, "is a text encoder"),
    "ControlNet": ({"controlnet_cond_embedding.conv_in.weight": torch.ones(1)}, "is a ControlNet and no LoRA"),
    "IP-Adapter": (
        {"image_proj.proj.weight": torch.ones(1), "ip_adapter.1.to_k.weight": torch.ones(1)},
        "is an IP-Adapter",
    ),
    "anything": (
        {"a.b.c": torch.ones(1), "d.e": torch.ones(1)},
        "is no LoRA: none of its 2 tensors has such a name, first",
    ),
    "NaN": (
        {**layer(), f"unet.{Q}.lora_B.weight": torch.full((8, 2), torch.nan)},
        "numbers that are not finite, in .*lora_B.weight .1 of 2 tensors.; take an earlier checkpoint",
    ),
    "inf in an alpha": (
        {**kohya("lora_down.weight", "lora_up.weight"), "x.alpha": torch.tensor(torch.inf)},
        "not finite, in x.alpha",
    ),
    "half": (kohya("lora_down.weight"), r"1 of 1 tensors or layers, unet.down_blocks.*to_q \(lora_A\)"),
    "alpha alone": (kohya("alpha"), r"act with: 1 of 1 tensors or layers, unet.*\(alpha; a wrong alpha\)"),
    "magnitude alone": (kohya("dora_scale"), r"\(dora_scale\)"),
    "half a LoHa": (kohya("hada_w1_a", "hada_w1_b", "hada_w2_a"), r"\(hada_w1_a, hada_w1_b, hada_w2_a\)"),
    "half a LoKr": (kohya("lokr_w1", "lokr_w2_a"), r"\(lokr_w1, lokr_w2_a\)"),
    "norm layers": ({**layer(), "lora_unet_conv_norm_out.w_norm": torch.ones(8)}, r"1 of 3 .*conv_norm_out \(w_norm\)"),
    "GLoRA": ({**layer(), "lora_unet_conv_in.a1.weight": torch.ones(1)}, "1 of 3 tensors or layers, unet.conv_in.a1"),
    "something more": (
        {**layer(), "optimizer_state": torch.ones(1)},
        "1 of 3 tensors or layers, optimizer_state; save it without",
    ),
    "two alphas": ({**layer(f"unet.{Q}"), f"unet.{Q}.alpha": torch.ones(2)}, "a wrong alpha"),
    "flat": ({"unet.a.lora_A.weight": torch.ones(8), "unet.a.lora_B.weight": torch.ones(8, 1)}, "a wrong lora_A"),
    "twice": ({**layer(), **layer(f"base_model.model.{Q}")}, "says what one layer gets twice"),
}


@pytest.mark.parametrize("content", CONTENTS)
def test_what_it_is(content: str, tmp_path: Path) -> None:
    data, words = CONTENTS[content]
    file = tmp_path / "a.safetensors"
    file.write_bytes(data) if isinstance(data, bytes) else save_file(data, file)
    with pytest.raises(AdapterError, match=words) as caught:
        read_parts(file)
    assert "\n" not in str(caught.value) and str(file) in str(caught.value)


def test_commands_say_it_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Before any base is loaded, or anything written."""
    save_file({**layer(), f"unet.{Q}.lora_A.weight": torch.full((2, 8), torch.inf)}, tmp_path / "a.safetensors")
    out = tmp_path / "out"
    for command in (
        lambda: judge([f"lora={tmp_path / 'a.safetensors'}", "prompt=a cup", "seeds=1", "steps=2"]),
        *(
            lambda verb=verb: merge([*verb, f"lora={tmp_path / 'a.safetensors'}", f"out={out}"])
            for verb in (["merge"], ["unmerge"], ["combine"], ["resize", "rank=1"])
        ),
    ):
        assert command() == 2
        said = capsys.readouterr()
        assert said.err.count("\n") == 1 and "holds numbers that are not finite" in said.err.replace("\n", " ")
    assert not out.exists()


def test_sizes_and_lengths_in_a_header_that_lie(tmp_path: Path) -> None:
    """Whatever a header says, one line comes of it."""
    file = tmp_path / "a.safetensors"
    for header in (
        {"a": 1},
        {"a": {"data_offsets": ["x", "y"]}},
        {"a": {"dtype": "F32", "shape": [9], "data_offsets": [0, 4]}},
        [],
    ):
        text = json.dumps(header).encode()
        file.write_bytes(struct.pack("<Q", len(text)) + text + b"\0" * 4)
        with pytest.raises(AdapterError):
            read_parts(file)
    for configs in ("[", "[]", '{"unet": 3}', '{"unet": {"peft_type": "LOHA"}}'):
        save_file({"unet.x.hada_w1_a": torch.ones(1, 1)}, file, {"peft_configs": configs})
        with pytest.raises(AdapterError, match="is damaged|header is not JSON"):
            read_parts(file)
    for field, value in {"r": 0, "lora_alpha": None, "rank_pattern": [1], "alpha_pattern": {"(": 2}}.items():
        save_file(layer(), file, {"lora_adapter_metadata": json.dumps({f"unet.{field}": value})})
        with pytest.raises(AdapterError, match=f"is damaged: its config's {field}"):
            read_parts(file)


def test_a_folder(tmp_path: Path) -> None:
    def folder(name: str, files: dict[str, bytes]) -> Path:
        (tmp_path / name).mkdir()
        for each, data in files.items():
            (tmp_path / name / each).write_bytes(data)
        return tmp_path / name

    bare = {key.removeprefix("unet."): tensor for key, tensor in layer().items()}
    for path, words in (
        (folder("pipe", {"model_index.json": b"{}"}), "is a whole pipeline and no LoRA; give it as base="),
        (folder("none", {}), "must hold one .safetensors file, got none"),
        (folder("two", {"a.safetensors": WHOLE, "b.safetensors": WHOLE}), "got a.safetensors, b.safetensors"),
        (folder("peft", {"adapter_model.safetensors": save(bare)}), "needs adapter_config.json beside it"),
        (
            folder("torn", {"adapter_model.safetensors": save(bare), "adapter_config.json": b"{"}),
            "adapter_config.json is not JSON: Expecting property name",
        ),
        (
            folder("vera", {"adapter_model.safetensors": save(bare), "adapter_config.json": b'{"peft_type": "VERA"}'}),
            "an adapter of PEFT's kind VERA, which is not read here; LORA, LOHA, LOKR, IA3, OFT are",
        ),
    ):
        with pytest.raises(AdapterError, match=words):
            read_parts(path)


OTHERS: dict[str, tuple[str, Callable[[], dict[str, Tensor]], str]] = {
    "another width": (
        "stable_diffusion",
        lambda: layer(width=320),
        "base's unet: 1 of 1 layers .* is a Linear of 8 × 8, the file's is 2 × 320, 320 × 2",
    ),
    "another layer": (
        "stable_diffusion",
        lambda: {**layer(), **layer("unet.nowhere.to_q")},
        "1 of 2 layers are not in it .* it has no nowhere.to_q",
    ),
    "SDXL on SD 1": (
        "stable_diffusion",
        lambda: {
            **layer("lora_unet_input_blocks_4_1_transformer_blocks_1_attn2_to_k"),
            **layer("text_encoder_2.text_model.encoder.layers.0.mlp.fc1"),
        },
        r"unet: 1 of 1 layers .*with a text_encoder_2 \(layers: 1\); this base has none; it looks like one for SDXL",
    ),
    "FLUX on SD 3": (
        "sd3",
        lambda: layer("transformer.single_transformer_blocks.0.attn.to_q"),
        "looks like one for FLUX",
    ),
    "FLUX on SDXL": (
        "sdxl",
        lambda: layer("lora_unet_single_blocks_0_linear2"),
        "with a transformer .*this base has none; it looks like one for FLUX",
    ),
    "Qwen-Image on FLUX": (
        "flux",
        lambda: layer("transformer.transformer_blocks.0.img_mlp.net.2"),
        "looks like one for Qwen-Image",
    ),
    "LoHa of another width": (
        "stable_diffusion",
        lambda: {f"lora_unet_{Q.replace('.', '_')}.hada_w{i}_{s}": torch.ones(9, 9) for i in (1, 2) for s in "ab"},
        "is a Linear of 8 × 8, for which the file's loha is not made",
    ),
    "a convolution's": (
        "stable_diffusion",
        lambda: layer("unet.down_blocks.0.resnets.0.conv1"),
        "is a Conv2d of 8 × 8 × 3 × 3",
    ),
    "a norm's": ("stable_diffusion", lambda: layer("unet.conv_norm_out"), "is a GroupNorm of 8, the file's is"),
    "no rank": (
        "stable_diffusion",
        lambda: layer(rank=0),
        r"1 of 2 .*to_q \(lora_A, lora_B; a wrong lora_A\)",
    ),
    "pissa by chance": ("stable_diffusion", layer, "init pissa_niter_4"),
}


@pytest.mark.parametrize("case", OTHERS)
def test_another_base(case: str, tmp_path: Path) -> None:
    """With how many layers, and nothing is left on the base."""
    family, make, words = OTHERS[case]
    pipe = pipeline(family)
    file = tmp_path / "a.safetensors"
    header = (
        {"lora_adapter_metadata": json.dumps({"unet.init_lora_weights": "pissa_niter_4"})} if "pissa" in case else {}
    )
    save_file(make(), file, header)
    before = [name for part in modules(pipe) for name, _ in part.named_modules()]
    with pytest.raises(AdapterError, match=words) as caught:
        put_on(pipe, file, "judged")
    assert "\n" not in str(caught.value)
    assert [name for part in modules(pipe) for name, _ in part.named_modules()] == before


def modules(pipe: Any) -> list[nn.Module]:
    return [each for each in pipe.components.values() if isinstance(each, nn.Module)]


def test_a_library_that_leaves_weights_unset_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was put in is compared with the file, tensor by tensor."""
    pipe, g = pipeline("stable_diffusion"), torch.Generator().manual_seed(0)
    made, _ = lora(leaf(pipe.unet, Q), g)
    save_file(
        {f"lora_unet_{Q.replace('.', '_')}.{key}": tensor for key, tensor in made.items()}, tmp_path / "a.safetensors"
    )
    monkeypatch.setattr("peft.utils.set_peft_model_state_dict", lambda *_, **__: None)
    with pytest.raises(AdapterError, match=r"2 of 2 tensors have no place there, first .*to_q\.lora_A"):
        put_on(pipe, tmp_path / "a.safetensors", "judged")
    assert not hasattr(pipe.unet, "peft_config")


@pytest.mark.parametrize("part", ["lora", "best"])
def test_the_folders_that_this_project_writes_are_taken_whole(part: str, tmp_path: Path) -> None:
    (tmp_path / part).mkdir()
    file = tmp_path / part / "pytorch_lora_weights.safetensors"
    file.write_bytes(WHOLE)
    assert adapter_files(tmp_path) == [file]
