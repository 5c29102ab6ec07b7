"""Says in words what pictures show: a captioning model of transformers, frozen and deterministic."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor

from foundation.config.own_code import NO_CODE, refuse_models_code
from foundation.devices import best_device
from foundation.errors import BaseModelError, first_line

BATCH: Final = 8
"""Pictures that are captioned at once."""
_MAX_TOKENS: Final = 60
_BEAMS: Final = 3


class Captioner:
    """A model of BLIP's kind (image and the caption's first words in, caption out) on the best device there is."""

    def __init__(self, path: str) -> None:
        """Load it.

        Raises:
            BaseModelError: when it is no such model, or is not to be had.
        """
        self._device = best_device()
        refuse_models_code(path, "model")
        try:
            self._processor: Any = AutoProcessor.from_pretrained(path, **NO_CODE)
            model: Any = AutoModelForImageTextToText.from_pretrained(path, **NO_CODE)
        except (OSError, ValueError, KeyError) as error:
            said = first_line(error)
            raise BaseModelError(
                f"model {path} is no captioning model that transformers loads ({said}); "
                "name the folder of one, such as Salesforce/blip-image-captioning-base of the hub"
            ) from error
        self._model = model.to(self._device).eval()

    @torch.no_grad()
    def captions(self, images: Sequence[Image.Image], prefix: str = "") -> list[str]:
        """What each picture shows, beginning with `prefix`; the same for the same picture."""
        texts = {"text": [prefix] * len(images)} if prefix else {}
        inputs = self._processor(images=list(images), return_tensors="pt", **texts).to(self._device)
        made = self._model.generate(**inputs, max_new_tokens=_MAX_TOKENS, num_beams=_BEAMS, do_sample=False)
        return [" ".join(text.split()) for text in self._processor.batch_decode(made, skip_special_tokens=True)]
