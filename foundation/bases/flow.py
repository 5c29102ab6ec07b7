"""What the flow transformers share: how they take noise, which layers adapt, and latents as tokens."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Final

import torch
from torch import Tensor

from foundation.bases.frozen import FrozenPipeline
from foundation.bases.noising import Flow, NoiseProcess
from foundation.errors import AdapterError

JOINT_ATTENTION: Final = (
    "to_q",
    "to_k",
    "to_v",
    "to_out.0",
    "add_q_proj",
    "add_k_proj",
    "add_v_proj",
    "to_add_out",
)
"""Of blocks in which picture and caption attend to one another."""
JOINT_FEED_FORWARD: Final = ("ff.net.0.proj", "ff.net.2", "ff_context.net.0.proj", "ff_context.net.2")
JOINT_MODULATION: Final = ("norm1.linear", "norm1_context.linear")
_PATCH: Final = 2
"""A token is so many latents wide and high in all of them."""
_CAPTIONS_AT_ONCE: Final = 8


class FlowTransformer(FrozenPipeline):
    """What is the same for the families whose denoiser is a flow transformer. Their text encoders are not trained."""

    transformer_class: ClassVar[Any]
    latents_by = _PATCH
    targets: ClassVar = {
        "attention": [*JOINT_ATTENTION],
        "attention+ff": [*JOINT_ATTENTION, *JOINT_FEED_FORWARD],
        "all": [*JOINT_ATTENTION, *JOINT_FEED_FORWARD, *JOINT_MODULATION],
    }

    def _process(self) -> NoiseProcess:
        return flow_of(self._pipeline.scheduler, (self.resolution // self._pipeline.vae_scale_factor // _PATCH) ** 2)

    def tokenize(self, captions: Sequence[str]) -> Tensor:
        """No ids (B, 0): they are for those who train a text encoder."""
        return torch.zeros(len(captions), 0, dtype=torch.int64)

    @property
    def num_ids(self) -> int:
        """See `Base`."""
        return 0

    def embed(self, tokens: Tensor) -> Tensor:
        """See `Base`."""
        raise AdapterError(self._no_text_training)

    @torch.no_grad()
    def encode_texts(self, captions: Sequence[str]) -> Tensor:
        """See `Base`."""
        starts = range(0, len(captions), _CAPTIONS_AT_ONCE)
        return torch.cat([self._encode(list(captions[i : i + _CAPTIONS_AT_ONCE])).float() for i in starts])

    @abstractmethod
    def _encode(self, captions: list[str]) -> Tensor:
        """What `encode_texts` gives, of a few captions."""

    def text_target_modules(self, preset: str) -> list[str]:
        """See `Base`."""
        raise AdapterError(self._no_text_training)

    @property
    def _no_text_training(self) -> str:
        return f"adapter.text_encoder cannot be true for base.family {self.family}: only its denoiser is trained here"

    def _as_tokens(self, noisy: Tensor) -> Tensor:
        """Latents (B, C, h, w) as tokens (B, h·w/4, 4·C)."""
        tokens: Tensor = self._pipeline._pack_latents(noisy.to(self.dtype), *noisy.shape)
        return tokens

    def _as_latents(self, tokens: Tensor, height: int, width: int) -> Tensor:
        """The way back; of Qwen-Image with one frame, (B, C, 1, h, w)."""
        scale = self._pipeline.vae_scale_factor
        latents: Tensor = self._pipeline._unpack_latents(tokens, height * scale, width * scale, scale)
        return latents


def flow_of(scheduler: Any, tokens: int) -> Flow:
    """The flow that a `FlowMatchEulerDiscreteScheduler` samples pictures of so many tokens with.

    Training noises with the shift that sampling has: a fixed one, or one that rises with the number of tokens
    (diffusers' `calculate_shift`).
    """
    config = scheduler.config
    if not config.get("use_dynamic_shifting"):
        return Flow(shift=float(config.shift))
    begin, end = config.get("base_image_seq_len", 256), config.get("max_image_seq_len", 4096)
    low, high = config.get("base_shift", 0.5), config.get("max_shift", 1.15)
    mu = low + (high - low) * (tokens - begin) / (end - begin)
    return Flow(shift=math.exp(mu) if config.get("time_shift_type", "exponential") == "exponential" else mu)
