"""The score ranks adapters as a person would, and the best checkpoint is chosen by the rule."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from eval.score import Parts, pseudo_values, score, standard_error


def parts(style: float, kept: float, copies: float = 0.0, val_ratio: float | None = 1.0, **changes: Any) -> Parts:
    wobble = torch.tensor([[-0.05], [0.0], [0.05], [0.0]], dtype=torch.float64)
    values: dict[str, Any] = {
        "style": style + wobble,
        "match": torch.full((4, 1), 10.0 * kept, dtype=torch.float64),
        "base_match": torch.full((4, 1), 10.0, dtype=torch.float64),
        "copied": torch.full((4, 1), copies),
        "base_copied": torch.zeros(4, 1),
        "training_copied": torch.zeros(0),
        "base_training_copied": torch.zeros(0),
        "val_ratio": val_ratio,
    }
    return Parts(**values | changes)


IDLE = parts(0.0, 1.0)
UNDERFIT = parts(0.4, 1.0, val_ratio=0.6)
GOOD = parts(0.9, 0.95, val_ratio=0.23)
OVERFIT = parts(1.1, 0.6, copies=0.3, val_ratio=0.29)
COPIER = parts(1.0, 0.1, copies=1.0, val_ratio=0.6)
DIVERGED = parts(-0.5, 0.0, val_ratio=math.nan)


def test_the_order_is_that_of_the_truth() -> None:
    scores = [score(checkpoint) for checkpoint in (DIVERGED, IDLE, COPIER, UNDERFIT, GOOD)]
    assert scores == sorted(scores)
    assert score(GOOD) > score(OVERFIT) + 20
    assert score(UNDERFIT) > score(IDLE) + 20


def test_the_formula_by_hand() -> None:
    assert score(IDLE) == pytest.approx(0.0, abs=1e-9)
    assert score(GOOD) == pytest.approx(80 * 0.9 * 0.95**8 + 20 * 0.77)
    assert score(parts(0.9, 0.95, val_ratio=None)) == pytest.approx(80 * 0.9 * 0.95**8)
    assert score(COPIER) == pytest.approx(8.0)
    assert score(parts(-0.5, -0.5)) == pytest.approx(-40)


def test_all_that_the_card_names_is_100_and_prompts_followed_better_than_by_the_base_bring_more() -> None:
    assert score(parts(1.0, 1.0, val_ratio=0.0)) == pytest.approx(100.0)
    assert score(parts(1.0, 1.1, val_ratio=0.0)) == pytest.approx(80 * 1.1**8 + 20)
    assert score(parts(1.0, 2.0, val_ratio=0.0)) == pytest.approx(80 * 1.12**8 + 20)  # the most there is


def test_copying_earns_nothing_and_the_bases_own_copies_cost_nothing() -> None:
    assert score(parts(0.9, 0.95, copies=0.25)) < score(parts(0.9, 0.95))
    assert score(parts(0.9, 0.95, copies=0.25, base_copied=torch.full((4, 1), 0.25))) == score(parts(0.9, 0.95))
    looked_at = {"training_copied": torch.tensor([1.0, 1.0, 0.0, 1.0]), "base_training_copied": torch.zeros(4)}
    assert score(parts(0.9, 0.95, **looked_at)) == pytest.approx(score(parts(0.9, 0.95, copies=3 / 8)))
    assert score(parts(1.5, 0.9)) == pytest.approx(score(parts(1.0, 0.9)))


def test_no_real_pictures_no_score() -> None:
    assert math.isnan(score(parts(math.nan, 0.95)))


def test_standard_error_is_the_bootstraps_of_a_mean() -> None:
    generator = torch.Generator().manual_seed(0)
    style = 0.5 + 0.1 * torch.randn(40, 1, generator=generator, dtype=torch.float64)
    many = of_style(style)
    expected = 80 * float(style.std(correction=0)) / math.sqrt(40)
    assert standard_error(many, draws=4000) == pytest.approx(expected, rel=0.05)
    assert standard_error(many, draws=50) == standard_error(many, draws=50)


def of_style(style: torch.Tensor) -> Parts:
    ones, zeros = torch.full_like(style, 10.0), torch.zeros_like(style)
    return Parts(style=style, match=ones, base_match=ones, copied=zeros, base_copied=zeros, val_ratio=0.5)


def test_standard_error_holds_the_prompts_and_the_seeds() -> None:
    """Effects of prompts (sd .1) and of seeds (.05) that add up: their mean's variance is the sum of both means'."""
    generator = torch.Generator().manual_seed(0)
    prompts = 0.1 * torch.randn(30, 1, generator=generator, dtype=torch.float64)
    seeds = 0.05 * torch.randn(1, 20, generator=generator, dtype=torch.float64)
    expected = 80 * math.sqrt(float(prompts.var(correction=0)) / 30 + float(seeds.var(correction=0)) / 20)
    assert standard_error(of_style(0.5 + prompts + seeds), draws=4000) == pytest.approx(expected, rel=0.05)
    alone = 80 * float(prompts.std(correction=0)) / math.sqrt(30)
    assert standard_error(of_style(0.5 + prompts.expand(30, 20)), draws=4000) == pytest.approx(alone, rel=0.05)


def test_standard_error_of_one_prompt_is_unknown() -> None:
    assert math.isnan(standard_error(of_style(torch.ones(1, 3, dtype=torch.float64)), 10))


def test_pseudo_values_of_a_score_that_is_a_mean_are_the_prompts_own_scores() -> None:
    own = [20 + 80 * float(style) for style in GOOD.style]  # prompts followed as the base does, no loss left
    found = pseudo_values(parts(0.9, 1.0, val_ratio=0.0))
    assert found.tolist() == pytest.approx(own)
    assert float(found.std() / 2) == pytest.approx(80 * float(GOOD.style.std()) / 2)


def test_pseudo_values_leave_each_prompt_out_in_turn() -> None:
    match = torch.tensor([[8.0], [12.0], [9.0], [11.0]], dtype=torch.float64)
    whole = parts(0.5, 1.0, match=match, copied=torch.tensor([[0.0], [1.0], [0.0], [0.0]]), val_ratio=0.5)
    fields = ("style", "match", "base_match", "copied", "base_copied")
    for left_out, value in enumerate(pseudo_values(whole)):
        kept = [i for i in range(4) if i != left_out]
        others = Parts(**{name: getattr(whole, name)[kept] for name in fields}, val_ratio=0.5)
        assert float(value) == pytest.approx(4 * score(whole) - 3 * score(others))


def test_one_prompt_has_no_pseudo_values() -> None:
    one = Parts(
        **{n: getattr(GOOD, n)[:1] for n in ("style", "match", "base_match", "copied", "base_copied")}, val_ratio=1.0
    )
    assert pseudo_values(one).shape == (0,)
