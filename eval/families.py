"""What the families of pipelines are asked for the validation loss: latents, captions, the denoiser's answer.

Each says it in its pipeline's own terms, one row a picture, as diffusers' training scripts do.
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Final

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from eval.spec import EvalSpec
from eval.validation import ValidationSet
from foundation.bases.text import join_text, split_text
from foundation.data.folder import Picture
from foundation.data.images import square
from foundation.data.tokens import caption_reader, num_longer
from foundation.errors import BaseModelError, ConfigError

_TIMES_PER_SIGMA: Final = 1000
_TOLD_GUIDANCE: Final = 1.0
"""What a guidance-distilled transformer is told here: `base.train_guidance` as it is by default."""


class FamilyLoss(ABC):
    """A float32 pipeline with its own size of pictures, or `side` pixels, and length of captions, or `max_tokens`."""

    latents_by: ClassVar[int] = 2
    """The sides of a latent are multiples of this."""
    reads_long: ClassVar[bool] = True
    """Whether a caption's length can be chosen."""

    def __init__(self, pipe: Any, side: int | None, max_tokens: int | None) -> None:
        self.pipe = pipe
        self.side = side or self._own_side()
        own_length = max_tokens is not None and self.reads_long
        self._length: dict[str, Any] = {"max_sequence_length": max_tokens} if own_length else {}
        size = {} if side is None else {"height": side, "width": side}
        self.sampling: dict[str, Any] = size | self._length
        """What the pipeline is called with beside prompts, steps and guidance."""
        multiple = int(pipe.vae_scale_factor) * self.latents_by
        if self.side % multiple:
            raise ConfigError([f"resolution must be a multiple of {multiple} for this base, got {self.side}"])

    @property
    def reads(self) -> int:
        """How many tokens of a caption it reads at most."""
        own, chosen = int(caption_reader(self.pipe).model_max_length), self._length.get("max_sequence_length")
        of_pipeline = inspect.signature(self.pipe.encode_prompt).parameters.get("max_sequence_length")
        return own if of_pipeline is None else min(own, chosen or of_pipeline.default)

    def num_cut(self, captions: Sequence[str]) -> int:
        """How many of the captions are longer than that."""
        return num_longer(caption_reader(self.pipe), captions, self.reads)

    def _own_side(self) -> int:
        return int(self.pipe.default_sample_size) * int(self.pipe.vae_scale_factor)

    @property
    def noising(self) -> dict[str, Any]:
        """`alphas_cumprod` and `prediction_type` of a `ValidationSet`."""
        return {"prediction_type": "flow"}

    @torch.no_grad()
    def encode_image(self, image: Image.Image) -> Tensor:
        """A square picture to its latent (1, C, h, w), as the denoiser sees it: the posterior's mode."""
        pixels = torch.from_numpy(np.asarray(image, dtype=np.float32) / 127.5 - 1).permute(2, 0, 1)[None]
        return self._latent(pixels.to(self.pipe.device)).cpu()

    def _latent(self, pixels: Tensor) -> Tensor:
        config = self.pipe.vae.config
        shift, scale = float(getattr(config, "shift_factor", None) or 0.0), float(config.scaling_factor)
        mode: Tensor = self.pipe.vae.encode(pixels).latent_dist.mode()
        return (mode - shift) * scale

    @torch.no_grad()
    def encode_captions(self, captions: Sequence[str]) -> Tensor:
        """All that the denoiser is told of captions, (N, T, D), by the text encoders as they are now."""
        return torch.cat([self._encode(caption).cpu() for caption in captions])

    @abstractmethod
    def _encode(self, caption: str) -> Tensor:
        """All that the denoiser is told of one caption, (1, T, D)."""

    def predict(self, noisy: Tensor, timesteps: Tensor, embeddings: Tensor) -> Tensor:
        """The denoiser's answer, with whatever LoRA is on: an `eval.validation.Denoise`."""
        device = self.pipe.device
        return self._predict(noisy.to(device), timesteps.to(device), embeddings.to(device))

    @abstractmethod
    def _predict(self, noisy: Tensor, timesteps: Tensor, embeddings: Tensor) -> Tensor:
        """See `predict`; all are on the pipeline's device."""

    def _by_tokens(self, noisy: Tensor, **told: Any) -> Tensor:
        """The answer of a transformer that takes latents as tokens, (B, C, h, w) or with one frame (B, C, 1, h, w)."""
        height, width = (size * int(self.pipe.vae_scale_factor) for size in noisy.shape[2:])
        tokens = self.pipe._pack_latents(noisy, *noisy.shape)
        output = self.pipe.transformer(hidden_states=tokens, return_dict=False, **told)[0]
        latents: Tensor = self.pipe._unpack_latents(output, height, width, self.pipe.vae_scale_factor)
        return latents


class StableDiffusionLoss(FamilyLoss):
    """Stable Diffusion 1.x and 2.x."""

    latents_by = 1
    reads_long = False

    def _own_side(self) -> int:
        size = self.pipe.unet.config.sample_size
        return int(size if isinstance(size, int) else size[0]) * int(self.pipe.vae_scale_factor)

    @property
    def noising(self) -> dict[str, Any]:
        """See `FamilyLoss`.

        Raises:
            BaseModelError: when the base predicts neither ε nor v.
        """
        scheduler = self.pipe.scheduler
        kind = scheduler.config.prediction_type
        if kind not in ("epsilon", "v_prediction"):
            raise BaseModelError(f"base must predict epsilon or v, got a scheduler for {kind!r}")
        return {"prediction_type": kind, "alphas_cumprod": scheduler.alphas_cumprod.cpu()}

    def _encode(self, caption: str) -> Tensor:
        embeddings: Tensor = self.pipe.encode_prompt(caption, self.pipe.device, 1, False)[0]
        return embeddings

    def _predict(self, noisy: Tensor, timesteps: Tensor, embeddings: Tensor) -> Tensor:
        output: Tensor = self.pipe.unet(noisy, timesteps, encoder_hidden_states=embeddings, return_dict=False)[0]
        return output


class StableDiffusionXLLoss(StableDiffusionLoss):
    """SDXL; the square picture is told to be as large as it is, and not cut."""

    def _encode(self, caption: str) -> Tensor:
        tokens, _, pooled, _ = self.pipe.encode_prompt(
            caption, device=self.pipe.device, do_classifier_free_guidance=False
        )
        return join_text(tokens, pooled)

    def _predict(self, noisy: Tensor, timesteps: Tensor, embeddings: Tensor) -> Tensor:
        tokens, pooled = split_text(embeddings, self.pipe.text_encoder_2.config.projection_dim)
        sizes = torch.tensor([[self.side, self.side, 0, 0, self.side, self.side]], device=noisy.device)
        output: Tensor = self.pipe.unet(
            noisy,
            timesteps,
            encoder_hidden_states=tokens,
            added_cond_kwargs={"text_embeds": pooled, "time_ids": sizes.to(noisy.dtype).expand(len(noisy), -1)},
            return_dict=False,
        )[0]
        return output


class StableDiffusion3Loss(FamilyLoss):
    """SD 3 and 3.5."""

    def _encode(self, caption: str) -> Tensor:
        tokens, _, pooled, _ = self.pipe.encode_prompt(
            caption, None, None, device=self.pipe.device, do_classifier_free_guidance=False, **self._length
        )
        return join_text(tokens, pooled)

    def _predict(self, noisy: Tensor, timesteps: Tensor, embeddings: Tensor) -> Tensor:
        transformer = self.pipe.transformer
        tokens, pooled = split_text(embeddings, transformer.config.pooled_projection_dim)
        output: Tensor = transformer(
            hidden_states=noisy,
            timestep=timesteps,
            encoder_hidden_states=tokens,
            pooled_projections=pooled,
            return_dict=False,
        )[0]
        return output


class FluxLoss(FamilyLoss):
    """FLUX.1."""

    def _encode(self, caption: str) -> Tensor:
        tokens, pooled, _ = self.pipe.encode_prompt(caption, device=self.pipe.device, **self._length)
        return join_text(tokens, pooled)

    def _predict(self, noisy: Tensor, timesteps: Tensor, embeddings: Tensor) -> Tensor:
        config = self.pipe.transformer.config
        tokens, pooled = split_text(embeddings, config.pooled_projection_dim)
        height, width = (size // 2 for size in noisy.shape[2:])
        guidance = torch.full((len(noisy),), _TOLD_GUIDANCE, device=noisy.device) if config.guidance_embeds else None
        return self._by_tokens(
            noisy,
            timestep=timesteps / _TIMES_PER_SIGMA,
            guidance=guidance,
            pooled_projections=pooled,
            encoder_hidden_states=tokens,
            txt_ids=torch.zeros(tokens.shape[1], 3, device=noisy.device, dtype=noisy.dtype),
            img_ids=self.pipe._prepare_latent_image_ids(1, height, width, noisy.device, noisy.dtype),
        )


class QwenImageLoss(FamilyLoss):
    """Qwen-Image. A caption has as many tokens as it needs; the last number of each says whether it counts."""

    def _latent(self, pixels: Tensor) -> Tensor:
        vae = self.pipe.vae
        mode: Tensor = vae.encode(pixels.unsqueeze(2)).latent_dist.mode().squeeze(2)
        mean, std = (
            torch.tensor(each, device=mode.device, dtype=mode.dtype).view(1, -1, 1, 1)
            for each in (vae.config.latents_mean, vae.config.latents_std)
        )
        return (mode - mean) / std

    @torch.no_grad()
    def encode_captions(self, captions: Sequence[str]) -> Tensor:
        """See `FamilyLoss`."""
        each = [self._encode(caption)[0].cpu() for caption in captions]
        return torch.nn.utils.rnn.pad_sequence(each, batch_first=True)

    def _encode(self, caption: str) -> Tensor:
        tokens, _ = self.pipe.encode_prompt(caption, self.pipe.device, **self._length)
        return F.pad(tokens, (0, 1), value=1.0)

    def _predict(self, noisy: Tensor, timesteps: Tensor, embeddings: Tensor) -> Tensor:
        height, width = (size // 2 for size in noisy.shape[2:])
        return self._by_tokens(
            noisy,
            timestep=timesteps / _TIMES_PER_SIGMA,
            encoder_hidden_states=embeddings[..., :-1],
            encoder_hidden_states_mask=embeddings[..., -1].bool(),
            img_shapes=[[(1, height, width)]] * len(noisy),
        ).squeeze(2)


FAMILY_LOSSES: Final[dict[str, type[FamilyLoss]]] = {
    "StableDiffusionPipeline": StableDiffusionLoss,
    "StableDiffusionXLPipeline": StableDiffusionXLLoss,
    "StableDiffusion3Pipeline": StableDiffusion3Loss,
    "FluxPipeline": FluxLoss,
    "QwenImagePipeline": QwenImageLoss,
}
"""By the name of the pipeline's class."""


def family_loss_of(pipe: Any, side: int | None = None, max_tokens: int | None = None) -> FamilyLoss:
    """The family of a pipeline that `eval.pipeline.load_base_pipeline` loaded.

    Raises:
        ConfigError: when it cannot draw pictures of `side` pixels.
    """
    return FAMILY_LOSSES[type(pipe).__name__](pipe, side, max_tokens)


def validation_set(family: FamilyLoss, pictures: Sequence[Picture], spec: EvalSpec) -> ValidationSet:
    """Encode held-out pictures and their captions as the pipeline is now (a LoRA may change the text encoder).

    Latents are the VAE's modes: another draw would be noise of its own.

    Raises:
        BaseModelError: when the base predicts neither ε, v nor a flow.
    """
    noising = family.noising
    return ValidationSet(
        latents=torch.cat([family.encode_image(square(picture.open(), family.side)) for picture in pictures]),
        embeddings=family.encode_captions([picture.caption for picture in pictures]),
        ids=[picture.digest for picture in pictures],
        strata=spec.strata,
        **noising,
    )
