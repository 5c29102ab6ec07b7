"""FLUX.2 klein: a flow transformer over patches of normalised latents, with three layers of a language model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar, Final

import torch
from diffusers import Flux2KleinPipeline, Flux2Transformer2DModel
from diffusers.pipelines.flux2.pipeline_flux2_klein import compute_empirical_mu
from torch import Tensor

from foundation.bases.flow import JOINT_ATTENTION, FlowTransformer, flow_of
from foundation.bases.noising import Flow, NoiseProcess
from foundation.bases.spec import BaseSpec

_FEED_FORWARD: Final = ("ff.linear_in", "ff.linear_out", "ff_context.linear_in", "ff_context.linear_out")
_ENCODER_LAYERS: Final = 3
"""Of the language model, whose states lie side by side in an embedding."""


class Flux2Klein(FlowTransformer):
    """`port.Base` over a `Flux2KleinPipeline`.

    A latent is as the denoiser sees it: four neighbours of the autoencoder's in one, normalised by its statistics. Text
    is filled up to `max_tokens`, and all of it counts.
    """

    family = "flux2"
    pipeline_class = Flux2KleinPipeline
    transformer_class = Flux2Transformer2DModel
    default_tokens = 512
    targets: ClassVar = {
        "attention": [*JOINT_ATTENTION, "to_qkv_mlp_proj"],
        "attention+ff": [*JOINT_ATTENTION, "to_qkv_mlp_proj", *_FEED_FORWARD],
        "all": [*JOINT_ATTENTION, "to_qkv_mlp_proj", *_FEED_FORWARD],
    }

    def __init__(self, pipeline: Any, spec: BaseSpec, device: torch.device) -> None:
        self._steps = spec.sample_steps
        self._positions: dict[tuple[int, int, int], Tensor] = {}
        super().__init__(pipeline, spec, device)

    def _process(self) -> NoiseProcess:
        """The shift of its pipeline, which hangs on the steps of a sample, too."""
        scheduler = self._pipeline.scheduler
        tokens = (self.resolution // self._pipeline.vae_scale_factor // self.latents_by) ** 2
        if not scheduler.config.get("use_dynamic_shifting"):
            return flow_of(scheduler, tokens)
        return Flow(shift=math.exp(compute_empirical_mu(tokens, self._steps)))

    def target_modules(self, preset: str) -> list[str]:
        """See `Base`. A single block's output layer has the name of a list of layers elsewhere."""
        blocks = range(len(self._pipeline.transformer.single_transformer_blocks))
        single = [f"single_transformer_blocks.{number}.attn.to_out" for number in blocks]
        return [*super().target_modules(preset), *single]

    @torch.no_grad()
    def encode_images(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """See `Base`."""
        vae = self._pipeline.vae
        posterior = vae.encode(pixels.to(self.device, vae.dtype)).latent_dist
        mean, std = (self._pipeline._patchify_latents(each).float() for each in (posterior.mean, posterior.std))
        own_mean, own_std = self._latent_scale()
        return (mean - own_mean) / own_std, std / own_std

    @torch.no_grad()
    def decode_images(self, latents: Tensor) -> Tensor:
        """See `Base`."""
        vae, (mean, std) = self._pipeline.vae, self._latent_scale()
        whole = self._pipeline._unpatchify_latents(latents.to(self.device) * std + mean)
        decoded: Tensor = vae.decode(whole.to(vae.dtype)).sample
        return decoded.float()

    def _latent_scale(self) -> tuple[Tensor, Tensor]:
        """Mean and deviation of each channel of the patches, (1, 4·C, 1, 1)."""
        vae = self._pipeline.vae
        mean, variance = (
            each.float().to(self.device).view(1, -1, 1, 1) for each in (vae.bn.running_mean, vae.bn.running_var)
        )
        return mean, (variance + vae.config.batch_norm_eps).sqrt()

    def num_cut(self, captions: Sequence[str]) -> int:
        """See `Base`. With what the language model reads around a caption."""
        return super().num_cut([self._around(caption) for caption in captions])

    def _around(self, caption: str) -> str:
        message = [{"role": "user", "content": caption}]
        said: str = self._pipeline.tokenizer.apply_chat_template(
            message, tokenize=False, add_generation_prompt=True, enable_thinking=False
        )
        return said

    def _encode(self, captions: list[str]) -> Tensor:
        tokens: Tensor
        tokens, _ = self._pipeline.encode_prompt(captions, self.device, max_sequence_length=self.max_tokens)
        return tokens

    @property
    def text_shape(self) -> tuple[int, int]:
        """See `Base`."""
        assert self.max_tokens is not None
        return self.max_tokens, _ENCODER_LAYERS * self._pipeline.text_encoder.config.hidden_size

    def predict(self, noisy: Tensor, timesteps: Tensor, embeddings: Tensor, sizes: Tensor | None = None) -> Tensor:
        """See `Base`."""
        height, width = noisy.shape[-2:]
        output: Tensor = self._pipeline.transformer(
            hidden_states=noisy.to(self.dtype).flatten(2).transpose(1, 2),
            timestep=timesteps / 1000,
            encoder_hidden_states=embeddings.to(self.dtype),
            txt_ids=self._grid(1, 1, embeddings.shape[1]),
            img_ids=self._grid(height, width, 1),
            return_dict=False,
        )[0]
        return output.transpose(1, 2).reshape(len(noisy), -1, height, width)

    def _grid(self, height: int, width: int, length: int) -> Tensor:
        """Positions (L, 4) of time, row, column and word; kept, since a tensor's way to a GPU is waited for."""
        key = height, width, length
        if key not in self._positions:
            axes = (torch.arange(size) for size in (1, height, width, length))
            self._positions[key] = torch.cartesian_prod(*axes).to(self.device)
        return self._positions[key]
