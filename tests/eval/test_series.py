"""What a training saved is judged in its order, by the same pictures: which is best, from where it is overtrained."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import safetensors.torch
import torch

from eval import judge_series
from eval.bench import Bench
from eval.command import main
from eval.evaluation import Evaluation
from eval.judge_series import judge_series as judge
from eval.request import parse_request
from foundation.adapters.files import Saved
from foundation.errors import AdapterError


@pytest.fixture
def arguments(pipeline_folder: Path, clip_folder: Path, data_folder: Path) -> list[str]:
    named = [f"base={pipeline_folder}", f"clip={clip_folder}", f"data={data_folder}", "trigger=in pencil style"]
    return [*named, "unrelated=a red cup", "unrelated=the sea", "seeds=2", "steps=2", "device=cpu", "look_for_copies=0"]


def test_a_folder_is_judged_file_by_file_as_each_would_be_alone(
    arguments: list[str], lora_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = safetensors.torch.load_file(lora_folder / "pytorch_lora_weights.safetensors")
    folder = tmp_path / "output"
    folder.mkdir()
    for epoch, share in ((1, 0.2), (2, 1.0)):
        scaled = {name: value * (share if "lora_B" in name else 1) for name, value in weights.items()}
        safetensors.torch.save_file(scaled, folder / f"mine-{epoch:06d}.safetensors")
    safetensors.torch.save_file({"x.lora_A.weight": torch.ones(1, 1)}, folder / "mine.safetensors")
    assert main([f"lora={folder}", *arguments, "to_end=true", f"json={tmp_path}/all.json"]) == 0
    said = capsys.readouterr().out
    found = json.loads((tmp_path / "all.json").read_text())
    assert [each["epoch"] for each in found["judged"]] == [1, 2] and found["not_judged"] == []
    assert list(found["left_out"]) == [str(folder / "mine.safetensors")] and "left out: " in said
    assert found["best"] in {each["lora"] for each in found["judged"]} and "use epoch " in said
    assert main([f"lora={folder / 'mine-000001.safetensors'}", *arguments, f"json={tmp_path}/one.json"]) == 0
    alone = json.loads((tmp_path / "one.json").read_text())
    first = found["judged"][0]
    assert alone["score"] == first["score"] and alone["metrics"] == first["metrics"]


def evaluation(score: float, *, overfit: bool = False, past_best: bool = False, spread: float = 0.0) -> Evaluation:
    """One whose prompts all say the same, but for a spread."""
    return Evaluation(
        step=0,
        score=score,
        score_se=1.0,
        overfit_index=0.9 if overfit else 0.1,
        overfit=overfit,
        words="copies in 9 of 9 pictures" if overfit else "no sign of overfit",
        severities={},
        metrics={"style": score / 100, "val_ratio": math.nan},
        validation_losses=(),
        prompt_scores=(score - spread, score, score + spread),
        past_best=past_best,
    )


class FakeBench:
    """Gives out evaluations that a test made, and refuses a file called so."""

    def __init__(self, given: list[Evaluation], spec: object) -> None:
        self.given, self.spec, self.histories = iter(given), spec, list[int]()

    def look_at(self, path: Path) -> tuple[None, str]:
        if path.name == "strange":
            raise AdapterError("it fits no layer\nof this base")
        return None, "8 layers"

    def evaluate(self, _: None, __: int, history: list[Evaluation]) -> Evaluation:
        self.histories.append(len(history))
        return next(self.given)


def run(monkeypatch: pytest.MonkeyPatch, given: list[Evaluation], files: list[Saved], *more: str) -> FakeBench:
    from eval.spec import EvalSpec

    bench = FakeBench(given, EvalSpec(prompts=("a cup",), seeds=(0, 1)))
    monkeypatch.setattr(Bench, "of", lambda _: bench)
    judge(parse_request(["lora=x", "prompt=a cup", *more]), files)
    return bench


def epochs(count: int) -> list[Saved]:
    return [Saved(path=Path(f"m-{number}"), epoch=number) for number in range(1, count + 1)]


def test_later_ones_are_passed_over_where_one_is_clearly_past(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [evaluation(10), evaluation(40), evaluation(12, past_best=True), evaluation(9)]
    bench = run(monkeypatch, given, epochs(4), f"json={tmp_path}/out.json")
    said = capsys.readouterr().out
    assert bench.histories == [0, 1, 2]
    assert "use epoch 2: m-2" in said
    assert "overtrained from epoch 3 on: its score fell far and surely below that of an earlier one" in said
    assert "not judged, as they come after that: epoch 4; to_end=true judges them, too" in said
    found = json.loads((tmp_path / "out.json").read_text())
    assert (found["best"], found["overtrained_from"], found["not_judged"][0]["epoch"]) == ("m-2", "m-3", 4)
    assert [each["epoch"] for each in found["judged"]] == [1, 2, 3]
    rows = [line.split()[:2] for line in said.splitlines() if line.startswith("epoch ") and "(" not in line]
    assert rows == [["epoch", "2"], ["epoch", "3"], ["epoch", "1"]]  # the best first


def test_an_overfit_one_is_not_the_best_whatever_it_scores(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bench = run(monkeypatch, [evaluation(30), evaluation(80, overfit=True), evaluation(85)], epochs(3), "to_end=true")
    said = capsys.readouterr().out
    assert len(bench.histories) == 3 and "epoch 2 is overtrained: copies in 9 of 9 pictures" in said
    assert "use epoch 3: m-3" in said and "not judged" not in said


def test_what_is_not_told_apart_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    given = [evaluation(40, spread=30), evaluation(41), evaluation(20)]
    run(monkeypatch, given, epochs(3))
    said = capsys.readouterr().out
    assert "not told apart from it, prompt by prompt: epoch 1\n" in said and "none is overtrained\n" in said


def test_files_without_an_order_have_no_history(monkeypatch: pytest.MonkeyPatch) -> None:
    files = [Saved(path=Path(name)) for name in ("a", "strange", "b")]
    bench = run(monkeypatch, [evaluation(40, overfit=True), evaluation(41)], files)
    assert bench.histories == [0, 0]


def test_where_none_fits_each_is_named_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AdapterError, match=r"^a/strange: it fits no layer; b/strange: it fits no layer$"):
        run(monkeypatch, [], [Saved(path=Path(f"{name}/strange")) for name in "ab"])
    assert judge_series.judge_series is judge
