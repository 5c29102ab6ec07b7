"""The canonical validation loss: one number per held-out image and timestep bin, the same question to every trial.

Fixed noise, fixed stratified timesteps, and the plain unweighted objective, whatever a trial trains with. Resampled
noise would place the best checkpoint four times less surely.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from eval.spec import Strata
from foundation.bases.noising import TIMES_PER_SIGMA, NoiseProcess
from foundation.bases.pixels import to_pixels
from foundation.bases.port import Base
from foundation.data.folder import Picture
from foundation.data.images import square

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
    process: NoiseProcess
    """How the base takes noise, and what its denoiser predicts."""
    strata: Strata
    """S of them: the times at which each image is measured."""

    def __post_init__(self) -> None:
        if not len(self.latents) == len(self.embeddings) == len(self.ids):
            raise ValueError(
                "latents, embeddings and ids must be of the same images, "
                f"got {len(self.latents)}, {len(self.embeddings)} and {len(self.ids)}"
            )
        if (alphas := self.process.alphas_cumprod) is not None:
            first, last = self.strata.span
            in_span = int((last - first) * len(alphas))
            if len(self.strata) > in_span:
                raise ValueError(
                    f"timestep_bins · noises_per_bin must be ≤ {in_span} timesteps, "
                    f"got {self.strata.bins} · {self.strata.noises_per_bin}"
                )

    @property
    def timesteps(self) -> Tensor:
        """(S,), rising: the middles of equal strata, the same for every image.

        int64 of the training timesteps; for a flow float32 of 1000·σ, whatever way its training draws σ.
        """
        alphas = self.process.alphas_cumprod
        count = TIMES_PER_SIGMA if alphas is None else len(alphas)
        number, first, last = len(self.strata), *(share * count for share in self.strata.span)
        middles = first + (torch.arange(number, dtype=torch.float64) + 0.5) * (last - first) / number
        return middles.float() if alphas is None else middles.floor().long()

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
            yield ValidationBatch(
                noisy=self.process.noisy(clean, noise, timesteps[step]),
                timesteps=timesteps[step],
                target=self.process.target(clean, noise, timesteps[step]),
                images=image,
                bins=step // self.strata.noises_per_bin,
            )


def validation_set(base: Base, pictures: Sequence[Picture], strata: Strata) -> ValidationSet:
    """Encode held-out pictures and their captions as the base is now (a LoRA may change the text encoder).

    Latents are the posteriors' means: another draw would be noise of its own.
    """
    views = (to_pixels([square(picture.open(), base.resolution)]) for picture in pictures)
    return ValidationSet(
        latents=torch.cat([base.encode_images(pixels)[0].cpu() for pixels in views]),
        embeddings=base.encode_texts([picture.caption for picture in pictures]).cpu(),
        ids=[picture.digest for picture in pictures],
        process=base.process.to("cpu"),
        strata=strata,
    )


def losses_of_base(
    validation: ValidationSet,
    base: Base,
    max_rows: int,
    embeddings: Sequence[Tensor] | None = None,
    working: Callable[[], None] = lambda: None,
) -> Tensor:
    """As `validation_losses_each` of a base with whatever adapters are on; `embeddings` are the set's own if None.

    `working` is called before each pass of the denoiser.
    """

    def denoise(noisy: Tensor, timesteps: Tensor, captions: Tensor) -> Tensor:
        working()
        return base.predict(*(tensor.to(base.device) for tensor in (noisy, timesteps, captions)))

    own = [validation.embeddings] if embeddings is None else embeddings
    return validation_losses_each(validation, denoise, max_rows, own)


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
