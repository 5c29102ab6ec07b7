"""A tagger in ONNX, written byte by byte: its colours, its frame, its thresholds and its order."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from foundation.data.captions import read_captions
from foundation.data.prepare.command import main
from foundation.data.prepare.tagger import Tagger, is_tagger, square_of
from foundation.errors import BaseModelError
from tests.eval.faces.onnx_writer import model, node, tensor

SIDE = 4
TAGS = [("general", "9"), ("long_hair", "0"), ("red", "0"), (">_<", "0"), ("blue", "0"), ("a_name", "4")]


def write_tagger(folder: Path, weights: np.ndarray, tags: list[tuple[str, str]] = TAGS) -> Path:
    """A model that returns (N, tags): the flattened picture over 255 times `weights` (side·side·3, tags)."""
    folder.mkdir(exist_ok=True)
    nodes = [
        node("Flatten", ["input"], "flat", axis=1),
        node("MatMul", ["flat", "weights"], "scores"),
    ]
    data = model(
        nodes,
        {"input": (1, SIDE, SIDE, 3)},
        {"scores": (1, weights.shape[1])},
        [tensor("weights", (weights / 255).astype(np.float32))],
    )
    (folder / "model.onnx").write_bytes(data)
    with (folder / "selected_tags.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["tag_id", "name", "category", "count"])
        rows.writerows([number, name, category, 10] for number, (name, category) in enumerate(tags))
    return folder


@pytest.fixture
def tagger(tmp_path: Path) -> Path:
    """`red` and `blue` are those channels' means, where BGR has them; `long hair` .5 of white, a name .9 of it."""
    weights = np.zeros((SIDE, SIDE, 3, len(TAGS)), np.float32)
    share = 1 / SIDE**2
    weights[..., 2, 2], weights[..., 0, 4] = share, share
    weights[..., :, 1] = 0.5 * share / 3
    weights[..., :, 3] = 0.6 * share / 3
    weights[..., :, 5] = 0.9 * share / 3
    weights[..., :, 0] = share / 3
    return write_tagger(tmp_path / "tagger", weights.reshape(-1, len(TAGS)))


def test_tags_stand_in_order_without_ratings_characters_first(tagger: Path) -> None:
    pytest.importorskip("onnxruntime")
    white, red, wide = (
        Image.new("RGB", (9, 9), "white"),
        Image.new("RGB", (9, 9), (255, 0, 0)),
        Image.new("RGB", (8, 4)),
    )
    found = Tagger(tagger, 0.35, 0.85)
    assert found.captions([white, red, wide]) == [
        "a name, red, blue, >_<, long hair",
        "red",
        "red, blue",  # the white of the frame is half of it: .5 of each, and .45 of the name's
    ]
    assert found.captions([red], prefix="in my style") == ["in my style, red"]
    assert Tagger(tagger, 0.55, 0.95).captions([white]) == ["red, blue, >_<"]


def test_a_picture_is_bgr_upright_and_in_the_middle_of_white() -> None:
    picture = square_of(Image.new("RGB", (2, 4), (10, 20, 30)), 4)
    assert picture.shape == (4, 4, 3) and picture.dtype == np.float32
    assert (picture[:, 1:3] == (30, 20, 10)).all() and (picture[:, [0, 3]] == 255).all()


def test_the_command_tags_pictures(tagger: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    (tmp_path / "data").mkdir()
    Image.new("RGB", (40, 40), (255, 0, 0)).save(tmp_path / "data" / "a.png")
    out = tmp_path / "out"
    assert main([f"data={tmp_path / 'data'}", f"out={out}", f"model={tagger}", "add=in my style", "apply=true"]) == 0
    assert [each.caption for each in read_captions(out, "text", "data").entries] == ["red, in my style"]


def test_mistakes_are_lines(tagger: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("onnxruntime")
    assert is_tagger(tagger) and not is_tagger(tmp_path)
    (tmp_path / "data").mkdir()
    Image.new("RGB", (40, 40)).save(tmp_path / "data" / "a.png")
    assert main([f"data={tmp_path / 'data'}", f"out={tmp_path / 'out'}", f"model={tagger}", "prompt=What?"]) == 2
    assert "is a tagger" in capsys.readouterr().err
    fewer = write_tagger(tmp_path / "fewer", np.zeros((SIDE * SIDE * 3, 6)), TAGS[:3])
    with pytest.raises(BaseModelError, match=r"model.onnx has 6 tags, and selected_tags.csv has 3"):
        Tagger(fewer, 0.3, 0.8)
    (fewer / "selected_tags.csv").write_text("id,tag\n1,red\n")
    with pytest.raises(BaseModelError, match="columns name and category"):
        Tagger(fewer, 0.3, 0.8)
