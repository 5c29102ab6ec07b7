"""An eye for faces is opened from a folder of ONNX models that reach for nothing outside of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from eval.faces.alignment import TEMPLATE
from eval.faces.extractor import has_face, load_face_extractor
from foundation.errors import BaseModelError, ConfigError
from tests.eval.faces.onnx_writer import field, model, node, tensor

pytest.importorskip("onnxruntime")
SIDE = 64


def detector() -> bytes:
    """One face in pictures that are not dark: at the template's place, as large as the picture."""
    nodes = [node("ReduceMax", ["picture"], "light", keepdims=0), node("Relu", ["light"], "lit")]
    tensors, outputs = [], {}
    for part, width in (("score", 1), ("box", 4), ("marks", 10)):
        for stride in (8, 16, 32):
            name, values = f"{part}{stride}", np.zeros((2 * (SIDE // stride) ** 2, width), dtype=np.float32)
            if stride == 32:
                values[0] = {"score": 1, "box": 2, "marks": (TEMPLATE / 112 * SIDE / 32).ravel()}[part]
            tensors.append(tensor(f"{name}_values", values))
            nodes.append(node("Mul", [f"{name}_values", "lit"], name))
            outputs[name] = values.shape
    return model(nodes, {"picture": (1, 3, SIDE, SIDE)}, outputs, tensors)


def embedder() -> bytes:
    """The mean colour of the crop."""
    mean = node("ReduceMean", ["crop"], "features", axes=[2, 3], keepdims=0)
    return model([mean], {"crop": (1, 3, 112, 112)}, {"features": (1, 3)})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "found").mkdir()
    (tmp_path / "found" / "det.onnx").write_bytes(detector())
    (tmp_path / "found" / "who.onnx").write_bytes(embedder())
    return tmp_path / "found"


def test_faces_are_unit_vectors_and_pictures_without_one_are_told(folder: Path) -> None:
    age = model([node("Relu", ["crop"], "age")], {"crop": (1, 3, 96, 96)}, {"age": (1, 3, 96, 96)})
    (folder / "genderage.onnx").write_bytes(age)  # passed over
    eye = load_face_extractor(str(folder))
    colours = [(255, 128, 0), (0, 0, 0), (127, 255, 255)]
    seen = eye.images([Image.new("RGB", (SIDE, SIDE), colour) for colour in colours])
    assert has_face(seen).tolist() == [True, False, True]
    for row, colour in ((0, colours[0]), (2, colours[2])):
        mean = torch.tensor([each / 127.5 - 1 for each in colour])
        assert seen[row].tolist() == pytest.approx((mean / mean.norm()).tolist(), abs=0.02)
    assert eye.images([]).shape == (0, 3)


def test_a_model_with_tensors_in_other_files_is_refused(folder: Path) -> None:
    outside = [tensor("bias", np.zeros((1, 3), dtype=np.float32), external="../../weights.bin")]
    nodes = [
        node("ReduceMean", ["crop"], "mean", axes=[2, 3], keepdims=0),
        node("Add", ["mean", "bias"], "features"),
    ]
    whole = model(nodes, {"crop": (1, 3, 112, 112)}, {"features": (1, 3)}, outside)
    (folder / "who.onnx").write_bytes(whole)
    with pytest.raises(BaseModelError, match="who.onnx keeps tensors in other files"):
        load_face_extractor(str(folder))
    hidden = node("Constant", [], "bias", value=outside[0])
    (folder / "who.onnx").write_bytes(
        model([nodes[0], hidden, nodes[1]], {"crop": (1, 3, 112, 112)}, {"features": (1, 3)})
    )
    with pytest.raises(BaseModelError, match="who.onnx keeps tensors in other files"):
        load_face_extractor(str(folder))


def test_a_link_out_of_the_folder_is_refused(folder: Path) -> None:
    (folder / "who.onnx").rename(folder.parent / "elsewhere.onnx")
    (folder / "who.onnx").symlink_to(folder.parent / "elsewhere.onnx")
    with pytest.raises(BaseModelError, match="leads out of its folder"):
        load_face_extractor(str(folder))


@pytest.mark.parametrize("content", [b"", b"no model", field(7, b"\xff\xff"), field(1, 8)])
def test_what_is_no_model_is_one_line(folder: Path, content: bytes) -> None:
    (folder / "who.onnx").write_bytes(content)
    with pytest.raises(BaseModelError) as caught:
        load_face_extractor(str(folder))
    assert str(caught.value).startswith("eval.identity_features: ") and "\n" not in str(caught.value)


def test_a_folder_needs_one_detector_and_one_embedder(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(BaseModelError, match="there is no .onnx file in"):
        load_face_extractor(str(tmp_path))
    (folder / "second.onnx").write_bytes(embedder())
    with pytest.raises(BaseModelError, match="must hold one embedder, got second.onnx, who.onnx"):
        load_face_extractor(str(folder))
    (folder / "second.onnx").unlink()
    (folder / "det.onnx").unlink()
    with pytest.raises(BaseModelError, match="must hold one detector, got none among who.onnx"):
        load_face_extractor(str(folder))


def test_without_the_runtime_a_line_says_how_to_get_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    with pytest.raises(ConfigError, match="needs onnxruntime; install it by pip install 'sweeper"):
        load_face_extractor(str(folder))
