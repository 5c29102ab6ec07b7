"""The eye of the judge: any CLIP or SigLIP of transformers as unit vectors of pictures and texts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from PIL import Image
from torch import Tensor
from transformers import AutoConfig, AutoImageProcessor, AutoModel, AutoTokenizer

from foundation.config.own_code import NO_CODE, refuse_models_code
from foundation.errors import BaseModelError, first_line

POCKET = Path(__file__).parent / "pocket_clip"
_BATCH = 32
IMAGE_PROCESSORS: Any = AutoImageProcessor  # untyped upstream


class FeatureExtractor(Protocol):
    """Whatever sees pictures as vectors."""

    def images(self, images: Sequence[Image.Image]) -> Tensor:
        """Return the pictures' features, (N, D), unit norm, float32, on the CPU; an empty list gives (0, D)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Extractor:
    """A loaded CLIP; results lie on the CPU, in float32, with unit norm."""

    model: Any
    tokenizer: Any
    processor: Any
    device: torch.device
    max_tokens: int
    padding: bool | str

    @torch.inference_mode()
    def images(self, images: Sequence[Image.Image]) -> Tensor:
        """Return the pictures' features, (N, D); an empty list gives (0, D)."""
        batches = pixel_batches(images, self.processor, self.device)
        parts = [unit(self.model.get_image_features(pixel_values=pixels)) for pixels in batches]
        return torch.cat(parts) if parts else torch.zeros(0, self._width())

    @torch.inference_mode()
    def texts(self, texts: Sequence[str]) -> Tensor:
        """Return the texts' features, (N, D); what is longer than the model reads is cut."""
        parts = []
        for start in range(0, len(texts), _BATCH):
            tokens = self.tokenizer(
                list(texts[start : start + _BATCH]),
                padding=self.padding,
                truncation=True,
                max_length=self.max_tokens,
                return_tensors="pt",
            )
            mask = tokens.get("attention_mask") if self.padding is True else None  # SigLIP was trained without one
            parts.append(
                unit(
                    self.model.get_text_features(
                        input_ids=tokens["input_ids"].to(self.device),
                        attention_mask=None if mask is None else mask.to(self.device),
                    )
                )
            )
        return torch.cat(parts) if parts else torch.zeros(0, self._width())

    def _width(self) -> int:
        config = self.model.config
        return int(getattr(config, "projection_dim", None) or config.vision_config.hidden_size)


def load_extractor(clip: str, device: torch.device | str = "cpu") -> Extractor:
    """Load `clip` ("pocket", a folder in transformers' layout, or a hub id) for reading pictures and texts.

    Weights are read from safetensors only, and no code that comes with a model is run.

    Raises:
        BaseModelError: there is no such model, a part of it is missing, or it is no CLIP.
    """
    source = str(POCKET) if clip == "pocket" else clip
    if clip == "pocket" and not (POCKET / "config.json").is_file():
        raise BaseModelError(f"eval.clip: the embedded CLIP is missing in {POCKET}; fetch the repository whole")
    try:
        refuse_models_code(source, "eval.clip")
        config = AutoConfig.from_pretrained(source, **NO_CODE)
        if not hasattr(config, "vision_config") or not hasattr(config, "text_config"):
            raise BaseModelError(
                f"eval.clip must be a CLIP or SigLIP, got {clip!r} of type {config.model_type!r}; "
                "name a model with an image and a text side, or 'pocket'"
            )
        model = AutoModel.from_pretrained(source, dtype=torch.float32, use_safetensors=True, **NO_CODE)
        tokenizer = AutoTokenizer.from_pretrained(source, **NO_CODE)
        processor = IMAGE_PROCESSORS.from_pretrained(source, **NO_CODE)
    except BaseModelError:
        raise
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise BaseModelError(
            f"eval.clip cannot be loaded, got {clip!r} ({first_line(error)}); "
            "name a folder with config.json, safetensors, tokenizer and image processor, a hub id, or 'pocket'"
        ) from error
    if not hasattr(model, "get_image_features") or not hasattr(model, "get_text_features"):
        raise BaseModelError(f"eval.clip must give image and text features, got {clip!r} of {type(model).__name__}")
    model.requires_grad_(False).eval().to(device)
    return Extractor(
        model=model,
        tokenizer=tokenizer,
        processor=processor,
        device=torch.device(device),
        max_tokens=int(config.text_config.max_position_embeddings),
        # SigLIP pools the last position, so its texts must be padded to full length as in training.
        padding="max_length" if config.model_type.startswith("siglip") else True,
    )


def pixel_batches(images: Sequence[Image.Image], processor: Any, device: torch.device) -> Iterator[Tensor]:
    """Pictures as a model takes them, (≤ 32, 3, H, W) at a time."""
    for start in range(0, len(images), _BATCH):
        batch = [image.convert("RGB") for image in images[start : start + _BATCH]]
        yield processor(images=batch, return_tensors="pt")["pixel_values"].to(device)


def unit(output: Any) -> Tensor:
    """Unit rows on the CPU; transformers 5 wraps the features in an output object, 4 gave the tensor."""
    features = output if isinstance(output, Tensor) else output.pooler_output
    return torch.nn.functional.normalize(features.float(), dim=-1).cpu()
