"""Prechelt's criteria and the paired test on series whose answers are known."""

from __future__ import annotations

import math

import pytest
import torch
from scipy.stats import ttest_rel

from eval.metrics.losses import (
    bin_ratios,
    generalization_loss,
    image_means,
    paired_log_t,
    paired_t,
    ratio_to_base,
    rose_in_a_row,
)


def test_ratio_is_of_the_means_and_bins_are_apart() -> None:
    base = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    losses = torch.tensor([[0.5, 2.0], [1.5, 4.0]])
    assert ratio_to_base(losses, base) == pytest.approx(0.8)
    assert bin_ratios(losses, base).tolist() == pytest.approx([0.5, 1.0])
    assert image_means(losses).tolist() == pytest.approx([1.25, 2.75])
    assert math.isnan(ratio_to_base(losses[:0], base[:0]))


def test_generalization_loss_is_percent_over_the_minimum_so_far() -> None:
    assert generalization_loss([1.0, 0.5, 0.6]) == pytest.approx(20.0)
    assert generalization_loss([1.0, 0.5, 0.4]) == 0.0
    assert math.isnan(generalization_loss([]))


def test_three_rises_in_a_row_need_four_values_and_no_pause() -> None:
    assert rose_in_a_row([9, 1, 2, 3, 4], 3)
    assert not rose_in_a_row([1, 2, 3], 3)
    assert not rose_in_a_row([1, 2, 2, 3], 3)
    assert not rose_in_a_row([4, 3, 4, 5], 3)


def test_paired_t_equals_scipy() -> None:
    generator = torch.Generator().manual_seed(0)
    best = torch.rand(8, generator=generator, dtype=torch.float64) + 0.1
    now = best * (1.03 + 0.02 * torch.randn(8, generator=generator, dtype=torch.float64))
    expected = ttest_rel(now.log().numpy(), best.log().numpy()).statistic
    assert paired_log_t(now, best) == pytest.approx(float(expected), rel=1e-9)


def test_paired_t_of_plain_values_equals_scipy() -> None:
    now, before = torch.tensor([0.3, 0.5, 0.9, 0.1]), torch.tensor([0.2, 0.6, 0.5, 0.05])
    expected = ttest_rel(now.double(), before.double()).statistic
    assert paired_t(now, before) == pytest.approx(float(expected), rel=1e-9)


def test_paired_t_edges() -> None:
    best = torch.tensor([0.5, 0.2, 0.9])
    assert paired_log_t(best, best) == 0.0
    assert paired_log_t(1.1 * best.double(), best.double()) == math.inf
    assert math.isnan(paired_log_t(best[:1], best[:1]))
