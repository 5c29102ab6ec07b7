"""How a base takes noise and what it predicts: the two processes that today's bases were trained with.

Latents are (B, …), times (B,) in the units that the denoiser takes. Both processes say x_t = a·x + b·ε and a target
that is linear in x and ε, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, Protocol, get_args

import torch
from torch import Tensor

from foundation.errors import BaseModelError

Discrete = Literal["epsilon", "v_prediction"]
PredictionType = Literal["epsilon", "v_prediction", "flow"]
Density = Literal["logit_normal", "uniform"]
TIMES_PER_SIGMA: Final = 1000
"""A flow's denoiser gets 1000·σ."""


class NoiseProcess(Protocol):
    """What lies between a clean latent and the noise, as one base was trained to see it."""

    @property
    def prediction_type(self) -> PredictionType:
        """What the denoiser predicts: ε, v = √ᾱ·ε - √(1-ᾱ)·x, or a flow's velocity ε - x."""

    @property
    def alphas_cumprod(self) -> Tensor | None:
        """The noise schedule ᾱ of discrete timesteps, (1000,); None where time is continuous."""

    def draw(self, size: int, generator: torch.Generator) -> Tensor:
        """Times (size,) to train at, on the CPU."""

    def noisy(self, latents: Tensor, noise: Tensor, times: Tensor) -> Tensor:
        """What the denoiser gets."""

    def target(self, latents: Tensor, noise: Tensor, times: Tensor) -> Tensor:
        """What the denoiser should say."""

    def snr(self, times: Tensor) -> Tensor:
        """Signal-to-noise ratio (B,): the squared weight of x over that of ε."""

    def to(self, device: torch.device | str) -> NoiseProcess:
        """The same with its tensors on a device."""


@dataclass(frozen=True, eq=False, slots=True)
class Diffusion:
    """x_t = √ᾱ_t · x + √(1-ᾱ_t) · ε at discrete timesteps, drawn evenly.

    `alphas_cumprod` is on the device of the latents. diffusers' `add_noise` and `get_velocity` say the same, but round
    ᾱ to the latents' dtype before the roots, and are another thing where a base's own scheduler counts in σ.

    Source: Ho et al. 2020, Denoising Diffusion Probabilistic Models, equation 4; v is Salimans & Ho 2022, Progressive
    Distillation, appendix D.
    """

    alphas_cumprod: Tensor
    prediction_type: Discrete = "epsilon"

    def __post_init__(self) -> None:
        if self.prediction_type not in get_args(Discrete):
            raise BaseModelError(f"the base predicts {self.prediction_type!r}; epsilon and v_prediction can be trained")

    def draw(self, size: int, generator: torch.Generator) -> Tensor:
        """int64, each timestep as likely as any other."""
        return torch.randint(len(self.alphas_cumprod), (size,), generator=generator)

    def noisy(self, latents: Tensor, noise: Tensor, times: Tensor) -> Tensor:
        """x_t."""
        alpha = _by_row(self.alphas_cumprod[times], latents)
        return alpha.sqrt() * latents + (1 - alpha).sqrt() * noise

    def target(self, latents: Tensor, noise: Tensor, times: Tensor) -> Tensor:
        """ε, or v = √ᾱ_t · ε - √(1-ᾱ_t) · x."""
        if self.prediction_type == "epsilon":
            return noise
        alpha = _by_row(self.alphas_cumprod[times], latents)
        return alpha.sqrt() * noise - (1 - alpha).sqrt() * latents

    def snr(self, times: Tensor) -> Tensor:
        """ᾱ / (1-ᾱ)."""
        from diffusers.training_utils import compute_snr  # takes seconds, which who only names a family need not wait

        snr: Tensor = compute_snr(self, times)
        return snr

    def to(self, device: torch.device | str) -> Diffusion:
        """See `NoiseProcess`."""
        return Diffusion(self.alphas_cumprod.to(device), self.prediction_type)

    def with_zero_terminal_snr(self) -> Diffusion:
        """The same with √ᾱ shifted and scaled so that the last timestep is pure noise and the first stays as it is.

        diffusers' `rescale_zero_terminal_snr` takes and gives β, of which ᾱ is only a product with rounding.
        Source: Lin et al. 2023, Common Diffusion Noise Schedules and Sample Steps Are Flawed, algorithm 1.
        """
        root = self.alphas_cumprod.double().sqrt()
        scaled = (root - root[-1]) * root[0] / (root[0] - root[-1])
        return Diffusion(scaled.square().to(self.alphas_cumprod.dtype), self.prediction_type)


@dataclass(frozen=True, slots=True)
class Flow:
    """Rectified flow: x_t = (1-σ) · x + σ · ε, and the denoiser predicts the velocity ε - x; its time is t = 1000·σ.

    `shift` moves σ towards noise, as large pictures need it: σ = s·u / (1 + (s-1)·u), with u evenly distributed or a
    sigmoid of N(`logit_mean`, `logit_std`²). Source: Esser et al. 2024, Scaling Rectified Flow Transformers, section
    3.1 and "Resolution-dependent shifting of timestep schedules". diffusers' training scripts take u from the other
    end (their schedulers count down from noise), so that their mean is minus this one. Its `scale_noise` looks times up
    in a table, which those between its entries are not in.
    """

    shift: float = 1.0
    density: Density = "logit_normal"
    logit_mean: float = 0.0
    logit_std: float = 1.0

    @property
    def prediction_type(self) -> Literal["flow"]:
        """ε - x."""
        return "flow"

    @property
    def alphas_cumprod(self) -> None:
        """Time is continuous."""
        return None

    def draw(self, size: int, generator: torch.Generator) -> Tensor:
        """float32 in [0, 1000]."""
        from diffusers.training_utils import compute_density_for_timestep_sampling as draw  # as above, seconds

        u: Tensor = draw(self.density, size, self.logit_mean, self.logit_std, generator=generator).double()
        return (TIMES_PER_SIGMA * self.shift * u / (1 + (self.shift - 1) * u)).float()

    def noisy(self, latents: Tensor, noise: Tensor, times: Tensor) -> Tensor:
        """x_t."""
        sigma = _by_row(times / TIMES_PER_SIGMA, latents)
        return (1 - sigma) * latents + sigma * noise

    def target(self, latents: Tensor, noise: Tensor, times: Tensor) -> Tensor:
        """ε - x, at every time."""
        return noise - latents

    def snr(self, times: Tensor) -> Tensor:
        """((1-σ) / σ)²."""
        sigma = times / TIMES_PER_SIGMA
        return ((1 - sigma) / sigma).square()

    def to(self, device: torch.device | str) -> Flow:
        """Itself: it has none."""
        return self


def _by_row(values: Tensor, latents: Tensor) -> Tensor:
    return values.view(-1, *[1] * (latents.ndim - 1))
