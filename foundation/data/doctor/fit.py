"""How captions fit their pictures, and how varied pictures are, as a CLIP sees them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from transformers import AutoProcessor, CLIPModel

from foundation.config.own_code import NO_CODE, refuse_models_code
from foundation.devices import best_device
from foundation.errors import BaseModelError, first_line

_BATCH: Final = 16
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Fit:
    """Of a set whose pictures and captions a CLIP has seen."""

    better: Floats
    """(N,) for each picture the share of the other captions that fit it better than its own; NaN without a caption."""
    variety: float
    """See `effective_number`."""


class Clip:
    """A CLIP on the best device there is; its weights from safetensors only."""

    def __init__(self, path: str) -> None:
        """Load it.

        Raises:
            BaseModelError: it is none, or is not to be had.
        """
        refuse_models_code(path, "clip")
        self._device = best_device()
        try:
            self._processor: Any = AutoProcessor.from_pretrained(path, **NO_CODE)
            model: Any = CLIPModel.from_pretrained(path, use_safetensors=True)
        except (OSError, ValueError, KeyError) as error:
            raise BaseModelError(f"clip {path} is no CLIP that transformers loads ({first_line(error)})") from error
        self._model = model.to(self._device).eval()

    def fit(self, read: Callable[[int], Image.Image], captions: Sequence[str]) -> Fit:
        """Look at all pictures, which `read` reads by number, and at their captions; empty ones are left out."""
        pictures = self._pictures(read, len(captions))
        texts = sorted({each for each in captions if each})
        features = self._texts(texts)
        places = [texts.index(each) if each else None for each in captions]
        return Fit(better_captions(pictures @ features.T, places), effective_number(pictures))

    @torch.no_grad()
    def _pictures(self, read: Callable[[int], Image.Image], count: int) -> Floats:
        rows = []
        for numbers in _batches(range(count)):
            inputs = self._processor(images=[read(number) for number in numbers], return_tensors="pt")
            rows.append(_unit(self._model.get_image_features(**inputs.to(self._device))))
        return np.concatenate(rows)

    @torch.no_grad()
    def _texts(self, texts: Sequence[str]) -> Floats:
        rows = []
        for some in _batches(texts):
            inputs = self._processor(text=list(some), padding=True, truncation=True, return_tensors="pt")
            rows.append(_unit(self._model.get_text_features(**inputs.to(self._device))))
        return np.concatenate(rows) if rows else np.zeros((0, self._model.config.projection_dim))


def better_captions(similarities: Floats, places: Sequence[int | None]) -> Floats:
    """(N,) of each picture the share of the other captions that are nearer to it than its own.

    `similarities` are (N, T) of pictures with the T captions that differ, `places` which of these is each picture's.
    """
    shares = np.full(len(places), np.nan)
    for number, place in enumerate(places):
        if place is not None and similarities.shape[1] > 1:
            row = similarities[number]
            shares[number] = np.count_nonzero(row > row[place]) / (len(row) - 1)
    return shares


def effective_number(features: Floats) -> float:
    """How many wholly different pictures a set of N is worth: 1 where all are alike, N where all are apart.

    `features` are (N, D) of unit length. exp of the entropy of the eigenvalues of their Gram matrix over N.

    Source: Friedman & Dieng, "The Vendi Score: A Diversity Evaluation Metric for Machine Learning", TMLR 2023, def 3.1.
    """
    if not len(features):
        return 0.0
    values = np.linalg.eigvalsh(features @ features.T / len(features))
    values = values[values > 1e-12]
    return float(np.exp(-(values * np.log(values)).sum()))


def _unit(output: Any) -> Floats:
    features = output if isinstance(output, torch.Tensor) else output.pooler_output
    rows: Floats = features.double().cpu().numpy()
    lengths: Floats = np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    return rows / lengths


def _batches(items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for begin in range(0, len(items), _BATCH):
        yield items[begin : begin + _BATCH]
