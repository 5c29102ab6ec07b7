"""Faces are put upright by the least squares similarity, and what lies at a landmark comes to its place."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from eval.faces.alignment import SIDE, TEMPLATE, similarity, upright


@pytest.mark.parametrize("seed", range(4))
def test_the_similarity_solves_the_linear_least_squares_problem(seed: int) -> None:
    rng = np.random.default_rng(seed)
    points = rng.uniform(0, 100, (5, 2))
    rows, wanted = [], TEMPLATE + rng.normal(0, 5, (5, 2))
    for x, y in points:  # x' = a x − b y + t, y' = b x + a y + u
        rows += [[x, -y, 1, 0], [y, x, 0, 1]]
    (a, b, t, u), *_ = np.linalg.lstsq(np.array(rows), wanted.ravel(), rcond=None)
    assert similarity(points, wanted) == pytest.approx(np.array([[a, -b, t], [b, a, u]]), abs=1e-9)


def test_a_mirrored_face_is_turned_and_never_flipped() -> None:
    matrix = similarity(TEMPLATE * [-1, 1], TEMPLATE)
    assert np.linalg.det(matrix[:, :2]) > 0


def test_what_lies_at_a_landmark_comes_to_its_place_in_the_crop() -> None:
    angle, scale = 0.4, 2.5
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    landmarks = TEMPLATE @ turn.T + [200, 30]
    y, x = np.mgrid[:500, :600]
    for landmark, wanted in zip(landmarks, TEMPLATE, strict=True):
        spot = 255 * np.exp(-((x - landmark[0]) ** 2 + (y - landmark[1]) ** 2) / (2 * 10.0**2))
        crop = np.asarray(upright(Image.fromarray(spot.astype(np.uint8)), landmarks), dtype=float)[..., 0]
        assert crop.shape == (SIDE, SIDE)
        cols, rows = np.meshgrid(np.arange(SIDE), np.arange(SIDE))
        found = np.array([(crop * cols).sum(), (crop * rows).sum()]) / crop.sum()
        assert found == pytest.approx(wanted, abs=0.1)
