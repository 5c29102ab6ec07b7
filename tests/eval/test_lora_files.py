"""LoRA files on a base: they act on its validation loss, whoever wrote them, or are refused by name."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import safetensors.torch
import torch
from PIL import Image

from eval.spec import Strata
from eval.validation import losses_of_base, validation_set
from foundation.adapters.files import adapter_files, put_on
from foundation.bases.port import Base
from foundation.bases.registry import load_base
from foundation.bases.spec import BaseSpec
from foundation.data.folder import Picture
from foundation.errors import AdapterError

STRATA = Strata(span=(0.0, 1.0), bins=2, noises_per_bin=1, seed=0)


def base_of(folder: Path) -> Base:
    return load_base(BaseSpec(name="tiny", path=str(folder), resolution=16), torch.device("cpu"))


@pytest.fixture
def pictures(tmp_path: Path) -> list[Picture]:
    return [picture(tmp_path / f"{i}.png", (40 * i, 90, 9)) for i in range(3)]


def picture(path: Path, colour: tuple[int, int, int]) -> Picture:
    Image.new("RGB", (16, 16), colour).save(path)
    return Picture(path, "a cup", path.name)


def test_a_lora_changes_the_validation_loss(pipeline_folder: Path, lora_folder: Path, pictures: list[Picture]) -> None:
    base = base_of(pipeline_folder)
    data = validation_set(base, pictures, STRATA)
    assert data.latents.shape == (3, 4, 8, 8) and data.embeddings.shape == (3, 24, 16)
    before = losses_of_base(data, base, 4)[0]
    put_on(base.pipeline, lora_folder, "judged")
    after = losses_of_base(data, base, 4)[0]
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
        base = base_of(pipeline_folder)
        data = validation_set(base, pictures, STRATA)
        put_on(base.pipeline, path, "judged")
        losses.append(losses_of_base(data, base, 4))
    assert torch.allclose(*losses, atol=1e-6)


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
            put_on(base_of(pipeline_folder).pipeline, path, "judged")
