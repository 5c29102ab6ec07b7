"""Spreads and drift against loops and their fixed points."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity, normalize

from eval.metrics.spread import diversity, drift, prompt_spread, spread_between, spread_within


def unit(*shape: int, seed: int = 0) -> Tensor:
    return normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(seed)), dim=-1)


def test_spread_within_is_the_mean_over_pairs_and_numpys_variance() -> None:
    samples = unit(3, 4, 8)
    naive = [[1 - float(a @ b) for a, b in combinations(prompt, 2)] for prompt in samples]
    assert spread_within(samples) == pytest.approx(sum(sum(row) / len(row) for row in naive) / 3, abs=1e-6)
    assert spread_within(samples) == pytest.approx(np.var(samples.numpy(), axis=1, ddof=1).sum(-1).mean(), abs=1e-6)


def test_spread_between_is_what_a_one_way_layout_has_between_its_groups() -> None:
    generator = torch.Generator().manual_seed(1)
    prompts = 0.5 * torch.randn(4000, 1, 1, generator=generator, dtype=torch.float64)
    seeds = 2.0 * torch.randn(4000, 4, 1, generator=generator, dtype=torch.float64)
    assert spread_between(prompts + seeds) == pytest.approx(0.25, abs=0.08)  # plain variance of the means: 1.25
    assert spread_between(seeds) == pytest.approx(0.0, abs=0.06)
    assert spread_between(prompts.expand(-1, 4, -1)) == pytest.approx(0.25, abs=0.02)


def test_diversity_is_one_for_the_base_and_zero_for_one_picture_a_prompt() -> None:
    base, real = unit(3, 4, 8), 2 * unit(30, 8, seed=1)
    collapsed = base[:, :1].expand(-1, 4, -1)
    assert diversity(base, base, real) == prompt_spread(base, base, real) == pytest.approx(1.0)
    assert diversity(collapsed, base, real) == pytest.approx(0.0, abs=1e-6)
    assert prompt_spread(collapsed, base, real) > 1


def test_pictures_that_no_prompt_changes_have_no_spread_from_prompt_to_prompt() -> None:
    base, real = unit(3, 4, 8), 2 * unit(30, 8, seed=1)
    ignored = base[:1].expand(3, -1, -1)
    assert prompt_spread(ignored, base, real) == 0.0 and diversity(ignored, base, real) > 0.5


def test_pictures_need_not_differ_more_than_real_ones_do() -> None:
    base, real = unit(6, 4, 8), unit(60, 8, seed=1)
    alike = 0.5 * base  # as in a style whose pictures have a vignette in common
    assert diversity(alike, base, real) == pytest.approx(0.25, rel=0.05)
    assert diversity(alike, base, 0.5 * real) == pytest.approx(1.0, rel=0.1)
    assert diversity(alike, base, real[:1]) == pytest.approx(0.25)


def test_diversity_needs_two_seeds_and_a_base_with_spread() -> None:
    base, real = unit(3, 4, 8), unit(5, 8, seed=1)
    for measure in (diversity, prompt_spread):
        assert math.isnan(measure(base[:, :1], base[:, :1], real))
        assert math.isnan(measure(base, base[:1, :1].expand(3, 4, -1), real))
        assert math.isnan(measure(base[:0], base[:0], real))
    assert math.isnan(prompt_spread(base[:1], base[:1], real))


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
