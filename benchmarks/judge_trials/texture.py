"""What strokes, paint and paper look like, by fixed filters that no training made. A third reading of the truth."""

from __future__ import annotations

import math
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

_TO_OPPONENT: Final = torch.tensor([[0.299, 0.587, 0.114], [0.5, -0.5, 0.0], [-0.25, -0.25, 0.5]])
"""Brightness, red against green, blue against yellow."""
PERIODS: Final = (2.5, 4.0, 6.5)
ANGLES: Final = tuple(math.pi * number / 6 for number in range(6))
_SIDE: Final = 15


def textures(pixels: Tensor) -> Tensor:
    """Return statistics of uint8 pictures (N, 3, 64, 64), wherever in the picture: (N, 51) float64.

    Mean and deviation of each opponent colour, the brightness' quantiles, and of the amplitudes of complex Gabor
    filters (three periods, six angles, brightness alone) mean and deviation over all places, their square root.

    Source: after Portilla & Simoncelli 2000, A parametric texture model based on joint statistics of complex wavelet
    coefficients, IJCV 40(1), section 3, without its correlations.
    """
    colours = torch.einsum("oc,nchw->nohw", _TO_OPPONENT, pixels.float() / 255)
    means, deviations = colours.mean((2, 3)), colours.std((2, 3))
    quantiles = colours[:, 0].flatten(1).quantile(torch.linspace(0.05, 0.95, 9), dim=1).T
    real, imaginary = (F.conv2d(colours[:, :1], bank) for bank in _BANKS)
    amplitudes = (real.square() + imaginary.square()).sqrt()
    energies = torch.cat([amplitudes.mean((2, 3)), amplitudes.std((2, 3))], dim=1).sqrt()
    return torch.cat([means, deviations, quantiles, energies], dim=1).double()


def _banks() -> tuple[Tensor, Tensor]:
    """Real and imaginary filters, each (18, 1, 15, 15), without a mean."""
    at = torch.arange(_SIDE) - _SIDE // 2
    y, x = torch.meshgrid(at.float(), at.float(), indexing="ij")
    real, imaginary = [], []
    for period in PERIODS:
        envelope = torch.exp(-(x.square() + y.square()) / (2 * (0.6 * period) ** 2))
        envelope = envelope / envelope.sum()
        for angle in ANGLES:
            phase = 2 * math.pi * (x * math.cos(angle) + y * math.sin(angle)) / period
            wave = envelope * phase.cos()
            real.append(wave - envelope * wave.sum())
            imaginary.append(envelope * phase.sin())
    return torch.stack(real)[:, None], torch.stack(imaginary)[:, None]


_BANKS: Final = _banks()
