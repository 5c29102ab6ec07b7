"""What a training saved is judged in its order, by the same pictures: which is best, from where it is overtrained."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest
import safetensors.torch
import torch
from PIL import Image

from eval.bench import Bench
from eval.command import main
from eval.evaluation import Evaluation
from eval.request import parse_request
from eval.series import judging
from eval.series.curves import Curve, places_of, svg_of
from eval.series.judging import judge_series as judge
from foundation.adapters.files import Saved
from foundation.data.dataset import Dataset
from foundation.errors import AdapterError
from foundation.pictures.sheets import CHOSEN


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
    assert main([f"lora={folder}", *arguments, "to_end=true", "strengths=0.5", f"json={tmp_path}/all.json"]) == 0
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
        words="copies in 9 of 9 pictures, below its best, of step 0" if overfit else "no sign of overfit",
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
        self.stronger, self.sketches = list[tuple[str, float]](), list[tuple[str, float]]()
        self.plain, self.trigger = SimpleNamespace(samples=[tile(0)] * 4), "in <b>my</b> style"
        self.dataset = Dataset((), ())

    def look_at(self, path: Path, strength: float = 1.0) -> tuple[SimpleNamespace, str]:
        if path.name == "strange":
            raise AdapterError("it fits no layer\nof this base")
        if strength != 1:
            self.stronger.append((path.name, strength))
        return SimpleNamespace(samples=[tile(strength)] * 4), "8 layers"

    def evaluate(self, _: object, __: int = 0, history: Sequence[Evaluation] = ()) -> Evaluation:
        self.histories.append(len(history))
        return next(self.given)

    def sketch(self, path: Path, strength: float, count: int) -> list[Image.Image]:
        self.sketches.append((path.name, strength))
        return [tile(strength)] * count


def tile(strength: float) -> Image.Image:
    return Image.new("RGB", (16, 16), (round(100 * strength), 90, 60))


def run(monkeypatch: pytest.MonkeyPatch, given: list[Evaluation], files: list[Saved], *more: str) -> FakeBench:
    from eval.spec import EvalSpec

    bench = FakeBench(given, EvalSpec(prompts=("a cup {trigger}", "a <script>alert(1)</script>"), seeds=(0, 1)))
    monkeypatch.setattr(Bench, "of", lambda _: bench)
    strengths = [] if any("strengths" in each for each in more) else ["strengths=none"]
    judge(parse_request(["lora=x", "prompt=a cup", *strengths, *more]), files)
    return bench


def epochs(count: int) -> list[Saved]:
    return [Saved(path=Path(f"m-{number}"), epoch=number) for number in range(1, count + 1)]


def test_later_ones_are_passed_over_where_one_is_clearly_past(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [evaluation(10), evaluation(40), evaluation(12, past_best=True), evaluation(9, past_best=True)]
    bench = run(monkeypatch, given, epochs(5), f"json={tmp_path}/out.json")
    said = capsys.readouterr().out
    assert bench.histories == [0, 1, 2, 3]
    assert "use epoch 2: m-2" in said
    assert "overtrained from epoch 3 on: its score fell far and surely below that of an earlier one" in said
    assert "not judged, as they come after that: epoch 5; to_end=true judges them, too" in said
    found = json.loads((tmp_path / "out.json").read_text())
    assert (found["best"], found["overtrained_from"], found["not_judged"][0]["epoch"]) == ("m-2", "m-3", 5)
    assert [each["epoch"] for each in found["judged"]] == [1, 2, 3, 4]
    rows = [line.split()[:2] for line in said.splitlines() if line.startswith("epoch ") and "(" not in line]
    assert rows == [["epoch", "2"], ["epoch", "3"], ["epoch", "1"], ["epoch", "4"]]  # the best first


def test_an_overfit_one_is_not_the_best_whatever_it_scores(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bench = run(monkeypatch, [evaluation(30), evaluation(80, overfit=True), evaluation(85)], epochs(3), "to_end=true")
    said = capsys.readouterr().out
    assert (
        len(bench.histories) == 3
        and "epoch 2 is overtrained: copies in 9 of 9 pictures, below its best, of epoch 1" in said
    )
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
    assert judging.judge_series is judge


def test_the_leading_ones_are_judged_at_other_strengths_and_one_is_said_to_be_used_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trained = [evaluation(10), evaluation(40), evaluation(60, overfit=True)]
    of_second = [evaluation(35), evaluation(38)]
    of_third = [evaluation(55), evaluation(20)]  # at 0.7 it is clean, and better than the second at any strength
    wanted = ["strengths=0.7,1.0,1.3", f"json={tmp_path}/out.json"]
    bench = run(monkeypatch, [*trained, *of_second, *of_third], epochs(3), *wanted)
    assert bench.stronger == [("m-2", 0.7), ("m-2", 1.3), ("m-3", 0.7), ("m-3", 1.3)]
    said, found = capsys.readouterr().out, json.loads((tmp_path / "out.json").read_text())
    assert "use epoch 3 at strength 0.7: m-3" in said and "as trained epoch 2 is the best: m-2" in said
    assert (found["best"], found["strength"], found["best_as_trained"]) == ("m-3", 0.7, "m-2")
    strengths = [each.get("strengths", {}).keys() for each in found["judged"]]
    assert [sorted(each) for each in strengths] == [[], ["0.7", "1", "1.3"], ["0.7", "1", "1.3"]]


def test_a_strength_that_is_no_better_than_as_trained_is_not_used(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [evaluation(10), evaluation(40), evaluation(41, spread=30)]  # higher, and within one standard error
    run(monkeypatch, given, epochs(2), "strengths=0.7")
    assert "use epoch 2 at strength 1: m-2" in capsys.readouterr().out


def test_the_page_asks_nobody_runs_nothing_and_holds_every_picture_of_the_sheet(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    given = [evaluation(10), evaluation(40), evaluation(12, past_best=True), evaluation(20)]
    given += [evaluation(39), evaluation(9)]  # at half the strength, those that lead
    wanted = [f"report={tmp_path}/page.html", f"sheet={tmp_path}/sheet.png", "strengths=0.5"]
    bench = run(monkeypatch, given, [*epochs(3), Saved(path=Path("<i>last"))], *wanted)
    assert bench.sketches == [("m-1", 0.5), ("<i>last", 0.5)]  # the others were judged at it
    page = (tmp_path / "page.html").read_text()
    assert "script-src" not in page and "default-src 'none'" in page and "<script" not in page
    assert "http://" not in page and "https://" not in page and "url(" not in page
    assert "&lt;script&gt;alert(1)" in page and "<b>my" not in page
    assert page.count("data:image/webp") == 2 * (1 + 2 * 4)  # each of two prompts: the base, two strengths of four
    style = re.search(r"<style>(.*)</style>", page, re.DOTALL)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in page
    with Image.open(tmp_path / "sheet.png") as sheet:
        colours = {colour for _, colour in sheet.getcolors(1 << 20) or []}
    assert {(100, 90, 60), (50, 90, 60), CHOSEN} <= colours


def test_curves_stand_where_the_steps_are_and_leave_out_what_was_not_measured() -> None:
    curve = Curve(title="a & b", values=[1.0, math.nan, 3.0], errors=[0.5, math.nan, 0.0])
    places = places_of([100.0, 200.0, math.inf])
    assert places == [100.0, 200.0, 300.0] and places_of([math.inf, math.inf]) == [0.0, 1.0]
    drawn = svg_of(curve, places, ["step 100", "step 200", "<end>"], best=2, past=1)
    assert drawn.count("<circle") == 2 and drawn.count('class="error"') == 1 and 'class="past"' in drawn
    assert "a &amp; b" in drawn and "&lt;end&gt;" in drawn and "<end>" not in drawn
    assert svg_of(Curve(title="none", values=[math.nan]), [0.0], ["x"], best=0, past=None) == ""


@pytest.mark.parametrize("value", ["strong", "-1", "nan", "0.5,,1", ""])
def test_strengths_that_are_none_are_one_line(value: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lora=x", f"strengths={value}"]) == 2
    assert capsys.readouterr().err.startswith("error: strengths")
