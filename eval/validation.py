"""The canonical validation loss: one number per held-out image and timestep bin, the same question to every trial.

Fixed noise, fixed stratified timesteps, and the plain unweighted objective, whatever a trial trains with. Resampled
noise would place the best checkpoint four times less surely.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from eval.spec import Strata

_TIMES_PER_SIGMA = 1000
"""A flow's denoiser is told 1000·σ."""
Denoise = Callable[[Tensor, Tensor, Tensor], Tensor]
"""noisy (R, C, H, W), timesteps (R,), embeddings (R, T, D) → prediction (R, C, H, W)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ValidationBatch:
    """Rows that go through the denoiser at once."""

    noisy: Tensor  # (R, C, H, W)
    timesteps: Tensor  # (R,) as the denoiser takes them: int64, or 1000·σ for a flow
    target: Tensor  # (R, C, H, W) what a perfect denoiser predicts
    images: Tensor  # (R,) int64, which image of the set a row is of
    bins: Tensor  # (R,) int64


@dataclass(frozen=True, kw_only=True, slots=True)
class ValidationSet:
    """Held-out images as the denoiser meets them; all on the CPU, moved by whoever denoises."""

    latents: Tensor
    """(N, C, H, W), scaled as the denoiser takes them."""
    embeddings: Tensor
    """(N, T, D), of each image's caption."""
    ids: Sequence[str]
    """N names that stay with the images; with the strata's seed they fix each image's noise."""
    alphas_cumprod: Tensor | None = None
    """(number of training timesteps,), the noise schedule ᾱ; None for a flow."""
    prediction_type: Literal["epsilon", "v_prediction", "flow"] = "epsilon"
    """What the denoiser predicts: the noise ε, v = √ᾱ·ε − √(1−ᾱ)·x, or a flow's velocity ε − x."""
    strata: Strata
    """S of them: where each image is asked about."""

    def __post_init__(self) -> None:
        if not len(self.latents) == len(self.embeddings) == len(self.ids):
            raise ValueError(
                "latents, embeddings and ids must be of the same images, "
                f"got {len(self.latents)}, {len(self.embeddings)} and {len(self.ids)}"
            )
        if self.prediction_type not in ("epsilon", "v_prediction", "flow"):
            raise ValueError(f"prediction_type must be epsilon, v_prediction or flow, got {self.prediction_type!r}")
        if (self.alphas_cumprod is None) != (self.prediction_type == "flow"):
            raise ValueError("epsilon and v_prediction need alphas_cumprod, a flow has none")
        if self.alphas_cumprod is not None:
            first, last = self.strata.span
            asked = int((last - first) * len(self.alphas_cumprod))
            if len(self.strata) > asked:
                raise ValueError(
                    f"timestep_bins · noises_per_bin must be ≤ {asked} timesteps, "
                    f"got {self.strata.bins} · {self.strata.noises_per_bin}"
                )

    @property
    def timesteps(self) -> Tensor:
        """(S,), rising: the middles of equal strata, the same for every image.

        int64 of the training timesteps; for a flow float32 of 1000·σ, whatever way its training draws σ.
        """
        count = _TIMES_PER_SIGMA if self.alphas_cumprod is None else len(self.alphas_cumprod)
        number, first, last = len(self.strata), *(share * count for share in self.strata.span)
        middles = first + (torch.arange(number, dtype=torch.float64) + 0.5) * (last - first) / number
        return middles.float() if self.alphas_cumprod is None else middles.floor().long()

    def noise(self, image: int) -> Tensor:
        """Return an image's noises, (S, C, H, W); they depend on its id and the seed only."""
        digest = hashlib.sha256(f"{self.strata.seed}/{self.ids[image]}".encode()).digest()
        generator = torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))
        return torch.randn((len(self.strata), *self.latents.shape[1:]), generator=generator)

    def batches(self, max_rows: int) -> Iterator[ValidationBatch]:
        """Yield all rows, image by image and timestep by timestep, at most `max_rows` at once."""
        timesteps = self.timesteps
        images = torch.arange(len(self.latents)).repeat_interleave(len(timesteps))
        steps = torch.arange(len(timesteps)).repeat(len(self.latents))
        for start in range(0, len(images), max_rows):
            image, step = images[start : start + max_rows], steps[start : start + max_rows]
            noise = torch.cat([self.noise(i)[step[image == i]] for i in range(int(image[0]), int(image[-1]) + 1)])
            clean = self.latents[image].float()
            noisy, target = self._noised(clean, noise, timesteps[step])
            yield ValidationBatch(
                noisy=noisy,
                timesteps=timesteps[step],
                target=target,
                images=image,
                bins=step // self.strata.noises_per_bin,
            )

    def _noised(self, clean: Tensor, noise: Tensor, timesteps: Tensor) -> tuple[Tensor, Tensor]:
        """What the denoiser gets, and what a perfect one makes of it."""
        if self.alphas_cumprod is None:
            sigma = (timesteps / _TIMES_PER_SIGMA).view(-1, 1, 1, 1)
            return (1 - sigma) * clean + sigma * noise, noise - clean
        alpha = self.alphas_cumprod[timesteps].float().view(-1, 1, 1, 1)
        signal, sigma = alpha.sqrt(), (1 - alpha).sqrt()
        target = noise if self.prediction_type == "epsilon" else signal * noise - sigma * clean
        return signal * clean + sigma * noise, target


def validation_losses(validation: ValidationSet, denoise: Denoise, max_rows: int) -> Tensor:
    """Return the mean squared error of `denoise` for each image and timestep bin: (N, bins) float64.

    `max_rows` bounds memory and changes no loss. The denoiser must be in evaluation mode (no dropout).
    """
    return validation_losses_each(validation, denoise, max_rows, [validation.embeddings])[0]


@torch.no_grad()
def validation_losses_each(
    validation: ValidationSet, denoise: Denoise, max_rows: int, embeddings: Sequence[Tensor]
) -> Tensor:
    """As `validation_losses` for each of `embeddings`, (len(embeddings), N, bins).

    For a denoiser that acts differently on each equal share of a batch: every batch goes in so often over, with the
    captions as each of `embeddings` (N, T, D) has them.
    """
    copies = len(embeddings)
    losses = torch.zeros(copies, len(validation.latents), validation.strata.bins, dtype=torch.float64)
    for batch in validation.batches(max(1, max_rows // copies)):
        noisy, texts = batch.noisy.repeat(copies, 1, 1, 1), torch.cat([own[batch.images] for own in embeddings])
        predicted = denoise(noisy, batch.timesteps.repeat(copies), texts).float().cpu()
        for own, part in zip(losses, predicted.chunk(copies), strict=True):
            errors = (part - batch.target).square().flatten(1).double().mean(1)  # (R,)
            own.index_put_((batch.images, batch.bins), errors, accumulate=True)
    return losses / validation.strata.noises_per_bin
