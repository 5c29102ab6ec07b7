"""Stable Diffusion 1.x and 2.x, and the pocket base, which has their layout."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import torch
from diffusers import StableDiffusionPipeline
from torch import Tensor, nn

from foundation.bases.frozen import FrozenPipeline
from foundation.bases.noising import Diffusion, NoiseProcess
from foundation.bases.quantization import is_quantized
from foundation.bases.spec import BaseSpec

_ATTENTION: Final = ("to_q", "to_k", "to_v", "to_out.0")
_FEED_FORWARD: Final = ("ff.net.0.proj", "ff.net.2")
_REST: Final = ("proj_in", "proj_out", "time_emb_proj")
_CONVOLUTIONS: Final = ("conv1", "conv2", "conv_shortcut", "downsamplers.0.conv", "upsamplers.0.conv")
UNET_TARGETS: Final = {
    "attention": [*_ATTENTION],
    "attention+ff": [*_ATTENTION, *_FEED_FORWARD],
    "all": [*_ATTENTION, *_FEED_FORWARD, *_REST, *_CONVOLUTIONS],
}

_TEXT_ATTENTION: Final = ("q_proj", "k_proj", "v_proj", "out_proj")
_TEXT_FEED_FORWARD: Final = ("fc1", "fc2")
CLIP_TARGETS: Final = {
    "attention": [*_TEXT_ATTENTION],
    "attention+ff": [*_TEXT_ATTENTION, *_TEXT_FEED_FORWARD],
    "all": [*_TEXT_ATTENTION, *_TEXT_FEED_FORWARD],
}


class StableDiffusion(FrozenPipeline):
    """`port.Base` over a `StableDiffusionPipeline`."""

    family = "stable_diffusion"
    denoiser_name = "unet"
    targets = UNET_TARGETS
    pipeline_class = StableDiffusionPipeline

    blocks = r".*\.transformer_blocks\.\d+|(down|up)_blocks\.\d+\.resnets\.\d+"

    def _lay_out(self, pipeline: Any, device: torch.device) -> None:
        for module in (pipeline.unet, pipeline.vae):  # convolutions run faster so, on CPUs as on tensor cores
            if not is_quantized(module):
                _lay_out_channels_last(module, device)

    @staticmethod
    def options(spec: BaseSpec) -> dict[str, Any]:
        """Safety checker off: it judges photographs, and costs more than a pocket sample."""
        return {"safety_checker": None, "requires_safety_checker": False}

    @staticmethod
    def own_side(pipeline: Any) -> int:
        """See `FrozenPipeline`."""
        size = pipeline.unet.config.sample_size
        return int(size if isinstance(size, int) else size[0]) * int(pipeline.vae_scale_factor)

    def _process(self) -> NoiseProcess:
        scheduler = self._pipeline.scheduler
        return Diffusion(scheduler.alphas_cumprod.to(self.device, torch.float32), scheduler.config.prediction_type)

    def tokenize(self, captions: Sequence[str]) -> Tensor:
        """See `Base`."""
        return token_ids(self._pipeline.tokenizer, captions)

    def embed(self, tokens: Tensor) -> Tensor:
        """See `Base`."""
        embeddings: Tensor = self._pipeline.text_encoder(tokens.to(self.device)).last_hidden_state
        return embeddings

    @property
    def text_shape(self) -> tuple[int, int]:
        """See `Base`."""
        config = self._pipeline.text_encoder.config
        return config.max_position_embeddings, config.hidden_size

    @property
    def num_ids(self) -> int:
        """See `Base`."""
        return int(self._pipeline.text_encoder.config.max_position_embeddings)

    @torch.no_grad()
    def encode_texts(self, captions: Sequence[str]) -> Tensor:
        """See `Base`."""
        return self.embed(self.tokenize(captions)).float()

    def predict(self, noisy: Tensor, timesteps: Tensor, embeddings: Tensor, sizes: Tensor | None = None) -> Tensor:
        """See `Base`."""
        noisy = noisy.to(self.dtype, memory_format=torch.channels_last)
        output: Tensor = self._pipeline.unet(
            noisy, timesteps, encoder_hidden_states=embeddings.to(self.dtype), return_dict=False
        )[0]
        return output

    def text_target_modules(self, preset: str) -> list[str]:
        """See `Base`."""
        return list(CLIP_TARGETS[preset])


def _lay_out_channels_last(module: nn.Module, device: torch.device) -> None:
    """Copy convolutions' weights to where channels lie side by side; on the CPU all others move, too.

    Those lie in the file that they were read from, which the system keeps mapped as a whole for the last of them:
    beside Stable Diffusion 1.5 that would be 2.7 GB more.
    """
    read = {name: each.data_ptr() for name, each in module.named_parameters()}
    module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    for name, parameter in module.named_parameters() if device.type == "cpu" else ():
        if parameter.data_ptr() == read[name]:
            parameter.data = parameter.data.clone(memory_format=torch.preserve_format)


def token_ids(tokenizer: Any, captions: Sequence[str]) -> Tensor:
    """Ids (B, T) of captions, filled up or cut to the length that a CLIP reads."""
    tokens: Tensor = tokenizer(
        list(captions),
        padding="max_length",
        truncation=True,
        max_length=tokenizer.model_max_length,
        return_tensors="pt",
    ).input_ids
    return tokens
