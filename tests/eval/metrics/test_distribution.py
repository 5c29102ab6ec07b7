"""FID, KID and CMMD against torchmetrics, closed forms and naive loops."""

from __future__ import annotations

import math
import warnings

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.kid import KernelInceptionDistance

from eval.metrics.distribution import cmmd, fid, kid


class Straight(nn.Module):
    """Hands torchmetrics the features as they are, where it would run Inception on pictures."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.num_features = num_features

    def forward(self, features: Tensor) -> Tensor:
        return features


def features(n: int, d: int = 6, seed: int = 0, shift: float = 0.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return normalize(torch.randn(n, d, generator=generator, dtype=torch.float64) + shift, dim=-1)


@pytest.mark.parametrize(("n", "m", "d"), [(9, 7, 6), (40, 50, 4), (5, 8, 32)])
def test_fid_equals_torchmetrics(n: int, m: int, d: int) -> None:
    x, y = features(n, d), features(m, d, seed=1, shift=0.3)
    metric = FrechetInceptionDistance(feature=Straight(d))
    metric.update(x, real=True)
    metric.update(y, real=False)
    assert fid(x, y) == pytest.approx(float(metric.compute()), abs=1e-6)


def test_fid_of_a_shifted_set_is_the_squared_shift() -> None:
    x = features(30)
    assert fid(x, x + torch.tensor([0.3, 0.4, 0, 0, 0, 0])) == pytest.approx(0.25, abs=1e-6)


def test_kid_equals_torchmetrics_where_sizes_are_equal() -> None:
    x, y = features(12) * math.sqrt(6), features(12, seed=1, shift=0.5) * math.sqrt(6)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        metric = KernelInceptionDistance(feature=Straight(6), subsets=1, subset_size=12)
    metric.update(x, real=True)
    metric.update(y, real=False)
    assert kid(x, y) == pytest.approx(float(metric.compute()[0]), abs=1e-9)


def naive_mmd(x: Tensor, y: Tensor, kernel) -> float:  # type: ignore[no-untyped-def]
    n, m = len(x), len(y)
    total = sum(kernel(x[i], x[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    total += sum(kernel(y[i], y[j]) for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
    return float(total - 2 * sum(kernel(a, b) for a in x for b in y) / (n * m))


def test_kid_equals_a_naive_loop_on_unequal_sizes() -> None:
    x, y = features(5), features(8, seed=1, shift=0.5)
    assert kid(x, y) == pytest.approx(naive_mmd(x, y, lambda a, b: (float(a @ b) / 6 + 1) ** 3), abs=1e-12)


def test_cmmd_equals_a_naive_loop() -> None:
    x, y = features(5), features(8, seed=1, shift=0.5)
    expected = 1000 * naive_mmd(x, y, lambda a, b: math.exp(-float((a - b).square().sum()) / 200))
    assert cmmd(x, y) == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize("metric", [kid, cmmd])
def test_unbiased_distances_average_to_zero_on_one_distribution(metric) -> None:  # type: ignore[no-untyped-def]
    values = torch.tensor([metric(features(6, seed=i), features(9, seed=1000 + i)) for i in range(300)])
    assert abs(float(values.mean())) < 3 * float(values.std()) / math.sqrt(300)


@pytest.mark.parametrize("metric", [fid, kid, cmmd])
def test_too_few_or_broken_pictures_give_nan(metric) -> None:  # type: ignore[no-untyped-def]
    x = features(5)
    broken = x.clone()
    broken[2, 1] = math.nan
    assert math.isnan(metric(x, x[:1]))
    assert math.isnan(metric(x[:0], x))
    assert math.isnan(metric(x, broken))
    assert math.isfinite(metric(x, x[:1].expand(4, -1)))
