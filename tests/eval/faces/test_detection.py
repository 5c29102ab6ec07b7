"""Faces are decoded as a plain loop over anchors reads them, and the main one is chosen."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from eval.faces.detection import STRIDES, Faces, decode, detector_input, main_face

SIDE = 64


def outputs(seed: int) -> list[np.ndarray]:
    """Nine outputs, as SCRFD's, of random numbers; a batch dimension as some exports have it."""
    rng = np.random.default_rng(seed)
    found = []
    for width in (1, 4, 10):
        for stride in STRIDES:
            anchors = 2 * (SIDE // stride) ** 2
            values = rng.uniform(-1 if width == 10 else 0, 1 if width == 1 else 2, (anchors, width))
            found.append((values if seed % 2 else values[None]).astype(np.float32))
    return found


def plain_loop(raw: list[np.ndarray], scale: float, least: float) -> list[tuple[float, list[float], list[float]]]:
    found = []
    for level, stride in enumerate(STRIDES):
        score, box, marks = (raw[level + 3 * part].reshape(-1, (1, 4, 10)[part]) for part in range(3))
        row = 0
        for y in range(SIDE // stride):
            for x in range(SIDE // stride):
                for _ in range(2):
                    if score[row, 0] >= least:
                        left, top, right, bottom = (box[row] * stride).tolist()
                        corners = [x * stride - left, y * stride - top, x * stride + right, y * stride + bottom]
                        places = [each * stride + (x, y)[i % 2] * stride for i, each in enumerate(marks[row].tolist())]
                        found.append((float(score[row, 0]), [v / scale for v in corners], [v / scale for v in places]))
                    row += 1
    found.sort(key=lambda each: -each[0])
    kept: list[tuple[float, list[float], list[float]]] = []
    for each in found:
        if all(overlap(each[1], other[1]) <= 0.4 for other in kept):
            kept.append(each)
    return kept


def overlap(a: list[float], b: list[float]) -> float:
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    shared = max(width, 0) * max(height, 0)
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


@pytest.mark.parametrize("seed", [0, 1])
def test_faces_are_what_a_plain_loop_finds(seed: int) -> None:
    raw = outputs(seed)
    faces, wanted = decode(raw, SIDE, 0.5, least=0.9), plain_loop(raw, 0.5, 0.9)
    assert len(wanted) > 3
    assert faces.scores.tolist() == pytest.approx([each[0] for each in wanted])
    assert faces.boxes.ravel().tolist() == pytest.approx([v for each in wanted for v in each[1]], rel=1e-4)
    assert faces.landmarks.ravel().tolist() == pytest.approx(
        [v for each in wanted for v in each[2]], rel=1e-4, abs=1e-3
    )


def test_the_main_face_is_large_and_near_the_middle() -> None:
    boxes = np.array([[0, 0, 30, 30], [35, 35, 65, 65], [40, 40, 50, 50]], dtype=np.float32)
    faces = Faces(boxes, np.array([0.9, 0.6, 0.8], dtype=np.float32), np.zeros((3, 5, 2), dtype=np.float32))
    assert main_face(faces, (100, 100)) == 1
    assert main_face(decode(outputs(0), SIDE, 1.0, least=2.0), (100, 100)) is None


def test_the_detector_sees_the_picture_in_its_corner_on_black() -> None:
    pixels, scale = detector_input(Image.new("RGB", (40, 20), (255, 0, 127)), SIDE)
    assert pixels.shape == (1, 3, SIDE, SIDE) and scale == pytest.approx(1.6)
    assert pixels[0, :, 0, 0].tolist() == pytest.approx([127.5 / 128, -127.5 / 128, -0.5 / 128])
    assert pixels[0, :, 40, 0].tolist() == pytest.approx([-127.5 / 128] * 3)
