"""FLUX.1: a flow transformer over packed latents, with CLIP's pooled embedding and T5's tokens."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import FluxPipeline, FluxTransformer2DModel
from torch import Tensor

from foundation.bases.flow import FlowTransformer
from foundation.bases.spec import BaseSpec
from foundation.bases.text import join_text, joined_shape, split_text


class Flux(FlowTransformer):
    """`port.Base` over a `FluxPipeline`. Text is T5's tokens and CLIP's pooled embedding.

    A model that was distilled from guidance gets a scale at every pass: `base.train_guidance` in training and in
    the validation loss, the one of the call when it samples.
    """

    family = "flux"
    pipeline_class = FluxPipeline
    transformer_class = FluxTransformer2DModel
    default_tokens = 512

    def __init__(self, pipeline: Any, spec: BaseSpec, device: torch.device) -> None:
        self._train_guidance = spec.train_guidance
        self._positions: dict[tuple[int, int], Tensor] = {}
        super().__init__(pipeline, spec, device)

    def _settings(self) -> tuple[object, ...]:
        return (*super()._settings(), self._train_guidance)

    def target_modules(self, preset: str) -> list[str]:
        """See `Base`. A single block's output layer has a namesake outside the blocks, so its number is named, too."""
        targets = super().target_modules(preset)
        if preset != "attention":
            blocks = range(len(self._pipeline.transformer.single_transformer_blocks))
            targets += ["proj_mlp", *(f"{number}.proj_out" for number in blocks)]
        if preset == "all":
            targets += ["norm.linear"]
        return targets

    def _encode(self, captions: list[str]) -> Tensor:
        tokens, pooled, _ = self._pipeline.encode_prompt(
            captions, device=self.device, max_sequence_length=self.max_tokens
        )
        return join_text(tokens, pooled)

    @property
    def text_shape(self) -> tuple[int, int]:
        """See `Base`."""
        config = self._pipeline.transformer.config
        assert self.max_tokens is not None
        return joined_shape(self.max_tokens, config.joint_attention_dim, config.pooled_projection_dim)

    def predict(self, noisy: Tensor, timesteps: Tensor, embeddings: Tensor, sizes: Tensor | None = None) -> Tensor:
        """See `Base`."""
        transformer = self._pipeline.transformer
        tokens, pooled = split_text(embeddings.to(self.dtype), transformer.config.pooled_projection_dim)
        height, width = noisy.shape[-2:]
        guidance = None
        if transformer.config.guidance_embeds:
            guidance = torch.full((len(noisy),), self._train_guidance, device=self.device)
        output: Tensor = transformer(
            hidden_states=self._as_tokens(noisy),
            timestep=timesteps / 1000,
            guidance=guidance,
            pooled_projections=pooled,
            encoder_hidden_states=tokens,
            txt_ids=torch.zeros(tokens.shape[1], 3, device=self.device, dtype=self.dtype),
            img_ids=self._grid(height // 2, width // 2),
            return_dict=False,
        )[0]
        return self._as_latents(output, height, width)

    def _grid(self, height: int, width: int) -> Tensor:
        """Positions of a picture's tokens; kept, since a tensor's way to a GPU is waited for."""
        if (height, width) not in self._positions:
            made = self._pipeline._prepare_latent_image_ids(1, height, width, self.device, self.dtype)
            self._positions[height, width] = made
        return self._positions[height, width]
