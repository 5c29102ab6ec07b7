"""`sweeper merge` from words to files; mistakes are all told, in a line each, before anything runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from diffusers import DiffusionPipeline

from foundation.adapters.exports import read_adapter
from foundation.adapters.exports.layers import layers_of
from foundation.adapters.merge.command import main
from tests.train.trained_pocket import Picture, difference, draw

Trained = Callable[[str], tuple[Path, Picture]]


def test_merged_and_out_again(trained: Trained, plain_picture: Picture, tmp_path: Path) -> None:
    folder, picture = trained("alpha")
    merged, back = tmp_path / "merged", tmp_path / "back"
    assert main(["merge", f"lora={folder}", f"out={merged}"]) == 0
    assert difference(draw(DiffusionPipeline.from_pretrained(merged)), picture) < 1
    assert main(["unmerge", f"lora={folder}", f"base={merged}", f"out={back}", "precision=fp32"]) == 0
    assert difference(draw(DiffusionPipeline.from_pretrained(back)), plain_picture) < 0.1


def test_combined_and_resized(
    trained: Trained, new_pipeline: Callable[[], Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Half of a LoRA and half of it again is it, in both of the formats asked for."""
    folder, picture = trained("mixed")
    out = tmp_path / "both"
    arguments = ["combine", f"lora={folder}", f"lora={folder}", "weight=0.5", "weight=0.5", "method=cat"]
    assert main([*arguments, f"out={out}", "format=kohya", "format=peft"]) == 0
    pipe = new_pipeline()
    pipe.load_lora_weights(out / "both.safetensors")
    assert difference(draw(pipe), picture) < 1
    assert (out / "peft/unet/adapter_model.safetensors").is_file()
    capsys.readouterr()
    assert main(["resize", f"lora={folder}", "rank=2", f"out={tmp_path / 'small'}"]) == 0
    said = capsys.readouterr().out
    assert "rank 2 keeps " in said and "% of the update's norm; least, " in said
    assert {each.rank for each in layers_of(read_adapter(tmp_path / "small").parts["unet"], "")} == {2}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["fuse", "lora=a", "out=b"], ["the first word must be one of merge, unmerge, combine, resize, got 'fuse'"]),
        (["merge", "lroa=a"], ["did you mean lora=?", "lora must be given", "out must be given"]),
        (["combine", "lora=a", "out=b", "method=sum", "rank=0"], ["method: ", "rank: "]),
        (["combine", "lora=a", "out=b", "density=1.5", "weight=x"], ["weight.0: ", "density: "]),
        (["combine", "lora=a", "lora=b", "out=b", "weight=1"], ["weight must be given for each lora: 2 lora=, 1"]),
        (["resize", "lora=a", "out=b"], ["resize takes one lora= and the rank="]),
        (["resize", "lora=a", "out=.", "rank=2", "rank=3"], ["rank must be given once"]),
        (["resize", "lora=a", "out=.", "rank=2"], ["out . exists already"]),
        (["resize", "lora=none", "out=new", "rank=2"], ["there is no LoRA at none"]),
    ],
)
def test_mistakes(arguments: list[str], words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == len(words)
    for word in words:
        assert any(word in line for line in lines), lines
    assert not Path("new").exists()


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert main(["--help"]) == 0
    assert "sweeper merge VERB" in capsys.readouterr().out
