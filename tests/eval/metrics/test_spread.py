"""Diversity and drift against loops and their fixed points."""

from __future__ import annotations

import math
from itertools import combinations

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity, normalize

from eval.metrics.spread import diversity, drift, spreads


def unit(*shape: int, seed: int = 0) -> Tensor:
    return normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(seed)), dim=-1)


def test_spread_is_the_mean_over_pairs() -> None:
    samples = unit(3, 4, 8)
    naive = [[1 - float(a @ b) for a, b in combinations(prompt, 2)] for prompt in samples]
    assert spreads(samples).tolist() == pytest.approx([sum(row) / len(row) for row in naive], abs=1e-6)


def test_diversity_is_one_for_the_base_and_zero_for_one_picture_a_prompt() -> None:
    base = unit(3, 4, 8)
    assert diversity(base, base) == pytest.approx(1.0)
    assert diversity(base[:, :1].expand(-1, 4, -1), base) == pytest.approx(0.0, abs=1e-6)


def test_diversity_needs_two_seeds_and_a_base_with_spread() -> None:
    base = unit(3, 4, 8)
    assert math.isnan(diversity(base[:, :1], base[:, :1]))
    assert math.isnan(diversity(base, base[:, :1].expand(-1, 4, -1)))
    assert math.isnan(diversity(base[:0], base[:0]))


def test_drift_is_zero_for_the_base_and_one_for_other_prompts_pictures() -> None:
    base = torch.eye(5)[:, None].repeat(1, 2, 1)
    assert drift(base, base) == pytest.approx(0.0)
    assert drift(base.roll(1, 0), base) == pytest.approx(1.0)


def test_drift_equals_the_formula_by_loops() -> None:
    samples, base = unit(4, 3, 8, seed=1), unit(4, 3, 8)
    g, b = samples.mean(1), base.mean(1)
    moved = sum(1 - float(cosine_similarity(g[u], b[u], 0)) for u in range(4)) / 4
    apart = sum(1 - float(cosine_similarity(b[u], b[v], 0)) for u in range(4) for v in range(4) if u != v) / 12
    assert drift(samples, base) == pytest.approx(moved / apart, abs=1e-6)


def test_drift_needs_two_prompts_that_differ() -> None:
    base = unit(2, 3, 8)
    assert math.isnan(drift(base[:1], base[:1]))
    assert math.isnan(drift(base[:0], base[:0]))
    assert math.isnan(drift(base, base[:1].expand(2, -1, -1)))
    assert math.isnan(drift(torch.full_like(base, math.nan), base))
