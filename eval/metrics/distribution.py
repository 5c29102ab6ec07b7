"""Distances between two sets of pictures: FID, KID, CMMD.

With the 15–200 real and 16–64 generated pictures of a LoRA, FID is so biased that it can rank a generator that lost
modes above a perfect one: it is shown, and decides nothing. KID and CMMD are unbiased and may be slightly negative.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics.image.kid import poly_kernel

CMMD_SIGMA = 10.0
CMMD_SCALE = 1000.0


def fid(real: Tensor, generated: Tensor) -> float:
    """Fréchet distance ‖μ₁−μ₂‖² + tr(Σ₁ + Σ₂ − 2(Σ₁Σ₂)^½) of features (n, D) and (N, D).

    With centred features A and B, Σ₁Σ₂ has the eigenvalues of (AᵀA)(BᵀB), whose roots are the singular values of ABᵀ: a
    matrix of pictures by pictures, where torchmetrics takes the eigenvalues of one of features by features.
    NaN below two pictures on either side or where a feature is not finite.

    Source: Heusel et al. 2017, arXiv:1706.08500; on CLIP features: Kynkäänniemi et al. 2022, arXiv:2203.06026.
    """
    if not _enough(real, generated):
        return float("nan")
    x, y = real.double(), generated.double()
    a, b = (features - features.mean(0) for features in (x, y))
    a, b = a / (len(a) - 1) ** 0.5, b / (len(b) - 1) ** 0.5
    apart = (x.mean(0) - y.mean(0)).square().sum()
    return float(apart + a.square().sum() + b.square().sum() - 2 * torch.linalg.svdvals(a @ b.T).sum())


def kid(real: Tensor, generated: Tensor) -> float:
    """Squared MMD with k(x, y) = (x·y/D + 1)³ as one full U-statistic over features (n, D) and (N, D).

    The kernel is torchmetrics'; its own estimate wants equal sizes and draws subsets, 1000 pictures each by default.
    The kernel expects features whose coordinates have about unit size: pass unit vectors times √D.

    Source: Bińkowski et al. 2018, arXiv:1801.01401, equation 4.
    """
    if not _enough(real, generated):
        return float("nan")
    x, y = real.double(), generated.double()
    return _unbiased_mmd(poly_kernel(x, x), poly_kernel(x, y), poly_kernel(y, y))


def cmmd(real: Tensor, generated: Tensor) -> float:
    """1000 · squared MMD with k(x, y) = exp(−‖x−y‖²/(2·10²)), unbiased, over unit features (n, D) and (N, D).

    torchmetrics has none.

    Source: Jayasumana et al. 2024, arXiv:2401.09603 (its code takes the biased V-statistic; with few pictures
    the diagonal it keeps would swamp the distance).
    """
    if not _enough(real, generated):
        return float("nan")
    x, y = real.double(), generated.double()
    return CMMD_SCALE * _unbiased_mmd(_gaussian(x, x), _gaussian(x, y), _gaussian(y, y))


def _gaussian(x: Tensor, y: Tensor) -> Tensor:
    squared = x.square().sum(1)[:, None] + y.square().sum(1)[None, :] - 2 * x @ y.T  # (n, N)
    return torch.exp(-squared / (2 * CMMD_SIGMA**2))


def _unbiased_mmd(k_xx: Tensor, k_xy: Tensor, k_yy: Tensor) -> float:
    n, m = k_xy.shape
    within_x = (k_xx.sum() - k_xx.trace()) / (n * (n - 1))
    within_y = (k_yy.sum() - k_yy.trace()) / (m * (m - 1))
    return float(within_x + within_y - 2 * k_xy.mean())


def _enough(real: Tensor, generated: Tensor) -> bool:
    return len(real) >= 2 and len(generated) >= 2 and bool(real.isfinite().all()) and bool(generated.isfinite().all())
