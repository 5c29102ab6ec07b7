"""Bases and LoRA files: loaded as diffusers does, refused by name."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import safetensors.torch
import torch
from PIL import Image

from eval.families import family_loss_of, validation_set
from eval.pipeline import base_folder, load_base_pipeline, load_lora
from eval.spec import EvalSpec
from eval.validation import validation_losses
from foundation.adapters.files import adapter_files
from foundation.data.folder import Picture
from foundation.errors import AdapterError, BaseModelError, ConfigError

SPEC = EvalSpec(prompts=("a",), timestep_bins=2, noises_per_bin=1)


@pytest.fixture
def pictures(tmp_path: Path) -> list[Picture]:
    return [picture(tmp_path / f"{i}.png", (40 * i, 90, 9)) for i in range(3)]


def picture(path: Path, colour: tuple[int, int, int]) -> Picture:
    Image.new("RGB", (16, 16), colour).save(path)
    return Picture(path, "a cup", path.name)


def test_pocket_lies_in_the_repository() -> None:
    assert base_folder("pocket") == str(Path(__file__).parents[2] / "train/pocket/weights/pipeline")
    assert base_folder("some/where") == "some/where"


def test_a_lora_changes_the_validation_loss_and_the_latents_are_the_vaes(
    pipeline_folder: Path, lora_folder: Path, pictures: list[Picture], tmp_path: Path
) -> None:
    pipe = load_base_pipeline(str(pipeline_folder), "cpu")
    family = family_loss_of(pipe)
    assert family.side == 16 and family_loss_of(pipe, 32).side == 32
    with pytest.raises(ConfigError, match="resolution must be a multiple of 2 for this base, got 17"):
        family_loss_of(pipe, 17)
    data = validation_set(family, pictures, SPEC)
    assert data.latents.shape == (3, 4, 8, 8) and data.embeddings.shape == (3, 24, 16)
    with torch.no_grad():
        latents = pipe.vae.encode(torch.full((1, 3, 16, 16), -1.0)).latent_dist.mode() * pipe.vae.config.scaling_factor
        black = [picture(tmp_path / "black.png", (0, 0, 0))]
        assert torch.allclose(validation_set(family, black, SPEC).latents, latents, atol=1e-5)
    before = validation_losses(data, family.predict, 4)
    load_lora(pipe, lora_folder)
    after = validation_losses(data, family.predict, 4)
    assert before.shape == (3, 2) and (before - after).abs().min() > 1e-4


def test_a_kohya_file_is_the_same_lora(
    pipeline_folder: Path, lora_folder: Path, pictures: list[Picture], tmp_path: Path
) -> None:
    weights = safetensors.torch.load_file(lora_folder / "pytorch_lora_weights.safetensors")
    folder = tmp_path / "kohya"
    folder.mkdir()
    renamed = {}
    for name, value in weights.items():
        layer, _, kind = name.removeprefix("unet.").partition(".lora")
        layer = "lora_unet_" + layer.replace(".", "_")
        renamed[f"{layer}.lora_{'down' if kind.startswith('_A') else 'up'}.weight"] = value
        renamed[f"{layer}.alpha"] = torch.tensor(2.0)
    safetensors.torch.save_file(renamed, folder / "kohya.safetensors")
    losses = []
    for path in (lora_folder, folder):
        pipe = load_base_pipeline(str(pipeline_folder), "cpu")
        family = family_loss_of(pipe)
        data = validation_set(family, pictures, SPEC)
        load_lora(pipe, path)
        losses.append(validation_losses(data, family.predict, 4))
    assert torch.allclose(*losses, atol=1e-6)


def test_what_is_no_pipeline_of_a_known_family_is_refused(pipeline_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(BaseModelError, match="base cannot be loaded, got"):
        load_base_pipeline(str(tmp_path / "none"), "cpu")
    with pytest.raises(BaseModelError, match="base cannot be loaded, got"):
        load_base_pipeline(str(tmp_path), "cpu")
    shutil.copytree(pipeline_folder, tmp_path / "other")
    index = json.loads((pipeline_folder / "model_index.json").read_text()) | {"_class_name": "WanPipeline"}
    (tmp_path / "other/model_index.json").write_text(json.dumps(index))
    with pytest.raises(BaseModelError, match="of WanPipeline"):
        load_base_pipeline(str(tmp_path / "other"), "cpu")
    shutil.copytree(pipeline_folder, tmp_path / "half")
    shutil.rmtree(tmp_path / "half/unet")
    with pytest.raises(BaseModelError, match="base cannot be loaded, got"):
        load_base_pipeline(str(tmp_path / "half"), "cpu")


def test_a_lora_file_is_found_or_the_reason_said(lora_folder: Path, tmp_path: Path) -> None:
    file = lora_folder / "pytorch_lora_weights.safetensors"
    assert adapter_files(lora_folder) == adapter_files(file) == [file]
    with pytest.raises(AdapterError, match="got none in"):
        adapter_files(tmp_path)
    shutil.copy(file, tmp_path / "a.safetensors")
    assert adapter_files(tmp_path) == [tmp_path / "a.safetensors"]
    shutil.copy(file, tmp_path / "b.safetensors")
    with pytest.raises(AdapterError, match=r"got a\.safetensors, b\.safetensors"):
        adapter_files(tmp_path)
    with pytest.raises(AdapterError, match="there is no LoRA at"):
        adapter_files(tmp_path / "none")
    (tmp_path / "x.bin").write_bytes(b"")
    with pytest.raises(AdapterError, match="nothing is unpickled"):
        adapter_files(tmp_path / "x.bin")


def test_a_lora_of_another_base_or_none_is_refused(pipeline_folder: Path, lora_folder: Path, tmp_path: Path) -> None:
    weights = safetensors.torch.load_file(lora_folder / "pytorch_lora_weights.safetensors")
    wrong = {
        "torn": None,
        "foreign": {"decoder.weight": torch.zeros(2, 2)},
        "elsewhere": {
            "unet.nowhere.to_q.lora_A.weight": torch.zeros(2, 8),
            "unet.nowhere.to_q.lora_B.weight": torch.zeros(8, 2),
        },
        "wider": {name: torch.zeros([size * 2 for size in value.shape]) for name, value in weights.items()},
    }
    for name, tensors in wrong.items():
        path = tmp_path / f"{name}.safetensors"
        if tensors is None:
            path.write_bytes(b"torn")
        else:
            safetensors.torch.save_file(tensors, path)
        with pytest.raises(AdapterError, match=name):
            load_lora(load_base_pipeline(str(pipeline_folder), "cpu"), path)
