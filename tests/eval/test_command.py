"""`sweeper eval` end to end on tiny models: the table, the JSON, the pictures, and one line for each mistake."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from eval import bench, judge_file
from eval.command import main
from eval.metrics.registry import DATA, METRICS, SEEDS, TWO_UNRELATED, measured_of
from eval.needs import lines_on_missing
from eval.request import parse_request
from eval.sampling import sample
from eval.spec import Drawing
from foundation.bases.registry import load_plain
from foundation.bases.spec import BaseSpec
from foundation.data.dataset import load_dataset
from foundation.data.folder import Picture
from foundation.errors import ConfigError
from tests.acme_package import install_acme
from train.spec import DataSpec


@pytest.fixture
def arguments(lora_folder: Path, pipeline_folder: Path, clip_folder: Path, data_folder: Path) -> list[str]:
    return [
        f"lora={lora_folder}",
        f"base={pipeline_folder}",
        f"clip={clip_folder}",
        f"data={data_folder}",
        "trigger=in pencil style",
        "unrelated=a red cup",
        "unrelated=the sea",
        "seeds=2",
        "steps=2",
        "device=cpu",
    ]


def test_a_lora_is_judged_and_written_down(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, f"json={tmp_path}/out.json", f"samples={tmp_path}/samples"]) == 0
    table = capsys.readouterr().out
    for name in ("score", "overfit index", "style", "kid", "val_ratio", "drift"):
        assert name in table
    report = json.loads((tmp_path / "out.json").read_text())
    assert report["score"] is not None and report["score_se"] is not None
    unmeasured = [name for name, value in report["metrics"].items() if value is None]
    assert set(unmeasured) <= {"prompt_spread"}  # the untaught base draws all prompts alike
    assert set(measured_of("style")) <= report["metrics"].keys()
    assert all(name.startswith("val_") for name in report["metrics"].keys() - set(measured_of("style")))
    assert report["metrics"]["val_ratio"] != pytest.approx(1.0, abs=1e-3)
    assert len(list((tmp_path / "samples").glob("*-lora.png"))) == 2 * 2


def test_a_lora_that_is_none_is_refused_before_anything_is_drawn(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bench, "sample", lambda *_, **__: pytest.fail("it drew"))
    junk = tmp_path / "junk.safetensors"
    save_file({"a.lora_A.weight": torch.ones(1, 1)}, junk)
    assert main([f"lora={junk}", *arguments[1:]]) == 2
    assert "lora" in capsys.readouterr().err


def test_the_base_is_drawn_as_if_no_lora_had_been_there(
    arguments: list[str], pipeline_folder: Path, tmp_path: Path
) -> None:
    assert main([*arguments, "sampler=dpm++", "guidance_every=2", f"samples={tmp_path}/samples"]) == 0
    (prompt, *_) = (picture.caption for picture in _held_out(arguments))
    pipe = load_plain(BaseSpec(name="tiny", path=str(pipeline_folder), resolution=16))
    drawing = Drawing(steps=2, guidance_scale=5.0, batch_rows=2, sampler="dpm++", guidance_every=2)
    (alone,) = sample(pipe, [prompt], [0], drawing)
    (written, *_) = sorted((tmp_path / "samples").glob("*-base.png"))
    with Image.open(written) as image:
        assert np.abs(np.asarray(image, dtype=int) - np.asarray(alone, dtype=int)).max() <= 1


def _held_out(arguments: list[str]) -> Sequence[Picture]:
    return bench.pictures_of(parse_request(arguments)).validation


def test_judging_twice_gives_the_same(arguments: list[str], tmp_path: Path) -> None:
    for name in ("a", "b"):
        assert main([*arguments, f"json={tmp_path}/{name}.json"]) == 0
    assert (tmp_path / "a.json").read_text() == (tmp_path / "b.json").read_text()


def test_a_lora_is_judged_by_prompts_alone(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    without = [argument for argument in arguments if not argument.startswith("data=")]
    assert main([*without, "prompt=a cup {trigger}", "prompt=a star {trigger}", f"json={tmp_path}/out.json"]) == 0
    report = json.loads((tmp_path / "out.json").read_text())
    assert report["score"] is None and report["metrics"]["diversity"] is not None
    assert main(without) == 2
    assert "nothing to draw" in capsys.readouterr().err


class _SeenError(Exception):
    """Ends a command once it was seen what it looks at."""


def held_out_by(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> list[Picture]:
    seen: list[Picture] = []

    def look(_: object, held_out: list[Picture], *__: object) -> None:
        seen.extend(held_out)
        raise _SeenError

    monkeypatch.setattr(bench, "look", look)
    with pytest.raises(_SeenError):
        judge_file.judge_file(parse_request(arguments))
    return seen


def test_by_default_the_pictures_are_held_out_that_training_holds_out(
    arguments: list[str], data_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = load_dataset(DataSpec(name="same", path=str(data_folder)))
    assert held_out_by(arguments, monkeypatch) == list(dataset.validation)


def test_shares_and_captions_are_those_of_a_training_that_was_told_otherwise(
    arguments: list[str], data_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = load_dataset(
        DataSpec(name="same", path=str(data_folder), holdout=0.01, holdout_at_least=1, trigger="in ink")
    )
    asked = [argument for argument in arguments if not argument.startswith("trigger=")]
    asked += ["holdout=0.01", "holdout_at_least=1", "trigger=in ink"]
    assert held_out_by(asked, monkeypatch) == list(dataset.validation)
    assert [picture.caption[-8:] for picture in dataset.validation] == [", in ink"]


def test_pictures_are_read_as_training_reads_them_whatever_it_was_told(
    arguments: list[str], data_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another caption column, a broken picture, thumbnails, masks beside, and a share of its own."""
    folder = tmp_path / "set"
    shutil.copytree(data_folder, folder)
    table = folder / "metadata.jsonl"
    table.write_text(table.read_text().replace('"text"', '"prompt"'))
    first = json.loads(table.read_text().splitlines()[0])["file_name"]
    (folder / first).write_bytes(b"broken")
    (folder / "@eaDir").mkdir()
    (folder / "@eaDir" / first).touch()
    told = {"caption_column": "prompt", "skip_broken": True, "find_copies": False, "buckets": True, "holdout": 0.4}
    dataset = load_dataset(DataSpec(name="same", path=str(folder), trigger="in ink", **told))  # type: ignore[arg-type]
    asked = [each for each in arguments if not each.startswith(("data=", "trigger="))]
    asked += [f"data.{key}={str(value).lower()}" for key, value in told.items()]
    asked += [f"data.path={folder}", "data.trigger='in ink'"]
    assert bench.pictures_of(parse_request(asked)) == dataset
    assert held_out_by(asked, monkeypatch) == list(dataset.validation)


def test_held_out_pictures_alone_are_judged_by_whole(arguments: list[str], data_folder: Path) -> None:
    asked = [each for each in arguments if not each.startswith("data=")]
    found = bench.pictures_of(parse_request([*asked, f"held_out={data_folder}"]))
    whole = bench.pictures_of(parse_request([*asked, f"data={data_folder}"]))
    assert found.train == () and set(found.validation) == {*whole.train, *whole.validation}


def test_what_was_not_measured_is_no_figure_and_no_clean_bill(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    without = [argument for argument in arguments if not argument.startswith("data=")]
    assert main([*without, "prompt=a cup {trigger}", "prompt=a star {trigger}", f"json={tmp_path}/out.json"]) == 0
    printed = capsys.readouterr().out
    report = json.loads((tmp_path / "out.json").read_text())
    unmeasured = [name for name, value in report["metrics"].items() if value is None]
    assert {"style", "copy_rate", "copies", "val_ratio", "kid"} <= set(unmeasured)
    assert "no sign of overfit" not in printed and "overfit cannot be judged: copies, validation loss" in printed
    unmeasured = [name for name in unmeasured if name != "prompt_spread"]  # the untaught base draws all prompts alike
    assert unmeasured == [name for name in measured_of("style") if DATA in METRICS[name].needs]
    need = "need the pictures it was trained on (data=)"
    said = f"the score, the overfit index and {len(unmeasured)} measures {need}: {', '.join(unmeasured)}"
    assert said in printed.splitlines()
    assert "figures compare with those of the same base, pictures, prompts, seeds," in printed
    for line in printed.splitlines():
        if line.split()[:1] and line.split()[0] in unmeasured:
            assert set(line.split()[1:]) == {"–"}
    assert report["overfit_index"] is None and report["severities"]["copy"] is None
    assert report["severities"]["diversity"] is not None


def test_what_a_measure_lacks_is_said_whatever_it_is() -> None:
    nan = float("nan")
    ones = dict.fromkeys(measured_of("style"), 1.0)
    metrics = ones | {"drift": nan, "leak": nan, "diversity": nan, "prompt_match": nan}
    assert lines_on_missing(metrics, has_data=True) == [
        "not measured: prompt_match",
        f"1 measure needs {SEEDS}: diversity",
        f"2 measures need {TWO_UNRELATED}: drift, leak",
    ]
    assert lines_on_missing(metrics | {"prompt_match": 1.0}, has_data=False)[2] == (
        f"the score, the overfit index and 1 measures need {DATA}: leak"
    )


def test_a_packages_metric_is_measured_too_and_one_that_fails_is_said(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(install_acme(tmp_path / "site", wrong=True))
    assert main([*arguments, "metric=nearest", "metric=raises", f"json={tmp_path}/out.json"]) == 0
    measured = json.loads((tmp_path / "out.json").read_text())["metrics"]
    assert 0 < measured["nearest"] < 1 and measured["raises"] is None
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in lines if line.startswith("nearest ")] == [f"{measured['nearest']:.4g}"]
    assert [line for line in lines if line.startswith("metric raises is not measured: the package acme-wrong (")]
    assert "not measured: raises" in lines
    assert main([*arguments, "metric=nearst"]) == 2
    assert "metric.0: Input should be 'broken'" in capsys.readouterr().err
    assert main([*arguments, "metric=broken"]) == 2
    assert (
        capsys.readouterr().err.count("error: the package acme-wrong (its entry point broken of sweeper.metrics)") == 1
    )


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (["trigger=a", "data.trigger=b"], "data.trigger and its short name are the same; give one of them"),
        (["data.mask_path=x"], "data.mask=folder and data.mask_path go together"),
        (["data.skip_broken=maybe"], "data.skip_broken must be true or false, got 'maybe'"),
        (["data.skip_brokn=true"], "did you mean data.skip_broken=?"),
        (["data.drawn=pencil"], "data.drawn=pencil: what is drawn for training lies in multirun/cache"),
    ],
)
def test_settings_of_the_data_are_checked_as_training_checks_them(asked: list[str], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_request(["lora=a", "data=b", *asked])
    assert words in str(caught.value)
    with pytest.raises(ConfigError, match=r"data\.skip_broken says how pictures are read, but there are none"):
        parse_request(["lora=a", "data.skip_broken=true"])


def test_captions_that_are_empty_or_cut_are_said_and_never_prompts(
    arguments: list[str], data_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(data_folder, tmp_path / "set")
    table = tmp_path / "set/metadata.jsonl"
    rows = [json.loads(line) | {"text": ""} for line in table.read_text().splitlines()]
    table.write_text("\n".join(map(json.dumps, rows)))
    asked = [each for each in arguments if not each.startswith(("data=", "trigger="))] + [f"data={tmp_path / 'set'}"]
    assert main(asked) == 2
    captured = capsys.readouterr()
    assert "all captions are empty" in captured.out
    assert "there is nothing to draw (the captions of 2 held-out pictures are empty)" in captured.err
    table.write_text("\n".join(json.dumps(row | {"text": "a cup " * 60}) for row in rows))
    assert main([*asked, "prompt=a cup"]) == 0
    assert f"{len(rows)} of {len(rows)} captions are longer than the " in capsys.readouterr().out


def test_a_folder_too_small_to_train_on_can_be_judged_by_and_nothing_of_it_is_held_out(
    arguments: list[str], data_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(data_folder, tmp_path / "few")
    captions = tmp_path / "few/metadata.jsonl"
    captions.write_text("".join(captions.read_text().splitlines(keepends=True)[:2]))
    asked = [argument for argument in arguments if not argument.startswith("data=")]
    assert held_out_by([*asked, f"data={tmp_path / 'few'}", "prompt=a cup"], monkeypatch) == []


def test_all_mistakes_come_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_request(["seed=3", "steps=0", "guidance=much", "loose", "base=a", "base=b"])
    text = "\n".join(caught.value.problems)
    assert len(caught.value.problems) == 6
    for words in (
        "did you mean seeds=?",
        "steps",
        "guidance",
        "'loose'",
        "base must be given once",
        "lora must be given",
    ):
        assert words in text


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ("lora=nowhere", "there is no LoRA at nowhere"),
        ("base=./nowhere", "base.path ./nowhere does not exist"),
        ("clip=./nowhere", "eval.clip cannot be loaded, got './nowhere'"),
        ("data=nowhere", "data.path nowhere is not a folder; name a folder of images with metadata.jsonl"),
        ("device=abacus", "device must be one that torch finds here, got 'abacus'"),
        ("unrelated=a {trigger}", "unrelated_prompts must not hold {trigger}"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
    arguments: list[str], changed: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    key = changed.partition("=")[0]
    others = [argument for argument in arguments if not argument.startswith(f"{key}=")]
    assert main([*others, changed]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert sum(line.startswith("error: ") for line in lines) == 1
    assert words in lines[-1]


def test_the_module_runs_as_a_command() -> None:
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-m", "eval", "--help"], cwd=root, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0 and "lora=" in done.stdout
