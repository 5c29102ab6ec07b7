"""The eyes that a judge looks with: a CLIP, and where the study names them, others for pictures and for style."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, Protocol

import safetensors.torch
import torch
from PIL import Image
from safetensors import SafetensorError
from torch import Tensor
from transformers import AutoConfig, AutoModel, CLIPVisionModel
from transformers.utils import cached_file

from eval.faces.extractor import FaceExtractor, load_face_extractor
from eval.features import IMAGE_PROCESSORS, Extractor, load_extractor, pixel_batches, unit
from eval.patches import PatchExtractor
from eval.spec import EvalSpec
from eval.textures import TextureExtractor
from foundation.config.own_code import NO_CODE, refuse_models_code
from foundation.errors import BaseModelError, first_line

STYLE_FILE: Final = "style_projection.safetensors"
"""Beside a style eye's backbone: its head."""
STYLE_KEY: Final = "last_layer_style"
"""The head's one tensor (W, S), under the name that CSD's checkpoints give it."""
_VISION_MODELS: Any = CLIPVisionModel  # untyped upstream


class StyleExtractor(Protocol):
    """Whatever sees how pictures are painted."""

    def parts(self, width: int) -> tuple[int, ...]:
        """Return how wide the parts are of rows of this width that count alike."""

    def images(self, images: Sequence[Image.Image]) -> Tensor:
        """Return rows (N, D) of any length, float32, on the CPU; an empty list gives (0, D)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageExtractor:
    """A model of pictures alone; see `FeatureExtractor`."""

    look: Callable[[Tensor], Tensor]
    """Pixels (N, 3, H, W) to features (N, D), of any length."""
    processor: Any
    device: torch.device
    width: int
    vision: Any
    """The transformer itself."""

    def parts(self, width: int) -> tuple[int, ...]:
        """See `StyleExtractor`: all of it is one."""
        return (width,)

    @torch.inference_mode()
    def images(self, images: Sequence[Image.Image]) -> Tensor:
        """See `FeatureExtractor`."""
        parts = [unit(self.look(pixels)) for pixels in pixel_batches(images, self.processor, self.device)]
        return torch.cat(parts) if parts else torch.zeros(0, self.width)


@dataclass(frozen=True, kw_only=True, slots=True)
class FeatureExtractors:
    """All of a judge's."""

    clip: Extractor
    """Reads pictures and texts."""
    style: StyleExtractor
    """Sees style alone."""
    patches: PatchExtractor
    """Sees each place of a picture: a layer of the one below, or of the CLIP."""
    image: ImageExtractor | None = None
    """Compares pictures with one another; None: the CLIP does."""
    faces: FaceExtractor | None = None
    """Tells faces apart; None: nobody does."""


def load_extractors(spec: EvalSpec, device: torch.device | str) -> FeatureExtractors:
    """Load what `spec` names; weights from safetensors only, and no code that comes with a model is run.

    Raises:
        ConfigError: onnxruntime is not installed, and an eye for faces is named.
        BaseModelError: a model is not there, or is of another kind.
    """
    clip = load_extractor(spec.clip, device)
    image = load_image_extractor(spec.image_features, device) if spec.image_features else None
    patches = (
        PatchExtractor(image.vision, image.processor, image.device)
        if image
        else PatchExtractor(clip.model.vision_model, clip.processor, clip.device)
    )
    style: StyleExtractor
    if spec.style_features:
        style = load_style_extractor(spec.style_features, device)
    elif image:
        style = TextureExtractor(image, patches)
    else:
        style = TextureExtractor(clip, patches)
    faces = load_face_extractor(spec.identity_features) if spec.identity_features else None
    return FeatureExtractors(clip=clip, style=style, patches=patches, image=image, faces=faces)


def load_image_extractor(source: str, device: torch.device | str) -> ImageExtractor:
    """Load a DINOv2 of transformers (a folder or hub id): its features are the last layer's CLS token.

    Source: Oquab et al. 2023, arXiv:2304.07193; that FID and KID on it agree better with people than on Inception:
    Stein et al. 2023, arXiv:2306.04675.

    Raises:
        BaseModelError: there is no such model, or it is no DINOv2.
    """
    with _loading("image_features", source, "name a DINOv2 as a folder with config.json, safetensors and processor"):
        refuse_models_code(source, "eval.image_features")
        kind = AutoConfig.from_pretrained(source, **NO_CODE).model_type
        if not kind.startswith("dinov2"):
            raise BaseModelError(f"eval.image_features must be a DINOv2, got {source!r} of type {kind!r}")
        model = _frozen(AutoModel.from_pretrained(source, dtype=torch.float32, use_safetensors=True, **NO_CODE), device)
        processor = IMAGE_PROCESSORS.from_pretrained(source, **NO_CODE)

    def look(pixels: Tensor) -> Tensor:
        tokens: Tensor = model(pixel_values=pixels).last_hidden_state
        return tokens[:, 0]

    return ImageExtractor(
        look=look, processor=processor, device=torch.device(device), width=model.config.hidden_size, vision=model
    )


def load_style_extractor(source: str, device: torch.device | str) -> ImageExtractor:
    """Load a style descriptor as CSD is one: a CLIP's vision side, and a linear head on its pooled output.

    `source` is a folder or hub id with transformers' `CLIPVisionModel` (config.json, model.safetensors, image
    processor) and `style_projection.safetensors`, which holds one tensor `last_layer_style` of (W, S): W the vision
    side's width, S the descriptor's. The features are pooled output @ head, unit norm.

    Source: Somepalli et al. 2024, Measuring style similarity in diffusion models, arXiv:2404.01292.

    Raises:
        BaseModelError: a part of it is missing, or head and vision side do not fit.
    """
    parts = f"name a folder with a CLIP vision model, its image processor and {STYLE_FILE}"
    with _loading("style_features", source, parts):
        refuse_models_code(source, "eval.style_features")
        model = _frozen(
            _VISION_MODELS.from_pretrained(source, dtype=torch.float32, use_safetensors=True, **NO_CODE), device
        )
        processor = IMAGE_PROCESSORS.from_pretrained(source, **NO_CODE)
        head = safetensors.torch.load_file(cached_file(source, STYLE_FILE))[STYLE_KEY].float().to(device)
    if head.ndim != 2 or len(head) != model.config.hidden_size:
        raise BaseModelError(
            f"eval.style_features: {STYLE_KEY} in {STYLE_FILE} must be ({model.config.hidden_size}, S), "
            f"got {tuple(head.shape)}; was it trained on another backbone?"
        )

    def look(pixels: Tensor) -> Tensor:
        pooled: Tensor = model(pixel_values=pixels).pooler_output
        return pooled @ head

    return ImageExtractor(
        look=look, processor=processor, device=torch.device(device), width=head.shape[1], vision=model
    )


def _frozen(model: Any, device: torch.device | str) -> Any:
    return model.requires_grad_(False).eval().to(device)


@contextmanager
def _loading(field: str, source: str, remedy: str) -> Iterator[None]:
    try:
        yield
    except BaseModelError:
        raise
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise BaseModelError(
            f"eval.{field} cannot be loaded, got {source!r} ({first_line(error)}); {remedy}"
        ) from error
