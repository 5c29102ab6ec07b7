"""The parts of an objective written a second time, on diffusers' schedulers and the formulas of the papers."""

from __future__ import annotations

import math

import numpy as np
import torch
from diffusers import DDIMScheduler
from diffusers.training_utils import compute_snr
from torch import nn

from train.spec import ObjectiveSpec


class Asked:
    """What a denoiser of some kind is asked under an objective, and what its errors cost."""

    def __init__(self, kind: str, spec: ObjectiveSpec) -> None:
        self.kind = kind
        self.spec = spec
        self.scheduler = DDIMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
        if spec.zero_terminal_snr:
            root = np.sqrt(self.scheduler.alphas_cumprod.numpy().astype(np.float64))
            first, last = root[0], root[-1]
            root = first / (first - last) * (root - last)
            self.scheduler.alphas_cumprod = torch.from_numpy(root**2).float()

    def times(self, size: int, chance: torch.Generator) -> torch.Tensor:
        """Times as the denoiser takes them."""
        if self.kind != "flow":
            return torch.randint(1000, (size,), generator=chance)
        u = torch.rand(size, generator=chance) if self.spec.flow_density == "uniform" else None
        if u is None:
            normal = torch.normal(self.spec.flow_logit_mean, self.spec.flow_logit_std, (size,), generator=chance)
            u = torch.sigmoid(normal)  # in float32, as diffusers draws it
        s = self.spec.flow_shift or 1.0
        return (1000 * (s * u.double()) / (1 + (s - 1) * u.double())).float()

    def noisy(self, latents: torch.Tensor, noise: torch.Tensor, times: torch.Tensor) -> torch.Tensor:
        """The denoiser's input."""
        if self.kind == "flow":
            sigma = (times / 1000)[:, None, None, None]
            return (1 - sigma) * latents + sigma * noise
        noisy: torch.Tensor = self.scheduler.add_noise(latents, noise, times)
        return noisy

    def target(self, latents: torch.Tensor, noise: torch.Tensor, times: torch.Tensor) -> torch.Tensor:
        """What it should say."""
        if self.kind == "epsilon":
            return noise
        if self.kind == "flow":
            return noise - latents
        velocity: torch.Tensor = self.scheduler.get_velocity(latents, noise, times)
        return velocity

    def costs(self, error: torch.Tensor, times: torch.Tensor) -> torch.Tensor:
        """Of each place, by the loss's name."""
        if self.spec.loss == "mse":
            return error**2
        each = [self._cost(own, t, snr) for own, t, snr in zip(error, times.tolist(), self._snr(times), strict=True)]
        return torch.stack(each)

    def _cost(self, error: torch.Tensor, time: float, snr: float) -> torch.Tensor:
        c = self.spec.huber_c
        if self.spec.huber_schedule == "exponential":
            c = math.exp(-(-math.log(c) / 1000) * time)
        elif self.spec.huber_schedule == "snr":
            c = (1 - c) / (1 + math.sqrt(1 / snr)) ** 2 + c if snr else c
        factor = 2 * c if self.spec.loss == "huber" else 2
        return factor * (torch.sqrt(error**2 + c**2) - c)

    def _snr(self, times: torch.Tensor) -> list[float]:
        if self.kind == "flow":
            sigma = times / 1000
            return [float(s) for s in ((1 - sigma) / sigma) ** 2]
        return [float(s) for s in compute_snr(self.scheduler, times)]

    def weights(self, times: torch.Tensor) -> torch.Tensor:
        """Of each row."""
        snr = self._snr(times)
        gamma = self.spec.snr_gamma
        added = 1 if self.kind == "v_prediction" else 0
        if gamma is not None:
            # in float32, as the schedule is
            return torch.tensor([float(torch.tensor(min(s, gamma)) / (torch.tensor(s) + added)) for s in snr])
        if self.spec.debiased:
            limited = [min(s, 1000.0) for s in snr]
            values = [1 / (s + 1) if added else 1 / math.sqrt(s) for s in limited]
            return torch.tensor(values, dtype=torch.float64)
        return torch.ones(len(times))


def noise_like(latents: torch.Tensor, spec: ObjectiveSpec, chance: torch.Generator) -> torch.Tensor:
    """The noise that is to be found."""
    batch, channels, height, width = latents.shape
    noise = torch.randn(*latents.shape, generator=chance)
    if spec.noise_offset:
        noise = noise + spec.noise_offset * torch.randn(batch, channels, 1, 1, generator=chance)
    if not spec.multires_iterations:
        return noise
    enlarge = nn.Upsample(size=(height, width), mode="bilinear")
    for i in range(spec.multires_iterations):
        r = torch.rand(1, generator=chance).item() * 2 + 2
        low, narrow = max(1, int(height / r**i)), max(1, int(width / r**i))
        noise = noise + spec.multires_discount**i * enlarge(torch.randn(batch, channels, low, narrow, generator=chance))
        if low == 1 or narrow == 1:
            break
    return noise / noise.std()


def caption(words: str, spec: ObjectiveSpec, trigger: str, chance: torch.Generator) -> str:
    """A caption with its tags dropped and shuffled."""
    tags = [tag.strip() for tag in words.split(",")]
    head, tail = tags[: spec.keep_tags], tags[spec.keep_tags :]
    if spec.tag_dropout > 0:
        numbers = torch.rand(len(tail), generator=chance)
        tail = [
            tag
            for tag, number in zip(tail, numbers, strict=True)
            if number >= spec.tag_dropout or (trigger != "" and trigger.casefold() in tag.casefold())
        ]
    if spec.shuffle_tags:
        order = torch.randperm(len(tail), generator=chance)
        tail = [tail[int(i)] for i in order]
    return ", ".join(head + tail)
