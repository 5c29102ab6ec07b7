"""Stable Diffusion XL: two text encoders side by side, a pooled embedding, and the picture's size as a condition."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
from diffusers import StableDiffusionXLPipeline
from torch import Tensor, nn

from foundation.bases.port import Saved
from foundation.bases.spec import BaseSpec
from foundation.bases.stable_diffusion import StableDiffusion, token_ids
from foundation.bases.text import join_text, joined_shape, split_text


class TextEncoders(nn.Module):
    """SDXL's two text encoders as one module, which an adapter is put into as one."""

    def __init__(self, first: Any, second: Any) -> None:
        super().__init__()
        self.text_encoder = first
        self.text_encoder_2 = second


@contextmanager
def _in_full_precision(vae: Any) -> Iterator[None]:
    """In half precision some autoencoders overflow, and say of themselves that they should not run so."""
    if vae.dtype != torch.float16 or not vae.config.force_upcast:
        yield
        return
    vae.float()
    try:
        yield
    finally:
        vae.half()


def _decode(vae: Any, base: Any, *arguments: Any, **options: Any) -> Any:
    """As it decodes by itself. For half precision its pipeline puts it into float32, which autocast would undo."""
    with torch.autocast(base.device.type, enabled=False) if vae.dtype == torch.float32 else nullcontext():
        return type(vae).decode(vae, *arguments, **options)


class StableDiffusionXL(StableDiffusion):
    """`port.Base` over a `StableDiffusionXLPipeline`.

    Text is both encoders' tokens side by side, and the second one's pooled embedding; token ids are (B, 2·T).
    """

    family = "sdxl"
    reads_sizes = True
    pipeline_class = StableDiffusionXLPipeline

    def __init__(self, pipeline: Any, spec: BaseSpec, device: torch.device) -> None:
        self._encoders = TextEncoders(pipeline.text_encoder, pipeline.text_encoder_2)
        self._sizes: dict[tuple[int, int], Tensor] = {}
        super().__init__(pipeline, spec, device)
        pipeline.vae.decode = partial(_decode, pipeline.vae, self)

    @staticmethod
    def options(spec: BaseSpec) -> dict[str, Any]:
        """No watermark: samples are judged, and it is no part of what was learned."""
        return {"add_watermarker": False}

    @property
    def text_encoder(self) -> nn.Module:
        """Both."""
        return self._encoders

    @torch.no_grad()
    def encode_images(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """See `Base`."""
        with _in_full_precision(self._pipeline.vae):
            return super().encode_images(pixels)

    @torch.no_grad()
    def decode_images(self, latents: Tensor) -> Tensor:
        """See `Base`."""
        with _in_full_precision(self._pipeline.vae):
            return super().decode_images(latents)

    def tokenize(self, captions: Sequence[str]) -> Tensor:
        """See `Base`."""
        tokenizers = self._pipeline.tokenizer, self._pipeline.tokenizer_2
        return torch.cat([token_ids(tokenizer, captions) for tokenizer in tokenizers], dim=1)

    def embed(self, tokens: Tensor) -> Tensor:
        """See `Base`."""
        length = super().num_ids
        first, second = (
            encoder(own.to(self.device), output_hidden_states=True)
            for encoder, own in zip(self._encoders.children(), torch.split(tokens, length, dim=1), strict=True)
        )
        return join_text(torch.cat([first.hidden_states[-2], second.hidden_states[-2]], dim=-1), second.text_embeds)

    @property
    def num_ids(self) -> int:
        """See `Base`. Those of both encoders."""
        return super().num_ids + int(self._pipeline.text_encoder_2.config.max_position_embeddings)

    @property
    def text_shape(self) -> tuple[int, int]:
        """See `Base`."""
        first, second = self._pipeline.text_encoder.config, self._pipeline.text_encoder_2.config
        return joined_shape(
            first.max_position_embeddings, first.hidden_size + second.hidden_size, second.projection_dim
        )

    def predict(self, noisy: Tensor, timesteps: Tensor, embeddings: Tensor, sizes: Tensor | None = None) -> Tensor:
        """See `Base`. Without sizes no picture was cut, nor is larger than it is: as its pipeline samples."""
        tokens, pooled = split_text(embeddings.to(self.dtype), self._pipeline.text_encoder_2.config.projection_dim)
        if sizes is None:
            sizes = self._size(*noisy.shape[-2:]).expand(len(noisy), -1)
        output: Tensor = self._pipeline.unet(
            noisy.to(self.dtype, memory_format=torch.channels_last),
            timesteps,
            encoder_hidden_states=tokens,
            added_cond_kwargs={
                "text_embeds": pooled,
                "time_ids": sizes.to(self.device, non_blocking=True),
            },
            return_dict=False,
        )[0]
        return output

    def _size(self, height: int, width: int) -> Tensor:
        """The condition for pictures with latents of so many rows and columns; kept, since a tensor's way to a GPU is
        waited for."""
        if (height, width) not in self._sizes:
            sides = [side * self._pipeline.vae_scale_factor for side in (height, width)]
            self._sizes[height, width] = torch.tensor([*sides, 0, 0, *sides], dtype=torch.float32, device=self.device)
        return self._sizes[height, width]

    def parts_of(self, denoiser: Saved, text_encoder: Saved | None) -> dict[str, Saved]:
        """See `Base`."""
        parts = {self.denoiser_name: denoiser}
        if text_encoder is None:
            return parts
        for name, _ in self._encoders.named_children():
            own = {k.removeprefix(f"{name}."): v for k, v in text_encoder.state.items() if k.startswith(f"{name}.")}
            parts[name] = Saved(own, text_encoder.config)
        return parts
