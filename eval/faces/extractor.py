"""The eye for faces: who is shown, by a person's own detector and embedder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import normalize

from eval.faces import detection
from eval.faces.alignment import SIDE, upright
from foundation.errors import BaseModelError
from foundation.files.onnx_file import open_model

WHERE: Final = "eval.identity_features"
_MIDDLE: Final = 127.5
_BATCH: Final = 32
_REMEDY: Final = (
    "name a folder with a face detector of SCRFD kind (nine outputs) and an embedder of ArcFace kind "
    f"(input 1×3×{SIDE}×{SIDE}), each as one .onnx file"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class FaceExtractor:
    """Sees the face that a picture shows first of all; as `eval.extractors.FeatureExtractor`, but for no face."""

    detector: Any
    """An ONNX session: a picture to faces (`eval.faces.detection`)."""
    embedder: Any
    """An ONNX session: (N, 3, 112, 112), RGB in [-1, 1], to (N, D)."""
    side: int
    """Of the detector's input."""
    width: int
    """D."""

    def images(self, images: Sequence[Image.Image]) -> Tensor:
        """Return the faces' features (N, D), unit norm, float32, on the CPU; zeros where a picture shows no face."""
        features = torch.zeros(len(images), self.width)
        crops = {number: crop for number, image in enumerate(images) if (crop := self._crop(image)) is not None}
        numbers = list(crops)
        for start in range(0, len(numbers), _BATCH):
            some = numbers[start : start + _BATCH]
            features[some] = normalize(torch.cat([self._embed(crops[number]) for number in some]), dim=-1)
        return features

    def _crop(self, image: Image.Image) -> Image.Image | None:
        pixels, scale = detection.detector_input(image, self.side)
        outputs = self.detector.run(None, {self.detector.get_inputs()[0].name: pixels})
        faces = detection.decode(outputs, self.side, scale)
        chosen = detection.main_face(faces, image.size)
        return None if chosen is None else upright(image, faces.landmarks[chosen])

    def _embed(self, crop: Image.Image) -> Tensor:
        pixels = (np.asarray(crop, dtype=np.float32) - _MIDDLE) / _MIDDLE
        blob = np.ascontiguousarray(pixels.transpose(2, 0, 1)[None])
        (found,) = self.embedder.run(None, {self.embedder.get_inputs()[0].name: blob})
        return torch.from_numpy(np.asarray(found, dtype=np.float32)).reshape(1, -1)


def has_face(features: Tensor) -> Tensor:
    """Which rows of a `FaceExtractor` (…, D) are of a picture with a face: bool (…)."""
    return features.any(-1)


def load_face_extractor(source: str) -> FaceExtractor:
    """Load detector and embedder from a folder, told apart by what they take and put out; other models are passed over.

    insightface's `buffalo_l` is such a folder: `det_10g.onnx` and `w600k_r50.onnx` are used. Nothing is downloaded, no
    code of a model is run, and no file outside the folder is read.

    Raises:
        ConfigError: onnxruntime is not installed.
        BaseModelError: the folder lacks one of the two, holds several of one kind, or a file is refused.
    """
    folder = Path(source)
    files = sorted(folder.glob("*.onnx")) if folder.is_dir() else []
    if not files:
        raise BaseModelError(f"{WHERE}: there is no .onnx file in {source!r}; {_REMEDY}")
    sessions = {file: open_model(file, folder, WHERE) for file in files}
    detectors = {file: each for file, each in sessions.items() if _is_detector(each)}
    embedders = {file: each for file, each in sessions.items() if _is_embedder(each)}
    for what, found in (("detector", detectors), ("embedder", embedders)):
        if len(found) != 1:
            names = ", ".join(file.name for file in found) or f"none among {', '.join(file.name for file in files)}"
            raise BaseModelError(f"{WHERE}: {source!r} must hold one {what}, got {names}; {_REMEDY}")
    (detector,), (embedder,) = detectors.values(), embedders.values()
    side = detector.get_inputs()[0].shape[2]
    return FaceExtractor(
        detector=detector,
        embedder=embedder,
        side=side if isinstance(side, int) else detection.SIDE,
        width=int(embedder.get_outputs()[0].shape[-1]),
    )


def _is_detector(session: Any) -> bool:
    inputs, outputs = session.get_inputs(), session.get_outputs()
    shape = inputs[0].shape
    if len(inputs) != 1 or len(outputs) != detection.NUM_OUTPUTS or len(shape) != 4 or shape[1] != 3:
        return False
    side = shape[2]  # a word where any will do
    return not isinstance(side, int) or (side == shape[3] and side % max(detection.STRIDES) == 0)


def _is_embedder(session: Any) -> bool:
    inputs, outputs = session.get_inputs(), session.get_outputs()
    return (
        len(inputs) == len(outputs) == 1
        and inputs[0].shape[1:] == [3, SIDE, SIDE]
        and len(outputs[0].shape) == 2
        and isinstance(outputs[0].shape[-1], int)
    )
