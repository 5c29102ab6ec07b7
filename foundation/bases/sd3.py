"""Stable Diffusion 3 and 3.5: a flow transformer, two CLIPs, and a T5 that may be left out."""

from __future__ import annotations

from typing import Any

from diffusers import SD3Transformer2DModel, StableDiffusion3Pipeline
from torch import Tensor

from foundation.bases.flow import FlowTransformer
from foundation.bases.folder import part_of
from foundation.bases.spec import BaseSpec
from foundation.bases.text import join_text, joined_shape, split_text


class StableDiffusion3(FlowTransformer):
    """`port.Base` over a `StableDiffusion3Pipeline`. Text: all encoders' tokens, both CLIPs' pooled."""

    family = "sd3"
    pipeline_class = StableDiffusion3Pipeline
    transformer_class = SD3Transformer2DModel
    default_tokens = 256

    @staticmethod
    def options(spec: BaseSpec) -> dict[str, Any]:
        """With T5 or without; diffusers loads a folder that has none only when a call says so."""
        has = spec.t5 and part_of(spec, "text_encoder_3") != [None, None]
        return {} if has else {"text_encoder_3": None, "tokenizer_3": None}

    def _encode(self, captions: list[str]) -> Tensor:
        tokens, _, pooled, _ = self._pipeline.encode_prompt(
            captions,
            None,
            None,
            device=self.device,
            do_classifier_free_guidance=False,
            max_sequence_length=self.max_tokens,
        )
        return join_text(tokens, pooled)

    @property
    def text_shape(self) -> tuple[int, int]:
        """See `Base`. Both CLIPs' tokens lie in the same places, and T5's after them."""
        config, clip = self._pipeline.transformer.config, self._pipeline.text_encoder.config
        assert self.max_tokens is not None
        tokens = clip.max_position_embeddings + self.max_tokens
        return joined_shape(tokens, config.joint_attention_dim, config.pooled_projection_dim)

    def predict(self, noisy: Tensor, timesteps: Tensor, embeddings: Tensor, sizes: Tensor | None = None) -> Tensor:
        """See `Base`."""
        transformer = self._pipeline.transformer
        tokens, pooled = split_text(embeddings.to(self.dtype), transformer.config.pooled_projection_dim)
        output: Tensor = transformer(
            hidden_states=noisy.to(self.dtype),
            timestep=timesteps,
            encoder_hidden_states=tokens,
            pooled_projections=pooled,
            return_dict=False,
        )[0]
        return output
