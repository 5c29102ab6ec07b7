"""Chroma: FLUX's transformer without its modulations, with T5's tokens alone and a mask of those that count."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from diffusers import ChromaPipeline, ChromaTransformer2DModel
from torch import Tensor, nn

from foundation.bases.flow import JOINT_ATTENTION, JOINT_FEED_FORWARD, FlowTransformer
from foundation.bases.spec import BaseSpec
from foundation.bases.text import join_text, joined_shape, split_text


class Chroma(FlowTransformer):
    """`port.Base` over a `ChromaPipeline`. Text is T5's tokens, and the mask that its pipeline makes of them.

    Modulations come from a network of their own (`distilled_guidance_layer`), which no preset adapts.
    """

    family = "chroma"
    pipeline_class = ChromaPipeline
    transformer_class = ChromaTransformer2DModel
    default_tokens = 512
    targets: ClassVar = {
        "attention": [*JOINT_ATTENTION],
        "attention+ff": [*JOINT_ATTENTION, *JOINT_FEED_FORWARD],
        "all": [*JOINT_ATTENTION, *JOINT_FEED_FORWARD],
    }

    def __init__(self, pipeline: Any, spec: BaseSpec, device: torch.device) -> None:
        self._positions: dict[tuple[int, int], Tensor] = {}
        self._mask: Tensor | None = None
        super().__init__(pipeline, spec, device)
        for block in pipeline.transformer.single_transformer_blocks:
            block.register_forward_pre_hook(self._with_mask, with_kwargs=True)

    def _with_mask(self, _: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """A single block's arguments; diffusers 0.42 leaves the mask out where it checkpoints activations."""
        if len(args) == 3 and "attention_mask" not in kwargs:  # states, modulation, positions
            kwargs = {**kwargs, "attention_mask": self._mask}
        return args, kwargs

    def target_modules(self, preset: str) -> list[str]:
        """See `Base`. A single block's output layer has a namesake outside the blocks, so its number is named, too."""
        targets = super().target_modules(preset)
        if preset != "attention":
            blocks = range(len(self._pipeline.transformer.single_transformer_blocks))
            targets += ["proj_mlp", *(f"{number}.proj_out" for number in blocks)]
        return targets

    def _encode(self, captions: list[str]) -> Tensor:
        tokens, _, mask, *_ = self._pipeline.encode_prompt(
            captions,
            device=self.device,
            do_classifier_free_guidance=False,
            max_sequence_length=self.max_tokens,
        )
        return join_text(tokens, mask)

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
        states = self._as_tokens(noisy)
        self._mask = torch.cat([mask, mask.new_ones(states.shape[:2])], dim=1)
        output: Tensor = self._pipeline.transformer(
            hidden_states=states,
            timestep=timesteps / 1000,
            encoder_hidden_states=tokens,
            txt_ids=torch.zeros(tokens.shape[1], 3, device=self.device, dtype=self.dtype),
            img_ids=self._grid(height // 2, width // 2),
            attention_mask=self._mask,
            return_dict=False,
        )[0]
        return self._as_latents(output, height, width)

    def _grid(self, height: int, width: int) -> Tensor:
        """Positions of a picture's tokens; kept, since a tensor's way to a GPU is waited for."""
        if (height, width) not in self._positions:
            made = self._pipeline._prepare_latent_image_ids(1, height, width, self.device, self.dtype)
            self._positions[height, width] = made
        return self._positions[height, width]
