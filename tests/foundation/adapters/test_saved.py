"""Files that trainings save are found, and ordered by the step or epoch in their names."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from foundation.adapters.files import Saved, saved_by, saved_in
from foundation.adapters.files.saved import names_of

KOHYA = ["mine-000002.safetensors", "mine-000010.safetensors", "mine.safetensors"]
STEPS = ["mine-step00000500.safetensors", "mine-step00001000.safetensors", "mine.safetensors"]
ONETRAINER = ["2026-11-30_10-00-00-save-500-10-0.safetensors", "2026-11-30_11-00-00-save-1000-20-0.safetensors"]
AI_TOOLKIT = ["mine_000000250.safetensors", "mine_000001000.safetensors", "mine.safetensors"]
FOLDERS = [f"checkpoint-{step}/pytorch_lora_weights.safetensors" for step in (500, 1500)]
OURS = [f"step-{step:06d}/pytorch_lora_weights.safetensors" for step in (40, 120)]


def saved(folder: Path, names: list[str]) -> list[Saved]:
    for name in reversed(names):
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"weights")
    return saved_in(str(folder))


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (KOHYA, ["epoch 2", "epoch 10", "mine"]),
        (STEPS, ["step 500", "step 1000", "mine"]),
        (ONETRAINER, ["step 500", "step 1000"]),
        (AI_TOOLKIT, ["step 250", "step 1000", "mine"]),
        (FOLDERS, ["step 500", "step 1500"]),
        ([*FOLDERS, "pytorch_lora_weights.safetensors"], ["step 500", "step 1500", "pytorch_lora_weights"]),
        (OURS, ["step 40", "step 120"]),
        (["b.safetensors", "a.safetensors"], ["a", "b"]),
    ],
)
def test_each_trainers_names(names: list[str], words: list[str], tmp_path: Path) -> None:
    assert [each.words for each in saved(tmp_path / "output", names)] == words


def test_one_lora_is_no_series(tmp_path: Path) -> None:
    assert saved(tmp_path / "best", ["pytorch_lora_weights.safetensors", "pencil.safetensors"]) == []
    assert saved(tmp_path / "one", ["mine.safetensors"]) == []
    assert saved_in(str(tmp_path / "one" / "mine.safetensors")) == saved_in(str(tmp_path / "none")) == []


def test_a_pattern_means_what_it_fits(tmp_path: Path) -> None:
    saved(tmp_path, KOHYA)
    assert [each.epoch for each in saved_in(f"{tmp_path}/mine-*.safetensors")] == [2, 10]
    assert saved_in(f"{tmp_path}/other-*.safetensors") == []


def test_steps_and_epochs_of_one_training_are_ordered_by_the_steps_in_the_headers(tmp_path: Path) -> None:
    for epoch, steps in ((1, 300), (2, 600)):
        save_file({"a": torch.ones(1)}, tmp_path / f"mine-{epoch:06d}.safetensors", {"ss_steps": str(steps)})
    save_file({"a": torch.ones(1)}, tmp_path / "mine-step00000500.safetensors")
    (tmp_path / "mine-000003.safetensors").write_bytes(b"no weights")
    assert [each.step for each in saved_in(str(tmp_path))[:3]] == [300, 500, 600]


def test_several_files_folders_and_patterns_are_one_training_in_order_each_once(tmp_path: Path) -> None:
    for name in ("a-000010", "a-000002", "b-000003", "c"):
        (tmp_path / f"{name}.safetensors").touch()
    found = saved_by([f"{tmp_path}/c.safetensors", f"{tmp_path}/a-*.safetensors", f"{tmp_path}/b-000003.safetensors"])
    assert [each.words for each in found] == ["epoch 2", "epoch 3", "epoch 10", "c"]
    assert saved_by([str(tmp_path), f"{tmp_path}/c.safetensors"]) == found
    (alone,) = saved_by([f"{tmp_path}/there-is-none.safetensors"])
    assert alone == Saved(path=tmp_path / "there-is-none.safetensors")


def test_no_two_are_called_alike() -> None:
    files = [Saved(path=Path("a-000002"), epoch=2), Saved(path=Path("b-000002"), epoch=2), Saved(path=Path("b"))]
    assert names_of(files) == ["a-000002", "b-000002", "b"]
