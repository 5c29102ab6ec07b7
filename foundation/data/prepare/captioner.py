"""Says in words what pictures show: an image-text-to-text model of transformers, frozen and deterministic.

Three kinds of them, told by what they bring: those with a chat template (Qwen-VL, JoyCaption and others of LLaVA's)
are asked by a prompt and answer behind it; encoder-decoders (Florence-2) are asked by a prompt and answer alone; the
rest (BLIP, BLIP-2, GIT) goes on from the caption's first words. No code of a model's folder is run.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor

from foundation.config.own_code import NO_CODE, refuse_models_code
from foundation.devices import best_device
from foundation.errors import BaseModelError, first_line

PROMPT: Final = "Describe this picture in one sentence, beginning with what it shows: that, where it is, and the light."
"""What a model that is asked is asked by, where a person does not say."""
_TASK: Final = "<DETAILED_CAPTION>"
"""Florence-2 knows tasks by such words and turns them into prompts (`Florence2Processor`)."""
_BATCH, _BATCH_OF_CHATS = 8, 2
"""Pictures that are captioned at once. Those that chat have billions of weights, and thousands of tokens a picture."""
_MAX_TOKENS, _MAX_TOKENS_OF_ANSWERS = 60, 200
_BEAMS: Final = 3


class Captioner:
    """A captioning model on the best device there is."""

    def __init__(self, path: str, prompt: str = "", max_tokens: int | None = None) -> None:
        """Load it; `prompt` is what it is asked by, `max_tokens` how long an answer may be.

        Raises:
            BaseModelError: when it is no such model, or is not to be had.
        """
        self._device = best_device()
        refuse_models_code(path, "model")
        try:
            self._processor: Any = AutoProcessor.from_pretrained(path, **NO_CODE)
            model: Any = AutoModelForImageTextToText.from_pretrained(path, dtype="auto", **NO_CODE)
        except ImportError as error:
            said = first_line(error).partition(". ")[0]
            raise BaseModelError(f"model {path} needs a library that is not installed: {said}") from error
        except (OSError, ValueError, KeyError) as error:
            said = first_line(error)
            raise BaseModelError(
                f"model {path} is no captioning model that transformers loads ({said}); "
                "name the folder of one, such as Salesforce/blip-image-captioning-base of the hub"
            ) from error
        self._model = model.to(self._device).eval()
        self._chats = bool(getattr(self._processor, "chat_template", None))
        self._answers_alone = bool(model.config.is_encoder_decoder)
        self._prompt = prompt or (PROMPT if self._chats else _TASK if self._answers_alone else "")
        answers = self._chats or self._answers_alone
        self._max_tokens = max_tokens or (_MAX_TOKENS_OF_ANSWERS if answers else _MAX_TOKENS)
        self.batch: int = _BATCH_OF_CHATS if self._chats else _BATCH
        """Pictures to be given at once."""
        if self._chats:
            self._processor.tokenizer.padding_side = "left"  # answers go on from the end

    @torch.no_grad()
    def captions(self, images: Sequence[Image.Image], prefix: str = "") -> list[str]:
        """What each picture shows, beginning with `prefix`; the same for the same picture.

        Raises:
            BaseModelError: it does not take pictures, or the prompt.
        """
        try:
            inputs = self._inputs(images, prefix).to(self._device, self._model.dtype)
            beams = 1 if self._chats else _BEAMS
            made = self._model.generate(**inputs, max_new_tokens=self._max_tokens, num_beams=beams, do_sample=False)
        except (TypeError, ValueError, KeyError, IndexError) as error:
            raise BaseModelError(f"model cannot caption a picture with this prompt: {first_line(error)}") from error
        if self._chats:
            made = made[:, inputs["input_ids"].shape[1] :]
        texts = [" ".join(text.split()) for text in self._processor.batch_decode(made, skip_special_tokens=True)]
        if self._chats or self._answers_alone:
            return [f"{prefix} {text}".strip() for text in texts]
        asked = " ".join(self._prompt.split())
        return [text.removeprefix(asked).strip() if asked else text for text in texts]

    def _inputs(self, images: Sequence[Image.Image], prefix: str) -> Any:
        pictures = list(images)
        if self._chats:
            content = [{"type": "image"}, {"type": "text", "text": self._prompt}]
            talk = [{"role": "user", "content": content}]
            begun = self._processor.apply_chat_template(talk, add_generation_prompt=True, tokenize=False)
            texts = [f"{begun}{prefix}"] * len(pictures)
            return self._processor(images=pictures, text=texts, padding=True, return_tensors="pt")
        text = self._prompt or prefix
        given = {"text": [text] * len(pictures)} if text else {}
        if self._answers_alone:
            given["padding"] = True  # type: ignore[assignment]
        return self._processor(images=pictures, return_tensors="pt", **given)
