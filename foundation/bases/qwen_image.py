"""Qwen-Image: a flow transformer over packed latents, with as many tokens of a language model as a caption has."""

from __future__ import annotations

from typing import ClassVar, Final

import torch
import torch.nn.functional as F
from diffusers import QwenImagePipeline, QwenImageTransformer2DModel
from torch import Tensor

from foundation.bases.flow import JOINT_ATTENTION, FlowTransformer
from foundation.bases.text import join_text, joined_shape, split_text

_FEED_FORWARD: Final = ("img_mlp.net.0.proj", "img_mlp.net.2", "txt_mlp.net.0.proj", "txt_mlp.net.2")
_MODULATION: Final = ("img_mod.1", "txt_mod.1")


class QwenImage(FlowTransformer):
    """`port.Base` over a `QwenImagePipeline`.

    Text is the language model's tokens, filled up to `max_tokens`, and the mask that says which of them count.
    """

    family = "qwen_image"
    pipeline_class = QwenImagePipeline
    transformer_class = QwenImageTransformer2DModel
    default_tokens = 512
    targets: ClassVar = {
        "attention": [*JOINT_ATTENTION],
        "attention+ff": [*JOINT_ATTENTION, *_FEED_FORWARD],
        "all": [*JOINT_ATTENTION, *_FEED_FORWARD, *_MODULATION],
    }

    @torch.no_grad()
    def encode_images(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """See `Base`. The autoencoder is one of films, and a picture is a film of one frame."""
        vae = self._pipeline.vae
        posterior = vae.encode(pixels.to(self.device, vae.dtype).unsqueeze(2)).latent_dist
        mean, std = self._latent_scale()
        return (posterior.mean.squeeze(2).float() - mean) / std, posterior.std.squeeze(2).float() / std

    @torch.no_grad()
    def decode_images(self, latents: Tensor) -> Tensor:
        """See `Base`."""
        vae, (mean, std) = self._pipeline.vae, self._latent_scale()
        film: Tensor = vae.decode((latents.to(self.device) * std + mean).to(vae.dtype).unsqueeze(2)).sample
        return film.squeeze(2).float()

    def _latent_scale(self) -> tuple[Tensor, Tensor]:
        """Mean and deviation of each of the autoencoder's channels, (1, C, 1, 1)."""
        config = self._pipeline.vae.config
        mean, std = (
            torch.tensor(each, device=self.device).view(1, -1, 1, 1)
            for each in (config.latents_mean, config.latents_std)
        )
        return mean, std

    def _encode(self, captions: list[str]) -> Tensor:
        tokens, mask = self._pipeline.encode_prompt(captions, self.device, max_sequence_length=self.max_tokens)
        if mask is None:  # no caption is shorter than another
            mask = torch.ones(tokens.shape[:2], device=self.device)
        assert self.max_tokens is not None
        missing = self.max_tokens - tokens.shape[1]
        return join_text(F.pad(tokens, (0, 0, 0, missing)), F.pad(mask, (0, missing)))

    @property
    def text_shape(self) -> tuple[int, int]:
        """See `Base`."""
        assert self.max_tokens is not None
        return joined_shape(self.max_tokens, self._pipeline.transformer.config.joint_attention_dim, self.max_tokens)

    def predict(self, noisy: Tensor, timesteps: Tensor, embeddings: Tensor, sizes: Tensor | None = None) -> Tensor:
        """See `Base`."""
        assert self.max_tokens is not None
        tokens, mask = split_text(embeddings.to(self.dtype), self.max_tokens)
        height, width = noisy.shape[-2:]
        output: Tensor = self._pipeline.transformer(
            hidden_states=self._as_tokens(noisy),
            timestep=timesteps / 1000,
            encoder_hidden_states=tokens,
            encoder_hidden_states_mask=mask.bool(),
            img_shapes=[[(1, height // 2, width // 2)]] * len(noisy),
            return_dict=False,
        )[0]
        return self._as_latents(output, height, width).squeeze(2)
