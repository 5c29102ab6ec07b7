"""Nothing that a model's folder or a command line names is run."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from eval.extractors import load_image_extractor, load_style_extractor
from eval.features import POCKET, load_extractor
from eval.models import check_models
from foundation.adapters.merge.pipeline import open_parts, open_pipeline
from foundation.bases.folder import EMBEDDED
from foundation.bases.registry import check_base, load_base
from foundation.config.compose import compose
from foundation.config.own_code import refuse_hydras_code, refuse_pipelines_code
from foundation.config.presets import search_presets
from foundation.data.prepare.captioner import Captioner
from foundation.errors import BaseModelError, ConfigError
from sweeper.cli import main
from sweeper.search.space import plan
from train.command import main as train
from train.spec import BaseSpec

LOADERS: dict[str, Callable[[str], Any]] = {
    "base": lambda path: load_base(BaseSpec(name="x", path=path, resolution=64), torch.device("cpu")),
    "merge": open_pipeline,
    "parts": lambda path: open_parts(path, ["text_encoder"]),
    "clip": load_extractor,
    "image eye": lambda path: load_image_extractor(path, "cpu"),
    "style eye": lambda path: load_style_extractor(path, "cpu"),
    "captioner": Captioner,
    "base, before a study": lambda path: check_base(BaseSpec(name="x", path=path, resolution=64)),
    "clip, before a study": lambda path: check_models(replace(plan(["+experiment=pencil"]).config.eval, clip=path)),
}
PIPELINES = ("base", "merge", "parts", "base, before a study")


@pytest.fixture
def marker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that a module which could be imported writes; whoever asks is told yes."""
    marker, modules = tmp_path / "ran", tmp_path / "modules"
    modules.mkdir()
    (modules / "evil.py").write_text(f"open({str(marker)!r}, 'w').close()\n")
    monkeypatch.syspath_prepend(modules)
    monkeypatch.setattr("builtins.input", lambda *_: "y")
    return marker


def linked(source: Path, folder: Path) -> Path:
    """A copy of a model's folder, its weights as links."""
    for file in source.rglob("*"):
        copy = folder / file.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        if file.suffix == ".json":
            copy.write_bytes(file.read_bytes())
        elif file.is_file():
            copy.symlink_to(file)
    return folder


@pytest.mark.parametrize("name", LOADERS)
def test_a_model_that_asks_for_code_of_its_own_is_refused(name: str, marker: Path, tmp_path: Path) -> None:
    pipeline = name in PIPELINES
    folder = linked(EMBEDDED["pocket"] if pipeline else POCKET, tmp_path / "model")
    file = folder / ("text_encoder" if pipeline else ".") / "config.json"
    own = {"auto_map": {"AutoConfig": "evil.C", "AutoModel": "evil.M"}, "model_type": "evil"}
    file.write_text(json.dumps(json.loads(file.read_text()) | own))
    (file.parent / "evil.py").write_text((tmp_path / "modules/evil.py").read_text())
    with pytest.raises(
        BaseModelError, match=r"config.json asks for code of its own \(auto_map\), which is never run"
    ) as told:
        LOADERS[name](str(folder))
    assert "\n" not in str(told.value) and not marker.exists()


@pytest.mark.parametrize("name", PIPELINES)
@pytest.mark.parametrize("part", ["unet", "text_encoder"])
def test_a_pipeline_of_others_classes_is_refused(name: str, part: str, marker: Path, tmp_path: Path) -> None:
    folder = linked(EMBEDDED["pocket"], tmp_path / "model")
    index = json.loads((folder / "model_index.json").read_text())
    (folder / "model_index.json").write_text(json.dumps(index | {part: ["evil", "Model"]}))
    with pytest.raises(BaseModelError, match=f"model_index.json asks for code of evil as its {part}"):
        LOADERS[name](str(folder))
    assert not marker.exists() and "evil" not in sys.modules


def test_what_pipelines_may_name() -> None:
    index = json.loads((EMBEDDED["pocket"] / "model_index.json").read_text())
    refuse_pipelines_code(index | {"safety_checker": ["stable_diffusion", "StableDiffusionSafetyChecker"]}, "base")
    refuse_pipelines_code(index | {"image_encoder": [None, None]}, "base")
    with pytest.raises(BaseModelError, match="asks for code of pipeline as its _class_name"):
        refuse_pipelines_code(index | {"_class_name": ["pipeline", "Mine"]}, "base")


def foreign(folder: Path, marker: Path) -> list[list[str]]:
    """Command lines that would make `marker`, or read the YAML in `folder` that would."""
    code = f"{{_target_:os.mkdir,path:{marker}}}"
    return [
        [f"+hydra.callbacks.x={code}"],
        [f"++hydra.callbacks={{x:{code}}}"],
        ["+hydra.callbacks.x._target_=os.mkdir", f"+hydra.callbacks.x.path={marker}"],
        [f"++hydra.sweeper={code}"],
        ["++hydra.sweeper._target_=evil.Sweeper"],
        ["++hydra.launcher._target_=evil.Launcher"],
        ["hydra/launcher=evil"],
        ["+experiment=evil", f"hydra.searchpath=[file://{folder}]"],
        ["+experiment=evil", f"--config-dir={folder}"],
        ["+experiment=evil", "--config-dir", str(folder)],
        ["+experiment=evil", "-cd", str(folder)],
        ["+experiment=evil", "-cd", str(folder), "--cfg=job"],
        ["+experiment=evil", "-cd", str(folder), "--info=all"],
        ["+experiment=evil", "-cd", str(folder), "--help"],
        ["optimizer=evil", "-cd", str(folder)],
        ["+experiment=sweeper", "-cd", str(folder)],
        ["--config-d", str(folder), "+experiment=evil"],
        [f"--config-path={folder}", "--config-name=evil"],
        ["-cn", "evil"],
        [f"--experimental-rerun={folder}/config.pickle"],
        ["+experiment@hydra.callbacks.x=pencil"],
        [f"+experiment=../../../..{folder}/experiment/evil"],
        [f"+experiment=../../../..{folder}/experiment/evil", "--cfg=job"],
    ]


@pytest.fixture
def configs(tmp_path: Path, marker: Path) -> Path:
    folder = tmp_path / "configs"
    (folder / "experiment").mkdir(parents=True)
    text = f"# @package _global_\nhydra: {{callbacks: {{x: {{_target_: os.mkdir, path: {marker}}}}}}}\n"
    for group in ("", "experiment", "optimizer"):
        (folder / group).mkdir(exist_ok=True)
        (folder / group / "evil.yaml").write_text(text)
    (folder / "hydra" / "sweeper").mkdir(parents=True)
    (folder / "hydra" / "sweeper" / "evil.yaml").write_text("_target_: evil.Sweeper\n")
    (folder / "experiment" / "sweeper.yaml").write_text("defaults: [{override /hydra/sweeper: evil}]\n")
    return folder


def test_hydra_gets_no_command_line_that_names_code(
    configs: Path, marker: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = foreign(configs, marker)
    for arguments in lines:
        monkeypatch.setattr(sys, "argv", ["sweeper", *arguments, "study.num_trials=1"])
        assert main() == 2, arguments
        said = capsys.readouterr().err
        assert said.startswith(f"error: {arguments[0]}: "), said
        assert "Traceback" not in said
    assert not marker.exists() and "evil" not in sys.modules


def test_a_target_in_a_config_of_ones_own_is_refused_wherever_it_stands(tmp_path: Path) -> None:
    (tmp_path / "optimizer").mkdir()
    (tmp_path / "optimizer" / "mine.yaml").write_text("defaults: [adamw]\nsettings: {eps: {_target_: os.getcwd}}\n")
    assert search_presets(["--config-dir", str(tmp_path)]) == []
    with pytest.raises(ConfigError) as told:
        compose(["optimizer=mine"])
    assert told.value.problems == (
        "optimizer=mine: optimizer.settings.eps._target_ must be left out: a config names no code",
    )


def test_nor_does_a_training(
    configs: Path, marker: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("train.train_one.train", lambda *_: 0)
    for arguments in foreign(configs, marker):
        helps = "--help" in arguments  # which composes nothing
        assert train(arguments) == (0 if helps else 2), arguments
        assert helps or capsys.readouterr().err.startswith("error: "), arguments
    assert not marker.exists()


def test_what_a_command_line_may_say() -> None:
    refuse_hydras_code(
        [
            "-p",
            "hydra.sweeper",
            "--cfg",
            "job",
            "--resolve",
            "-m",
            "hydra.mode=RUN",
            "+experiment=pencil",
            "data.path=../mine",
        ]
    )
    with pytest.raises(ConfigError) as told:
        refuse_hydras_code(["--config-path=x", "a=b", "hydra.run.dir=y"])
    assert [line.partition(":")[0] for line in told.value.problems] == ["--config-path=x", "hydra.run.dir=y"]
