"""`sweeper train` leaves a LoRA that plain diffusers loads, and says clearly what is wrong with its arguments."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from safetensors import safe_open

from train.command import main


@pytest.fixture
def arguments(tiny_pipeline: Path, drawn_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.chdir(tmp_path)
    base = [f"base.path={tiny_pipeline}", "base.resolution=32", f"data.path={drawn_folder / 'train'}"]
    train = ["train.steps=3", "train.batch_size=2", "train.gradient_accumulation=2"]
    return [*base, *train, "adapter.rank=8", "adapter.alpha_ratio=0.25"]


def test_lora_config_and_losses_are_left_behind(arguments: list[str], tmp_path: Path) -> None:
    assert main(arguments) == 0
    out = tmp_path / "multirun/train/train-1"
    steps = [json.loads(line) for line in (out / "steps.jsonl").read_text().splitlines()]
    assert [each["step"] for each in steps] == [1, 2, 3]
    assert json.loads((out / "config.json").read_text())["trial"]["adapter"]["rank"] == 8
    with safe_open(out / "lora/pytorch_lora_weights.safetensors", framework="pt") as file:
        header = json.loads(file.metadata()["lora_adapter_metadata"])
    assert (header["unet.r"], header["unet.lora_alpha"]) == (8, 2.0)


def test_out_folder_is_never_overwritten(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, f"out={tmp_path}"]) == 2
    assert (
        capsys.readouterr().err == f"error: out {tmp_path} exists already; name a new folder, nothing is overwritten\n"
    )


def test_bad_arguments_get_one_line_each_and_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["adapter.rnak=8", "optimizer=lyon"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert any("adapter.rank" in line for line in lines)
    assert any("lion" in line for line in lines)
    assert not list(tmp_path.iterdir())


def test_base_that_is_no_pipeline_is_named(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    assert main([*arguments, f"base.path={tmp_path / 'empty'}"]) == 2
    assert "is no pipeline: it has no model_index.json" in capsys.readouterr().err


def test_what_is_not_installed_is_named_before_anything_is_loaded(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, "train.attention=xformers"]) == 2
    assert capsys.readouterr().err.startswith(
        "error: train.attention xformers is not installed; run `pip install xformers`"
    )
    assert not (tmp_path / "multirun").exists()


def test_a_lora_of_averaged_weights_is_written_in_half_precision(arguments: list[str], tmp_path: Path) -> None:
    asked = ["train.ema_decay=0.9", "train.save_precision=bf16", "train.attention=sliced", "lr_scheduler=one_cycle"]
    assert main([*arguments, *asked, "optimizer=came", "optimizer.lr_scaling=sqrt"]) == 0
    out = tmp_path / "multirun/train/train-1"
    rates = [json.loads(line)["lr"] for line in (out / "steps.jsonl").read_text().splitlines()]
    assert max(rates) == pytest.approx(2e-4 * 2)  # of 4 images; on this base, rates are ten times those of SD 1.5
    with safe_open(out / "lora/pytorch_lora_weights.safetensors", framework="pt") as file:
        assert {file.get_slice(key).get_dtype() for key in file.keys()} == {"BF16"}  # noqa: SIM118
