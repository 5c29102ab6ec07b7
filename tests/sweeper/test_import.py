"""`sweeper import`: an experiment that a study begins with their setting, or one line and nothing written."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from foundation.config.compose import compose
from foundation.config.presets import search_presets, searched
from sweeper.cli import main as sweeper
from sweeper.import_config import main
from sweeper.search.recipes import recipes_in
from sweeper.search.space import plan

PRESET = {
    "LoRA_type": "Standard",
    "network_dim": 12,
    "network_alpha": 3,
    "unet_lr": 0.00037,
    "text_encoder_lr": 0,
    "optimizer": "Lion",
    "optimizer_args": "weight_decay=0.4",
    "lr_scheduler": "cosine",
    "lr_warmup": 5,
    "max_train_steps": 800,
    "train_batch_size": 3,
    "train_data_dir": "not there",
    "wandb_api_key": "abc",
    "brand_new": 1,
}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(searched, "folders", ())
    Path("my preset.json").write_text(json.dumps(PRESET))
    return tmp_path


def test_their_setting_is_the_first_trial(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["my preset.json", "name=mine"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("conf/experiment/mine.yaml: a preset of kohya_ss; 14 fields: 12 carried over")
    assert "note: data.path: not there is not there" in said and "unknown: brand_new=1" in said
    assert "abc" not in said and said.endswith("now: sweeper +experiment=mine\n")
    search_presets([])
    study = plan(["+experiment=mine"])
    trial = study.trial(recipes_in(study).first[0]).trial
    assert (trial.adapter.rank, trial.adapter.alpha_ratio, trial.optimizer.lr) == (12, 0.25, 0.00037)
    assert (trial.optimizer.name, trial.optimizer.weight_decay) == ("lion", 0.4)
    assert (trial.lr_scheduler.name, trial.lr_scheduler.warmup, trial.train.steps) == ("cosine", 0.05, 800)
    assert study.config.eval.every == 100 and study.config.study.name == "mine"
    names = {dimension.name: dimension for dimension in study.space.dimensions}
    assert set(names) == {"adapter.rank", "adapter.alpha_ratio", "optimizer.layer_lr"}
    assert str(names["adapter.rank"].domain) == "choice(6, 12, 24)"


def test_nothing_of_the_persons_is_overwritten_unless_it_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    file = Path("conf/experiment/mine.yaml")
    file.parent.mkdir(parents=True)
    file.write_text("theirs")
    assert main(["my preset.json", "name=mine"]) == 2 and file.read_text() == "theirs"
    assert "exists already" in capsys.readouterr().err
    assert main(["my preset.json", "name=mine", "overwrite=true"]) == 0 and "imported" in file.read_text()
    assert main(["my preset.json", "name=pencil", "overwrite=true"]) == 2
    assert "pencil is a built-in experiment" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["none.json"], "error: none.json: No such file or directory"),
        (["my preset.json", "name=a b"], "error: name must be letters, digits, hyphens and underscores, got 'a b'"),
        (["my preset.json", "trainer=none"], "error: trainer must be one of kohya, onetrainer"),
        (["my preset.json", "trainer=onetrainer"], "error: my preset.json must be a config of a trainer that is known"),
        (["bad.json"], "error: bad.json is not JSON"),
        (["wrong.json"], "error: network_dim must be a number, got 'x'"),
        (["refused.json"], "error: adapter.dropout must be < 1, got 1.5"),
        (["overwrite=maybe", "my preset.json"], "error: overwrite must be true or false, got maybe"),
        (["name=x"], "error: name a config of another trainer first"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(
    arguments: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("bad.json").write_text("{")
    Path("wrong.json").write_text(json.dumps({**PRESET, "network_dim": "x"}))
    Path("refused.json").write_text(json.dumps({**PRESET, "network_dropout": 1.5}))
    before = sorted(Path.cwd().rglob("*"))
    assert main(arguments) == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith(line)
    assert sorted(Path.cwd().rglob("*")) == before


@pytest.mark.parametrize("path", ["${oc.env:HOME}/mine", "D:\\pictures\\${mine}", "\\\\host\\$mine", "é 'x\"${"])
def test_paths_are_texts(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    """No variable of the environment gets into a config by a file of somebody else's."""
    Path("my preset.json").write_text(json.dumps({**PRESET, "train_data_dir": path}))
    assert main(["my preset.json", "name=mine"]) == 0
    search_presets([])
    config = compose(["+experiment=mine"])
    assert config["data"]["path"] == path and config["eval"]["batch_rows"] == 16
    assert f"note: data.path: {path} is not there" in capsys.readouterr().out


def test_another_folder_is_named_in_what_to_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["my preset.json", "folder=own"]) == 0
    assert Path("own/experiment/my-preset.yaml").is_file()
    assert capsys.readouterr().out.endswith("now: sweeper --config-dir=own +experiment=my-preset\n")


def test_the_form_with_an_equals_sign_is_the_same_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["sweeper", "import=none.json"])
    assert sweeper() == 2
    assert capsys.readouterr().err == "error: none.json: No such file or directory\n"
