"""The doctor for sets of pictures: each thing that is amiss is found where it is, and nowhere else."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter
from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel, CLIPProcessor

from foundation.data.doctor.command import main as doctor
from foundation.data.doctor.findings import BLURRED
from foundation.data.doctor.fit import better_captions, effective_number
from foundation.data.doctor.looks import blur_of, look_at
from foundation.data.prepare.command import main
from train.pocket.tokens import MAX_TOKENS, build_tokenizer


def noise(seed: int, size: tuple[int, int] = (640, 560)) -> Image.Image:
    """A sharp picture with something of every size in it."""
    rng = np.random.default_rng(seed)
    layers = [rng.uniform(0, 255, (size[1] // step + 1, size[0] // step + 1, 3)) for step in (1, 8, 64)]
    large = [
        np.asarray(Image.fromarray(each.astype(np.uint8)).resize(size, Image.Resampling.NEAREST)) for each in layers
    ]
    return Image.fromarray(np.mean(large, axis=0).astype(np.uint8))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten pictures: five good ones, and five that have one thing each, or two."""
    folder = tmp_path_factory.mktemp("set")
    good = {f"good{number}.png": noise(number) for number in range(5)}
    bad = {
        "blurred.png": noise(10).filter(ImageFilter.GaussianBlur(4)),
        "copy.jpg": good["good0.png"],
        "dark.png": noise(11).point(lambda value: value // 16),
        "narrow.png": noise(12, (1400, 600)),
        "small.png": noise(13, (300, 400)),
    }
    for name, image in {**good, **bad}.items():
        image.save(folder / name)
        (folder / name).with_suffix(".txt").write_text(f"a {Path(name).stem} thing in my style <b>!</b>")
    (folder / "good1.txt").write_text("something else")
    (folder / "good2.txt").unlink()
    return folder


def test_each_thing_is_found_where_it_is(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", f"data={folder}", "trigger=in my style", f"json={tmp_path / 'doctor.json'}"]) == 0
    said = capsys.readouterr().out
    stored = json.loads((tmp_path / "doctor.json").read_text())
    problems = {each["file"]: [line.partition(" (")[0] for line in each["problems"]] for each in stored["pictures"]}
    assert {name: found for name, found in problems.items() if found} == {
        "blurred.png": ["blurred"],
        "dark.png": ["dark"],
        "good0.png": ["a copy of copy.jpg"],
        "good1.png": ["its caption lacks 'in my style'"],
        "good2.png": ["no caption"],
        "narrow.png": ["narrow"],
        "small.png": ["small"],
    }
    assert stored["amiss"] == 7 and stored["variety"] is None
    assert "10 pictures; something is amiss with 7" in said and "name one by clip=" in said
    assert "advice: there are 10 pictures, copies left out 9: add more" in said


def test_the_sheet_is_one_file_with_the_worst_first_and_no_markup_of_theirs(folder: Path, tmp_path: Path) -> None:
    assert doctor([f"data={folder}", f"sheet={tmp_path / 'sheet.html'}"]) == 0
    page = (tmp_path / "sheet.html").read_text()
    assert page.count("<img ") == 10 and "<script" not in page and "<b>!" not in page
    assert page.index("blurred.png") < page.index("good3.png")
    assert not re.search(r'src="(?!data:)', page)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["data=/nowhere"], "data /nowhere"),
        (["data={set}", "side=4"], "side must be ≥ 16"),
        (["data={set}", "clp=x"], "did you mean clip="),
        (["data={set}", "clip=/nowhere"], "clip /nowhere is no CLIP"),
        (["data={set}", "json={set}/good0.txt"], "exists already"),
        (["data={empty}"], "holds no"),
    ],
)
def test_mistakes_are_one_line(
    arguments: list[str], words: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    assert main(["doctor", *(each.format(set=folder, empty=tmp_path / "empty") for each in arguments)]) == 2
    said = capsys.readouterr().err
    assert words in said and said.count("\n") == 1


def test_blur_is_the_papers_formula_and_rises_with_a_blur() -> None:
    gray = np.asarray(noise(3, (40, 30)).convert("L"), dtype=np.float64)

    def slowly(gray: np.ndarray) -> float:
        """The paper's sums, pixel by pixel; beyond the edge its last pixel goes on."""
        height, width = gray.shape
        before = after = 0.0
        for y in range(height):
            mean = [np.mean([gray[y, min(max(x + d, 0), width - 1)] for d in range(-4, 5)]) for x in range(width)]
            for x in range(1, width):
                sharp, soft = abs(gray[y, x] - gray[y, x - 1]), abs(mean[x] - mean[x - 1])
                before, after = before + sharp, after + max(0.0, sharp - soft)
        return (before - after) / before

    assert blur_of(gray) == pytest.approx(max(slowly(gray), slowly(gray.T)))
    blurs = [look_at(noise(4).filter(ImageFilter.GaussianBlur(radius))).blur for radius in (0, 1, 2, 4)]
    assert blurs == sorted(blurs) and blurs[0] < BLURRED < blurs[-1]
    assert blur_of(np.zeros((9, 9))) == 1


def test_variety_is_one_of_alike_pictures_and_all_of_orthogonal_ones() -> None:
    assert effective_number(np.tile([1.0, 0.0], (5, 1))) == pytest.approx(1)
    assert effective_number(np.eye(6)) == pytest.approx(6)
    half = np.repeat(np.eye(2), [3, 3], axis=0)
    assert effective_number(half) == pytest.approx(2)
    assert effective_number(np.array([[1, 0], [math.sqrt(0.5), math.sqrt(0.5)]])) == pytest.approx(
        math.exp(-sum(p * math.log(p) for p in ((1 + math.sqrt(0.5)) / 2, (1 - math.sqrt(0.5)) / 2)))
    )


def test_a_caption_is_held_against_those_of_the_others() -> None:
    near = np.array([[0.9, 0.1, 0.2], [0.5, 0.4, 0.6], [0.1, 0.2, 0.9], [0.3, 0.2, 0.1]])
    assert better_captions(near, [0, 1, 2, None]).tolist()[:3] == [0, 1, 0]
    assert math.isnan(better_captions(near, [0, 1, 2, None])[3])


def test_a_clip_is_asked_about_every_picture(folder: Path, tmp_path: Path) -> None:
    """Random weights say nothing of pictures; what is told is what its features are, computed here one by one."""
    size = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    tokenizer = build_tokenizer()
    torch.manual_seed(0)
    ends = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    text = {**size, **ends, "vocab_size": len(tokenizer), "max_position_embeddings": MAX_TOKENS}
    vision = {**size, "image_size": 32, "patch_size": 16}
    model = CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=16)).eval()
    model.save_pretrained(tmp_path / "clip")
    images = CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    processor = CLIPProcessor(image_processor=images, tokenizer=tokenizer)
    processor.save_pretrained(tmp_path / "clip")
    assert doctor([f"data={folder}", f"clip={tmp_path / 'clip'}", f"json={tmp_path / 'found.json'}"]) == 0
    found = json.loads((tmp_path / "found.json").read_text())
    captions = sorted({each["caption"] for each in found["pictures"]} - {""})
    rows = []
    with torch.no_grad():
        for each in found["pictures"]:
            inputs = processor(
                images=Image.open(folder / each["file"]),
                text=captions,
                padding=True,
                truncation=True,
                return_tensors="pt",
            )
            rows.append(model(**inputs).logits_per_image[0])
            if each["caption"]:
                own = rows[-1][captions.index(each["caption"])]
                share = float((rows[-1] > own).sum()) / (len(captions) - 1)
                assert each["better_captions"] == pytest.approx(share, abs=1e-6)
                assert any("does not fit" in line for line in each["problems"]) == (share >= 0.5)
    assert 1 <= found["variety"] <= 10
