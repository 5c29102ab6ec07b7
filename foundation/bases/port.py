"""The port of a model family. Everything that differs between families is behind it; the pack sees only this."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor, nn

from foundation.bases.noising import NoiseProcess
from foundation.bases.spec import Offload


@dataclass(frozen=True, slots=True)
class Saved:
    """What of an adapter is in one module: PEFT's state dict, and its `LoraConfig` as JSON holds it."""

    state: dict[str, Tensor]
    config: dict[str, Any]


class Base(Protocol):
    """A frozen pretrained pipeline on one device.

    Shapes: B rows, N pictures, C×h×w a latent, T tokens of width D. Latents are scaled as the denoiser sees them.
    Embeddings hold all that a denoiser gets of a caption, in the family's own layout (see `foundation.bases.text`).
    One thread at a time.
    """

    family: ClassVar[str]
    """Its name in `base.family`, never `auto`."""
    reads_sizes: ClassVar[bool]
    """Whether the denoiser takes how large a picture was, and how it was cut."""
    resolution: int
    device: torch.device
    dtype: torch.dtype
    offload: Offload
    """What of it is in the machine's memory, and not on the device, while it is not at work."""
    fingerprint: str
    """Changes when any weight changes, or how captions are read: part of the cache's keys."""

    def rest(self) -> None:
        """Let all that `offload` names leave the device; it comes again when it is called."""

    def keep_at_hand(self, module: nn.Module) -> None:
        """Let a module stay on the device from now on: it is trained."""

    def backward(self) -> AbstractContextManager[None]:
        """A context in which a backward pass through the denoiser runs."""

    @property
    def denoiser(self) -> nn.Module:
        """The module that adapters go into (a diffusers UNet or transformer)."""

    @property
    def text_encoder(self) -> nn.Module:
        """The module that makes embeddings of tokens, always in evaluation mode.

        Adapters may go into it, too, where `text_target_modules` names any.
        """

    @property
    def pipeline(self) -> Any:
        """The diffusers pipeline that samples with denoiser and text encoder as they stand, adapters included."""

    @property
    def sampling(self) -> Mapping[str, Any]:
        """What the pipeline is called with beside prompts, steps and guidance, so that it samples as was trained."""

    @property
    def process(self) -> NoiseProcess:
        """How it takes noise and what the denoiser predicts; its tensors are on the device."""

    def check_side(self, side: int, setting: str) -> None:
        """Refuse a side of pictures, pixels, that the denoiser cannot take; `setting` gave it.

        Raises:
            BaseModelError: it is no multiple of what it must be.
        """

    def encode_images(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Pixels (B, 3, H, W) in [-1, 1] to the scaled posterior's mean and standard deviation, both (B, C, h, w)."""

    def decode_images(self, latents: Tensor) -> Tensor:
        """Scaled latents (B, C, h, w) to pixels (B, 3, H, W) in float32, about [-1, 1]: what `encode_images` undoes."""

    @property
    def caption_tokens(self) -> int:
        """How many tokens of a caption it reads at most, those that begin and end it counted in."""

    def num_cut(self, captions: Sequence[str]) -> int:
        """How many of the captions are longer than that."""

    def tokenize(self, captions: Sequence[str]) -> Tensor:
        """Captions to the ids of their tokens (B, T), on the CPU; too long ones are cut as the tokenizer does.

        None of them, (B, 0), where the text encoders are not trained.
        """

    def embed(self, tokens: Tensor) -> Tensor:
        """Ids (B, T) to embeddings (B, T, D), with whatever adapter is active, and with gradients."""

    @property
    def text_shape(self) -> tuple[int, int]:
        """T and D of a caption's embeddings, as its modules' configs tell them."""

    @property
    def num_ids(self) -> int:
        """How many ids `tokenize` makes of a caption."""

    def encode_texts(self, captions: Sequence[str]) -> Tensor:
        """Captions to embeddings (B, T, D) in float32, with whatever adapter is active, and without gradients."""

    def predict(self, noisy: Tensor, timesteps: Tensor, embeddings: Tensor, sizes: Tensor | None = None) -> Tensor:
        """The denoiser's output (B, C, h, w) with whatever adapter is active; timesteps are times of `process`.

        `sizes` (B, 6) are `foundation.data.buckets.CroppedView.size_condition` of each picture, for a base that
        reads them; without them it gets what its pipeline passes when sampling.
        """

    def target_modules(self, preset: str) -> list[str]:
        """The denoiser's module names of a preset: `attention`, `attention+ff` or `all`."""

    def text_target_modules(self, preset: str) -> list[str]:
        """As `target_modules`, of the text encoder.

        Raises:
            AdapterError: when the family's text encoders are not trained here.
        """

    def parts_of(self, denoiser: Saved, text_encoder: Saved | None) -> dict[str, Saved]:
        """An adapter by the pipeline's components that it is in."""

    def save_adapter(self, folder: Any, denoiser: Saved, text_encoder: Saved | None = None) -> None:
        """Write one adapter as the file that diffusers' `load_lora_weights` takes."""
