"""A study's LoRA for other programs: `sweeper export`, and `best/`, whose card says which file is whose."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers import DiffusionPipeline
from safetensors import safe_open

from foundation.bases.port import Base
from foundation.files.durable import write_json, write_text
from foundation.files.sums import SUMS, write_sums
from sweeper.export import main
from sweeper.results.card import card
from sweeper.results.web_ui_file import HandedOver, hand_over
from sweeper.results.winner import Winner
from tests.sweeper.results.test_report import winner
from train.adapters import TrialAdapter
from train.spec import AdapterSpec

__all__ = ["winner"]  # a fixture

CONFIG = """\
base: {name: tiny, path: %s, resolution: 32}
data: {trigger: in pencil style}
optimizer: {name: lion, lr: 0.0001}
train: {steps: 160}
study: {name: pencil}
"""


@pytest.fixture
def study(tiny_pipeline: Path, new_base: Callable[[], Base], tmp_path: Path) -> Path:
    """A folder of studies, one of them with a best LoRA that is best at strength 0.5."""
    best = tmp_path / "studies" / "pencil" / "best"
    best.mkdir(parents=True)
    save(new_base(), AdapterSpec(rank=2, alpha_ratio=3), best)
    write_text(best / "config.yaml", CONFIG % tiny_pipeline)
    write_json(best / "scores.json", {"strength": 0.5})
    return tmp_path / "studies"


def save(base: Base, spec: AdapterSpec, folder: Path) -> None:
    adapter = TrialAdapter(base, "a", spec, seed=0, steps=2)
    with torch.no_grad():
        for parameter in adapter.parameters[0]:
            parameter += 0.1
    adapter.save(folder)


def test_a_study_by_its_name(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pencil", f"folder={study}"]) == 0
    out = study / "pencil/best-export"
    assert {path.name for path in out.iterdir()} == {
        "pencil.safetensors",
        "pytorch_lora_weights.safetensors",
        "peft",
    }
    with safe_open(out / "pencil.safetensors", "pt") as opened:
        header = opened.metadata()
    assert header["modelspec.trigger_phrase"] == "in pencil style" and header["ss_learning_rate"] == "0.0001"
    assert header["ss_network_alpha"] == "6" and header["modelspec.date"]
    said = capsys.readouterr().out.splitlines()
    assert len(said) == 3 and "A1111" in "".join(said)


def test_a_checkpoint_merged_at_the_strength_that_the_study_chose(study: Path, tiny_pipeline: Path) -> None:
    best, out = study / "pencil/best", study / "out"
    assert main([str(best), "merged", "kohya", f"out={out}", "title=mine"]) == 0
    assert (out / "mine.safetensors").is_file()
    base = DiffusionPipeline.from_pretrained(tiny_pipeline)
    merged = DiffusionPipeline.from_pretrained(out / "merged")
    with safe_open(best / "pytorch_lora_weights.safetensors", "pt") as opened:
        name = next(name for name in opened.keys() if name.endswith("lora_A.weight"))  # noqa: SIM118
        down, up = opened.get_tensor(name), opened.get_tensor(name.replace("lora_A", "lora_B"))
    layer = name.removeprefix("unet.").removesuffix(".lora_A.weight")
    update = merged.unet.get_submodule(layer).weight - base.unet.get_submodule(layer).weight
    torch.testing.assert_close(update, 0.5 * 3 * up @ down, rtol=0, atol=1e-6)


def test_a_trials_checkpoint_and_a_run_without_a_study(study: Path, tiny_pipeline: Path, tmp_path: Path) -> None:
    """Their configs lie one or two folders above."""
    weights = (study / "pencil/best/pytorch_lora_weights.safetensors").read_bytes()
    checkpoint, lora = tmp_path / "trials/0007/checkpoints/step-000040", tmp_path / "one/lora"
    for folder in (checkpoint, lora):
        folder.mkdir(parents=True)
        (folder / "pytorch_lora_weights.safetensors").write_bytes(weights)
    write_text(tmp_path / "trials/0007/config.yaml", CONFIG % tiny_pipeline)
    write_json(tmp_path / "one/config.json", {"data": {"trigger": "of its own"}, "trial": {"train": {"steps": 7}}})
    for folder, file, trigger in [(checkpoint, "pencil", "in pencil style"), (lora, "lora", "of its own")]:
        assert main([str(folder), "kohya"]) == 0
        with safe_open(f"{folder}-export/{file}.safetensors", "pt") as opened:
            assert opened.metadata()["modelspec.trigger_phrase"] == trigger


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nothing"], ["there is no LoRA in nothing and no study nothing with a best one"]),
        (
            ["a", "khoya", "uot=b"],
            ["got 'uot=b'; did you mean out=?", "a format must be one of diffusers, kohya, peft, full, merged, got"],
        ),
        (["a", "out=b", "out=c"], ["out must be given once, got it again as 'out=c'"]),
        (["out=b"], ["name a study, a folder or a file first"]),
    ],
)
def test_mistakes(arguments: list[str], words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == len(words)
    assert all(any(word in line for line in lines) for word in words)


def test_what_stands_in_the_way(study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    best = study / "pencil/best"
    for arguments, words in [
        ([f"out={tmp_path}"], "exists already"),
        (["strength=much"], "strength must be a number, got 'much'"),
    ]:
        assert main([str(best), *arguments]) == 2
        assert words in capsys.readouterr().err
    (best / "config.yaml").unlink()
    assert main([str(best), "merged", f"out={tmp_path / 'new'}"]) == 2
    assert "nothing beside" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert main(["--help"]) == 0
    assert "sweeper export STUDY|FOLDER|FILE" in capsys.readouterr().out


def test_best_holds_a_kohya_file_and_the_card_says_whose(study: Path, winner: Winner) -> None:
    best = study / "pencil/best"
    files = hand_over(replace(winner, strength=0.8), best)
    assert files == HandedOver(kohya="pencil.safetensors")
    text = card(replace(winner, strength=0.8), best, files)
    assert "`<lora:pencil:0.8>`, and `in pencil style` in the prompt" in text
    assert "| `pytorch_lora_weights.safetensors` | diffusers |" in text and "ComfyUI" in text


def test_the_card_names_no_program_that_does_not_read_the_file(winner: Winner, tmp_path: Path) -> None:
    def text(*programs: str, unread: str = "") -> str:
        return card(winner, tmp_path, HandedOver(kohya="pencil.safetensors", read_by=programs, unread=unread))

    forge = text("Forge", "ComfyUI", unread="not for A1111 (does not know the family)")
    assert "| `pencil.safetensors` | Forge |" in forge and "| `pencil.safetensors` | ComfyUI |" in forge
    assert "`pencil.safetensors` is not for A1111 (does not know the family)." in forge
    assert "models/Lora" not in text("ComfyUI") and "| `pencil.safetensors` | ComfyUI |" in text("ComfyUI")


KINDS = {
    "dora": AdapterSpec(rank=2, dora=True, alpha_ratio=0.5),
    "loha": AdapterSpec(name="loha", rank=2),
    "oft": AdapterSpec(name="oft", block_size=4),
    "ia3": AdapterSpec(name="ia3", targets=("to_k", "to_v")),
}


@pytest.fixture
def kinds(tiny_pipeline: Path, new_base: Callable[[], Base], tmp_path: Path) -> Path:
    """A folder with a LoRA of each of `KINDS`, as trials' checkpoints lie, their configs beside them."""
    for name, spec in KINDS.items():
        (tmp_path / name).mkdir()
        save(new_base(), spec, tmp_path / name)
        write_text(tmp_path / name / "config.yaml", CONFIG % tiny_pipeline)
    return tmp_path


def test_kinds_that_not_every_program_takes(kinds: Path, winner: Winner) -> None:
    told = {name: replace(winner, config=(kinds / name / "config.yaml").read_text()) for name in KINDS}
    cards = {name: card(told[name], kinds, hand_over(told[name], kinds / name)) for name in KINDS}
    for name in ("dora", "ia3"):
        assert "| Forge |" in cards[name] and "| ComfyUI |" in cards[name] and "| A1111" not in cards[name]
        assert "`pencil.safetensors` is not for A1111 (takes the " in cards[name]
        assert "format full is for A1111" in cards[name]
    assert "| diffusers |" not in cards["loha"] and "| A1111, Forge |" in cards["loha"]
    assert "There is no kohya file for A1111, Forge and ComfyUI: kohya's format has no words for OFT" in cards["oft"]
    assert all(f"sweeper export {kinds.name} merged" in cards[name] for name in ("loha", "oft"))
    assert "load_lora_weights" in cards["dora"] and "load_lora_weights" not in cards["loha"]
    torn = kinds / "torn"
    torn.mkdir()
    (torn / "pytorch_lora_weights.safetensors").write_bytes(b"torn")
    assert "cannot be read" in hand_over(winner, torn).reason


def test_a_base_that_is_gone_leaves_the_winner_without_its_kohya_file(kinds: Path, winner: Winner) -> None:
    files = hand_over(replace(winner, config="base: {path: /nowhere/at/all}"), kinds / "dora")
    assert not files.kohya and files.in_diffusers and "/nowhere/at/all is no pipeline that loads" in files.reason


def test_what_is_said_where_files_of_other_kinds_are_written(kinds: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One line each: who reads it, who does not and why, and what was not written."""
    said = {}
    for name in KINDS:
        assert main([str(kinds / name)]) == 0
        said[name] = dict(line.split(": ", 1) for line in capsys.readouterr().out.splitlines())
    assert "for Forge, ComfyUI; not for A1111 (takes the magnitudes" in said["dora"]["kohya"]
    assert "for diffusers; not for A1111, Forge, ComfyUI" in said["dora"]["diffusers"]
    assert said["loha"]["diffusers"].startswith("not written: diffusers loads LoRA only")
    assert "for A1111, Forge, ComfyUI; not for kohya's trainer" in said["loha"]["kohya"]
    assert said["oft"]["kohya"].startswith("not written: kohya's format has no words for OFT")
    assert all("for PEFT" in lines["peft"] for lines in said.values())
    for name in KINDS:
        assert main([str(kinds / name), "full", f"out={kinds / name}-whole"]) == 0
        (line,) = capsys.readouterr().out.splitlines()
        assert line.startswith(f"full: {kinds / name}-whole/pencil-full.safetensors ")
        assert "MiB, for A1111, Forge, ComfyUI; not for kohya's trainer, diffusers (loads LoRA only)" in line
    assert main([str(kinds / "oft"), "kohya", f"out={kinds / 'asked'}"]) == 2  # asked for by its name
    assert "kohya's format has no words for OFT" in capsys.readouterr().err
    assert not (kinds / "asked").exists()


def test_files_that_need_the_base_take_another_that_is_named(
    kinds: Path, tiny_pipeline: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (kinds / "dora" / "config.yaml").unlink()
    assert main([str(kinds / "dora"), f"out={kinds / 'all'}"]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("kohya: ")]
    assert line.startswith("kohya: not written: nothing beside the LoRA tells its base")
    for format_ in ("kohya", "full", "merged"):
        out = kinds / f"{format_}-out"
        assert main([str(kinds / "dora"), format_, f"out={out}"]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line == "error: nothing beside the LoRA tells its base; name it: base=FOLDER or a hub id"
        assert main([str(kinds / "dora"), format_, f"out={out}", f"base={kinds / 'ia3'}"]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(f"error: {kinds / 'ia3'} is no pipeline that loads")
        assert main([str(kinds / "dora"), format_, f"out={out}", f"base={tiny_pipeline}"]) == 0
        capsys.readouterr()


@pytest.mark.parametrize("title", ["../evil", "a/b", "", ".."])
def test_a_title_is_a_files_name(title: str, study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pencil", f"folder={study}", f"out={tmp_path / 'out'}", f"title={title}"]) == 2
    assert capsys.readouterr().err == f"error: title must be a file's name, without slashes, got {title!r}\n"
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["scores.json", "config.yaml"])
def test_a_damaged_file_beside_the_lora_is_named(name: str, study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (study / "pencil/best" / name).write_text("{")
    assert main(["pencil", f"folder={study}"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {study}/pencil/best/{name} is not ")


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("scores.json", b"0.5", b"0.9"),
        ("config.yaml", b"pencil", b"pencel"),
        ("pytorch_lora_weights.safetensors", b"", b""),
    ],
)
def test_what_is_as_readable_and_long_but_not_what_was_written_is_not_shipped(
    name: str, before: bytes, after: bytes, study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_sums(study / "pencil/best")
    file = study / "pencil/best" / name
    whole = file.read_bytes()
    file.write_bytes(whole.replace(before, after) if before else whole[:-1] + bytes([whole[-1] ^ 1]))
    assert main(["pencil", f"folder={study}"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {file} is damaged (its checksum differs from {SUMS}); ")
    assert not (study / "pencil/best-export").exists()


def test_what_the_machine_refuses_is_said_in_one_line(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (study / "file").touch()
    assert main(["pencil", f"folder={study}", f"out={study / 'file' / 'below'}"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: [Errno ")
