"""A face put upright at the size that embedders of ArcFace kind were trained on."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Doubles = NDArray[np.float64]

SIDE: Final = 112
TEMPLATE: Final[Doubles] = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
)
"""Where eyes, nose and corners of the mouth lie in the crop. Source: insightface, `utils/face_align.py`."""


def similarity(points: NDArray[np.floating], wanted: NDArray[np.floating]) -> Doubles:
    """Return the (2, 3) matrix of turn, scale and move that brings `points` (n, 2) nearest to `wanted` (n, 2).

    The least squares solution without a reflection. Source: Umeyama 1991, Least-squares estimation of transformation
    parameters between two point patterns, IEEE Trans. PAMI 13(4), equations 40 to 43.
    """
    x, y = np.asarray(points, dtype=np.float64), np.asarray(wanted, dtype=np.float64)
    from_x, from_y = x - x.mean(0), y - y.mean(0)
    u, values, vt = np.linalg.svd(from_y.T @ from_x / len(x))
    signs = np.array([1.0, 1.0 if np.linalg.det(u) * np.linalg.det(vt) > 0 else -1.0])
    turn = u @ np.diag(signs) @ vt
    spread = (from_x**2).sum() / len(x)
    scale = (values * signs).sum() / spread if spread > 0 else 1.0
    return np.concatenate([scale * turn, (y.mean(0) - scale * turn @ x.mean(0))[:, None]], axis=1)


def upright(picture: Image.Image, landmarks: NDArray[np.floating]) -> Image.Image:
    """Return the face with these five `landmarks` (5, 2) as an RGB crop of `SIDE` pixels, black outside the picture."""
    matrix = similarity(landmarks, TEMPLATE)
    back = np.linalg.inv(matrix[:, :2])
    shift = -back @ matrix[:, 2] - back @ np.array([0.5, 0.5]) + 0.5  # Pillow's first pixel has its middle at (.5, .5)
    coefficients = tuple(np.concatenate([back, shift[:, None]], axis=1).ravel().tolist())
    return picture.convert("RGB").transform(
        (SIDE, SIDE), Image.Transform.AFFINE, coefficients, Image.Resampling.BILINEAR
    )
