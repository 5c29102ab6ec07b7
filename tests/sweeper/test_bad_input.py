"""What a person mistypes: clear lines, exit code 2, and nothing left behind."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from foundation.errors import ConfigError, StudyError, UserError
from sweeper.cli import main
from sweeper.study.run import run_study

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def received(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Puts a study in place of the real one that only notes what it was given."""
    calls: list[list[str]] = []

    def run_study(overrides: list[str]) -> int:
        calls.append(list(overrides))
        if "study.seed=13" in overrides:
            raise StudyError("no study of that name")
        return 3 if "study.seed=14" in overrides else 0

    module = ModuleType("sweeper.study.run")
    module.run_study = run_study  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "sweeper.study.run", module)
    return calls


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["sweeper", *arguments])
    try:
        return main()
    except SystemExit as end:
        return int(end.code or 0)


def test_the_real_command_says_every_mistake_on_its_own_line_and_leaves_nothing(tmp_path: Path) -> None:
    arguments = ["+experiment=pencil", "adapter.rank=0", "adapter.rnk=4,5", "optimizer=lin", "train.steps=range(1"]
    done = subprocess.run(
        [sys.executable, "-m", "sweeper", *arguments],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    heads = [line.partition(",")[0] for line in done.stderr.splitlines()]
    assert heads == [
        "error: train.steps=range(1 cannot be parsed: no viable alternative at input 'range(1'; sweeps are written a",
        "error: optimizer must be one of adafactor",
        "error: adapter.rnk is unknown",
        "error: adapter.rank must be ≥ 1",
    ]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["adapter.rank=0"], "adapter.rank must be ≥ 1, got 0"),
        (["adapter.rank=interval(1"], "adapter.rank=interval(1 cannot be parsed"),
        (["adapter.rnak=8"], "adapter.rnak is unknown, got 8"),
        (["optimizer=prodgy"], "did you mean prodigy?"),
        (["+experiment=pencl"], "did you mean pencil?"),
        (["--multirun", "train.precision=fp31"], "train.precision must be one of fp32, bf16, fp16, got 'fp31'"),
        (["data=folder"], "there is no folder; set data.path"),
    ],
)
def test_bad_input_ends_with_2_before_a_study_is_made(
    arguments: list[str],
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    received: list[list[str]],
) -> None:
    assert run(monkeypatch, *arguments) == 2
    said = capsys.readouterr()
    assert words in said.err
    assert "Traceback" not in said.err
    assert len(said.err.splitlines()) == 1
    assert received == []


def test_an_optimizer_that_is_not_installed_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], received: list[list[str]]
) -> None:
    found = ("lion_pytorch", "bitsandbytes")
    monkeypatch.setattr(
        "train.spec.optimizer.importlib.util.find_spec", lambda name: None if name in found else object()
    )
    assert run(monkeypatch, "+experiment=pencil") == 2
    assert capsys.readouterr().err.splitlines() == [
        "error: optimizer adamw8bit is not installed; run `pip install bitsandbytes` or choose another",
        "error: optimizer lion is not installed; run `pip install lion-pytorch` or choose another",
    ]
    assert received == []


def test_a_plain_command_is_a_multirun_and_the_study_gets_the_overrides_as_typed(
    monkeypatch: pytest.MonkeyPatch, received: list[list[str]]
) -> None:
    arguments = ["+experiment=pencil", "adapter.rank=4,8", "optimizer.lr=tag(log, interval(1e-4, 1e-3))"]
    arguments += ["optimizer=choice(adamw,lion)"]
    assert run(monkeypatch, *arguments) == 0
    assert received == [arguments]


def test_what_the_study_refuses_and_how_it_ends_become_the_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], received: list[list[str]]
) -> None:
    assert run(monkeypatch, "study.seed=13") == 2
    assert capsys.readouterr().err == "error: no study of that name\n"
    assert run(monkeypatch, "study.seed=14") == 3


def test_hydras_own_flags_keep_working(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, "--help") == 0
    assert "sweeper +experiment=pencil" in capsys.readouterr().out
    assert run(monkeypatch, "--cfg", "job", "--resolve", "+experiment=pencil") == 0
    assert "  trigger: in pencil style" in capsys.readouterr().out
    assert run(monkeypatch, "hydra.mode=RUN") == 2
    assert "sweeper train trains one LoRA" in capsys.readouterr().err


@pytest.mark.parametrize("asked", ["true", "choice(true,false)", "choice(false,true)"])
def test_an_objective_that_the_base_cannot_have_is_refused_before_anything_is_written(
    asked: str, tmp_path: Path
) -> None:
    overrides = ["+experiment=pencil", f"objective.zero_terminal_snr={asked}", f"study.folder={tmp_path}"]
    with pytest.raises(ConfigError) as caught:
        run_study(overrides)
    (line,) = caught.value.problems
    assert line.startswith("objective.zero_terminal_snr needs a base that predicts v, this one predicts epsilon")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def offline_tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with what mistakes may name, on a machine that has nothing of the hub and may not ask it."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    (tmp_path / "folder").mkdir()
    (tmp_path / "other.db").write_bytes(b"this is no database at all")
    (tmp_path / "base/unet").mkdir(parents=True)
    index = '{"_class_name": "StableDiffusionPipeline", "unet": ["diffusers", "UNet2DConditionModel"]}'
    (tmp_path / "base/model_index.json").write_text(index)
    (tmp_path / "base/unet/diffusion_pytorch_model.bin").write_bytes(b"pickled")
    return tmp_path


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("base.path=TREE/nowhere", "nowhere does not exist"),
        ("base.path=owner/mo--del", "base.path owner/mo--del does not exist"),
        ("base.path=owner/", "base.path owner/ does not exist"),
        ("base.path=ours/not-fetched", "base ours/not-fetched is not in this machine's cache"),
        ("base.path=TREE/folder", "is no pipeline: it has no model_index.json"),
        ("base.path=TREE/base", "base holds no weights of its unet"),
        ("base.parts=no parts", "base.parts no parts does not exist"),
        ("eval.clip=typo", "eval.clip must be a folder or a hub id"),
        ("eval.image_features=ours/not-fetched", "eval.image_features ours/not-fetched is not in this machine's cache"),
        ("launcher.devices=[gpu]", "launcher.devices: gpu is not to be had"),
        ("launcher.devices=[cuda:99]", "launcher.devices: cuda:99 is not to be had"),
        ("tracking.uri=htp://server", "tracking.uri htp://server cannot be opened"),
        ("tracking.uri=TREE/folder", "folder cannot be opened"),
        ("tracking.uri=sqlite:///TREE/other.db", "other.db cannot be opened: (sqlite3.DatabaseError) file is not a"),
        ("tracking.uri=nodriver://server/runs", "tracking.uri nodriver://server/runs cannot be opened"),
        ("tracking.uri=http://127.0.0.1:9", "tracking.uri http://127.0.0.1:9 cannot be opened"),
        ("tracking.model=a/b", "tracking.model must not hold '/', ':' or quotes, got 'a/b'"),
        ("eval.final_prompts=['{trigger} ,']", "eval.final_prompts: '{trigger} ,' says nothing without a trigger"),
    ],
)
def test_what_can_be_seen_to_be_wrong_is_refused_before_anything_is_written(
    override: str, words: str, offline_tree: Path
) -> None:
    before = sorted(offline_tree.rglob("*"))
    overrides = ["+experiment=pencil", "data.trigger=''", f"study.folder={offline_tree / 'runs'}"]
    with pytest.raises(UserError) as caught:
        run_study([*overrides, override.replace("TREE", str(offline_tree))])
    assert words in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    assert sorted(offline_tree.rglob("*")) == before


def test_without_arguments_it_helps_and_starts_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], received: list[list[str]]
) -> None:
    for arguments in ([], ["--multirun"]):
        assert run(monkeypatch, *arguments) == 2
        said = capsys.readouterr().out
        assert "sweeper +experiment=pencil" in said and "sweeper dashboard" in said
    assert received == []
