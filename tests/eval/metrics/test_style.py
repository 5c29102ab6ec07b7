"""Style fidelity is a share of energy distances: on one scale for all styles, proven by sums in another order."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from torch import Tensor

from eval.metrics.style import distance, distances, every, real_distance, way

P, S, D = 5, 2, 6


def normal(*shape: int, seed: int, mean: float = 0.0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) + mean


def by_hand(samples: Tensor, real: Tensor) -> float:
    """The energy distance pair by pair."""
    drawn = list(samples.flatten(0, 1))
    across = [float((g - r).norm()) for g in drawn for r in real]
    within = [float((g - h).norm()) for g, h in product(drawn, drawn)]
    among = [float((r - s).norm()) for r, s in product(real, real)]
    squared = 2 * sum(across) / len(across) - sum(within) / len(within) - sum(among) / len(among)
    return float(max(squared, 0.0) ** 0.5)


def test_the_distance_is_the_root_of_the_energy_distance() -> None:
    samples, real = normal(P, S, D, seed=1, mean=1.0), normal(9, D, seed=2)
    assert float(_far(samples, real)) == pytest.approx(by_hand(samples, real), rel=1e-10)
    assert float(_far(real[None], real)) == pytest.approx(0.0, abs=1e-7)


def test_a_resampling_counts_a_prompt_as_often_as_it_was_drawn() -> None:
    samples, real = normal(P, S, D, seed=1, mean=1.0), normal(9, D, seed=2)
    drawn = torch.tensor([[0, 1, 1, 3, 4], [2, 2, 2, 2, 2]])
    found = distance(distances(samples, real), drawn, torch.tensor([[0, 1], [1, 1]]))
    assert float(found[0]) == pytest.approx(by_hand(samples[[0, 1, 1, 3, 4]], real), rel=1e-10)
    assert float(found[1]) == pytest.approx(by_hand(samples[2:3, 1:], real), rel=1e-10)


def _far(samples: Tensor, real: Tensor) -> Tensor:
    apart = distances(samples, real)
    return distance(apart, *every(apart))


def share(samples: Tensor, base: Tensor, real: Tensor) -> float:
    found = way(samples, base, real)
    return float(found.share(*every(found.apart)))


def test_the_scale_has_the_base_at_0_and_real_pictures_at_1() -> None:
    real, more = normal(40, 48, seed=3), normal(16, 1, 48, seed=4)
    base = normal(16, 1, 48, seed=5, mean=0.8)
    assert share(base, base, real) == 0.0
    assert share(more, base, real) == pytest.approx(1.0, abs=0.15)
    half = share(more + 0.4, base, real)
    assert 0.5 < half < 0.85  # a root of squares: the last part of the way counts less than the first
    assert share(more + 9.0, base, real) == -1.0


@pytest.mark.parametrize("other", ["noise", "one picture", "too strong"])
def test_what_is_no_picture_of_the_style_is_far_from_it(other: str) -> None:
    real, base = normal(40, 48, seed=3), normal(16, 2, 48, seed=5, mean=0.8)
    drawn = {
        "noise": 4 * normal(16, 2, 48, seed=6),
        "one picture": real[:1].expand(32, -1).reshape(16, 2, 48),
        "too strong": normal(16, 2, 48, seed=7, mean=-0.8),
    }[other]
    assert share(drawn, base, real) < 0.2


@pytest.mark.parametrize("count", [4, 13, 60])
def test_further_real_pictures_are_as_far_as_is_foretold_however_few_there_are(count: int) -> None:
    squares, foretold = [], []
    for seed in range(60):
        real, more = normal(count, 48, seed=2 * seed), normal(8, 2, 48, seed=2 * seed + 1)
        squares.append(float(_far(more, real)) ** 2)
        foretold.append(real_distance(real, 16) ** 2)
    assert sum(foretold) == pytest.approx(sum(squares), rel=0.03)


def test_one_picture_alone_foretells_nothing() -> None:
    assert real_distance(normal(1, D, seed=1), 8) == 0.0
