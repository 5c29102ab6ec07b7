"""Where faces are, from what a detector of SCRFD kind puts out.

Nine outputs: for each of the strides 8, 16 and 32 a score, then for each a box, then for each five landmarks; two
anchors at each place. Boxes are distances from the anchor to left, top, right and bottom, landmarks offsets of eyes,
nose and corners of the mouth from it, all in strides. Source: Guo et al. 2021, Sample and computation redistribution
for efficient face detection, arXiv:2105.04714.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Floats = NDArray[np.float32]

STRIDES: Final = (8, 16, 32)
NUM_OUTPUTS: Final = 3 * len(STRIDES)
NUM_LANDMARKS: Final = 5
SIDE: Final = 640
"""Of the detector's input, where it takes any."""
_ANCHORS: Final = 2
LEAST_SCORE: Final = 0.5
MOST_OVERLAP: Final = 0.4
_MIDDLE: Final = 127.5
_SCALE: Final = 128.0


@dataclass(frozen=True, slots=True)
class Faces:
    """F faces in a picture, in its pixels, the surest first; the middle of the first pixel is (0, 0)."""

    boxes: Floats
    """(F, 4) left, top, right, bottom."""
    scores: Floats
    """(F,) 0 to 1."""
    landmarks: Floats
    """(F, 5, 2) x and y of left and right eye, nose, left and right corner of the mouth, as they lie in the picture."""


def detector_input(picture: Image.Image, side: int) -> tuple[Floats, float]:
    """The picture as a detector takes it, (1, 3, side, side), in its upper left corner, and its scale there."""
    scale = side / max(picture.size)
    width, height = (max(1, int(each * scale)) for each in picture.size)
    canvas = Image.new("RGB", (side, side))
    canvas.paste(picture.convert("RGB").resize((width, height), Image.Resampling.BILINEAR))
    pixels = (np.asarray(canvas, dtype=np.float32) - _MIDDLE) / _SCALE
    return np.ascontiguousarray(pixels.transpose(2, 0, 1)[None]), height / picture.height


def decode(outputs: Sequence[Floats], side: int, scale: float, least: float = LEAST_SCORE) -> Faces:
    """The faces that a detector's nine `outputs` on an input of `side` tell of, in pixels of the picture.

    `scale` is the picture's in the input; faces below the score `least`, and those that overlap a surer one by more
    than `MOST_OVERLAP` of their union, are left out.
    """
    boxes, scores, landmarks = [], [], []
    for level, stride in enumerate(STRIDES):
        score, distance, offset = (
            np.asarray(outputs[level + 3 * part], dtype=np.float32).reshape(-1, width)
            for part, width in enumerate((1, 4, 2 * NUM_LANDMARKS))
        )
        sure = score[:, 0] >= least
        anchors = _anchors(side // stride, stride)[sure]  # (F, 2)
        distance = distance[sure] * stride
        boxes.append(np.concatenate([anchors - distance[:, :2], anchors + distance[:, 2:]], axis=1))
        landmarks.append(anchors[:, None] + offset[sure].reshape(-1, NUM_LANDMARKS, 2) * stride)
        scores.append(score[sure, 0])
    in_picture = [(np.concatenate(each) / scale).astype(np.float32) for each in (boxes, landmarks)]
    every = Faces(in_picture[0], np.concatenate(scores), in_picture[1])
    kept = _without_overlaps(every)
    return Faces(every.boxes[kept], every.scores[kept], every.landmarks[kept])


def main_face(faces: Faces, size: tuple[int, int]) -> int | None:
    """Which face a picture of this size shows first of all: large and near the middle; None without any.

    The area less twice the squared distance from the middle, as insightface's `detect` has it.
    """
    if not len(faces.scores):
        return None
    corner, other = faces.boxes[:, :2], faces.boxes[:, 2:]
    off = (corner + other) / 2 - np.asarray(size, dtype=np.float32) / 2
    return int(np.argmax((other - corner).prod(1) - 2 * (off**2).sum(1)))


def _anchors(places: int, stride: int) -> Floats:
    """(places² · 2, 2): x and y of every anchor, row by row, both anchors of a place together."""
    y, x = np.mgrid[:places, :places]
    return np.repeat(np.stack([x, y], axis=-1).reshape(-1, 2) * stride, _ANCHORS, axis=0).astype(np.float32)


def _without_overlaps(faces: Faces) -> list[int]:
    """The numbers of the faces that stay, the surest first."""
    areas = (faces.boxes[:, 2:] - faces.boxes[:, :2]).clip(min=0).prod(1)
    left = list(np.argsort(-faces.scores, kind="stable"))
    kept: list[int] = []
    while left:
        best = int(left.pop(0))
        kept.append(best)
        corner = np.maximum(faces.boxes[left, :2], faces.boxes[best, :2])
        other = np.minimum(faces.boxes[left, 2:], faces.boxes[best, 2:])
        shared = (other - corner).clip(min=0).prod(1)
        union = np.maximum(areas[left] + areas[best] - shared, 1e-9)
        left = [each for each, share in zip(left, shared / union, strict=True) if share <= MOST_OVERLAP]
    return kept
