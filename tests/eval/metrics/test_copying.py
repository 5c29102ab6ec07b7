"""Copies are found, near-duplicates and honest neighbours are not taken for them."""

from __future__ import annotations

import math
import statistics

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from eval.metrics.copying import copy_rate, deduplicate, find_copies, held_out_distance


def unit(n: int, d: int = 16, seed: int = 0) -> Tensor:
    return normalize(torch.randn(n, d, generator=torch.Generator().manual_seed(seed)), dim=-1)


def near(x: Tensor, noise: float, seed: int = 9) -> Tensor:
    return normalize(x + noise * unit(len(x), x.shape[1], seed), dim=-1)


def test_deduplicate_keeps_the_first_of_each_cluster_in_order() -> None:
    x = unit(6)
    doubled = torch.cat([x, near(x[2:4], 0.05), x[:1]])
    assert deduplicate(doubled).tolist() == [0, 1, 2, 3, 4, 5]
    assert deduplicate(x).tolist() == list(range(6))
    assert deduplicate(x[:2]).tolist() == [0, 1]


@pytest.mark.parametrize(("n", "m"), [(5, 4), (2, 1), (2, 3), (3, 2)])
def test_held_out_distance_equals_the_naive_leave_one_out_median(n: int, m: int) -> None:
    train, held_out = unit(n), unit(m, seed=1)
    naive = [
        min(float((v - train[i]).norm()) for i in range(n) if i != left_out) for v in held_out for left_out in range(n)
    ]
    assert held_out_distance(held_out, train) == pytest.approx(statistics.median(naive), abs=1e-6)
    assert math.isnan(held_out_distance(held_out[:0], train))
    assert math.isnan(held_out_distance(held_out, train[:1]))


def test_copies_are_flagged_and_new_pictures_are_not() -> None:
    train, held_out = unit(20), unit(6, seed=1)
    samples = torch.stack([near(train[:4], 0.1), unit(4, seed=2)])
    assert find_copies(samples, train, held_out).tolist() == [[True] * 4, [False] * 4]


def test_the_ratio_rule_alone_finds_copies_without_held_out_pictures() -> None:
    train = unit(20)
    assert find_copies(near(train[:4], 0.1), train, train[:0]).all()
    assert not find_copies(unit(30, seed=5), train, train[:0]).any()


def test_the_distance_rule_finds_copies_in_a_cluster_that_hides_them_from_the_ratio() -> None:
    train = torch.cat([unit(20), near(unit(20)[:1], 0.5)])
    sample = near(train[:1], 0.3, seed=4)
    d1, d2 = torch.cdist(sample, train).sort().values[0, :2].tolist()
    assert d1 / d2 > 1 / 3
    assert not find_copies(sample, train, train[:0]).any()
    assert find_copies(sample, train, unit(6, seed=1)).all()


def test_honest_samples_raise_no_alarm() -> None:
    centre = unit(1)
    flags = [
        find_copies(near(centre.expand(32, -1), 1.0, 3 * i), near(centre.expand(24, -1), 1.0, 3 * i + 1), unit(0)).sum()
        for i in range(50)
    ]
    assert sum(int(flag) for flag in flags) / (50 * 32) < 0.01


def test_copy_rate_takes_off_what_the_base_does_itself() -> None:
    ours, base = torch.tensor([[True, True], [False, True]]), torch.tensor([[True, False], [False, False]])
    assert copy_rate(ours, base) == pytest.approx(0.5)
    assert copy_rate(base, ours) == 0.0
    assert math.isnan(copy_rate(ours[:0], base[:0]))


def test_edges_flag_nothing() -> None:
    train = unit(5)
    assert find_copies(train[:2], train[:1], train).tolist() == [False, False]
    assert find_copies(train[:0], train, train).shape == (0,)
    assert find_copies(torch.full((2, 3, 16), math.nan), train, unit(3, seed=1)).sum() == 0
    assert find_copies(train[:1].expand(3, -1), train, unit(3, seed=1)).all()
