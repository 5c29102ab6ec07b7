"""`sweeper export STUDY recipe=TRAINER`: the winner's settings as that trainer's config, and what differs there."""

from __future__ import annotations

import tomllib
from dataclasses import asdict
from pathlib import Path

import pytest

from foundation.config.compose import compose
from foundation.files.durable import write_json, write_text
from sweeper.export import main
from sweeper.records.config import parse_config
from sweeper.study.study_file import to_yaml
from sweeper.trainers.documents import read_documents
from sweeper.trainers.registry import TRAINERS, trainer_of

OVERRIDES = ["+experiment=pencil", "optimizer=lion", "optimizer.lr=0.0003", "adapter.rank=8", "adapter.alpha_ratio=2"]


@pytest.fixture
def studies(tmp_path: Path) -> Path:
    """A folder of studies, one of them with a best LoRA of the embedded base."""
    best = tmp_path / "studies" / "pencil" / "best"
    best.mkdir(parents=True)
    (best / "pytorch_lora_weights.safetensors").write_bytes(b"weights")
    write_text(best / "config.yaml", to_yaml(parse_config(compose(OVERRIDES))))
    write_json(best / "scores.json", {"strength": 0.8, "step": 120})
    return tmp_path / "studies"


@pytest.mark.parametrize("name", TRAINERS)
def test_a_winner_is_written_as_files_that_the_import_takes(
    name: str, studies: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["pencil", f"recipe={name}", f"folder={studies}"]) == 0
    files = sorted((studies / "pencil" / f"best-{name}").iterdir())
    trainer, _ = trainer_of(read_documents(map(str, files)))
    assert trainer.name == name
    said = capsys.readouterr().out.splitlines()
    assert [line for line in said if line.startswith(f"{name}: ")] and files
    assert "differs: base.path: pocket here, stable-diffusion-v1-5/stable-diffusion-v1-5 there" in said
    assert "note: this is its checkpoint of step 120; the config trains on to the end" in said
    assert "note: the study chose strength 0.8 for it" in said
    assert "note: its pictures were drawn; name a folder of yours in the config" in said


def test_what_kohya_reads(studies: Path) -> None:
    assert main(["pencil", "recipe=kohya", f"folder={studies}", f"out={studies / 'out'}", "title=mine"]) == 0
    training = tomllib.loads((studies / "out/mine.toml").read_text())
    dataset = tomllib.loads((studies / "out/mine-dataset.toml").read_text())["datasets"][0]
    assert (training["network_dim"], training["network_alpha"], training["unet_lr"]) == (8, 16, 0.0003)
    assert training["optimizer_type"] == "Lion" and "betas=0.9,0.99" in training["optimizer_args"]
    assert training["max_train_steps"] == 160 and training["dataset_config"] == "mine-dataset.toml"
    assert dataset["batch_size"] == 4 and dataset["resolution"] == 64 and len(dataset["subsets"]) == 1


def test_a_run_without_a_study_has_its_trial_in_a_group_of_its_own(studies: Path, tmp_path: Path) -> None:
    config = asdict(parse_config(compose(OVERRIDES)))
    groups = ("adapter", "optimizer", "lr_scheduler", "objective", "train")
    lora = tmp_path / "one/lora"
    lora.mkdir(parents=True)
    (lora / "pytorch_lora_weights.safetensors").write_bytes(b"weights")
    own = {"base": config["base"], "data": config["data"], "trial": {group: config[group] for group in groups}}
    write_json(tmp_path / "one/config.json", own)
    assert main([str(lora), "recipe=ai-toolkit"]) == 0
    assert (tmp_path / "one/lora-ai-toolkit/lora.yaml").is_file()


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["recipe=kohja"], "recipe must be one of kohya, onetrainer, ai-toolkit, simpletuner, diffusers, got kohja"),
        (["kohya", "recipe=kohya"], "recipe writes a config alone; leave kohya out, or recipe="),
        (["recipe=kohya", "strength=0.5"], "recipe takes no strength="),
    ],
)
def test_bad_input_is_one_line(
    arguments: list[str], line: str, studies: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["pencil", f"folder={studies}", *arguments]) == 2
    assert capsys.readouterr().err == f"error: {line}\n"
    assert sorted(path.name for path in (studies / "pencil").iterdir()) == ["best"]


def test_without_a_config_there_is_nothing_to_write(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "other.safetensors").write_bytes(b"weights")
    assert main([str(tmp_path / "other.safetensors"), "recipe=kohya"]) == 2
    assert "there is no config beside" in capsys.readouterr().err


def test_nothing_is_overwritten(studies: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for code in (0, 2):
        assert main(["pencil", "recipe=kohya", f"folder={studies}"]) == code
    assert "exists already" in capsys.readouterr().err
