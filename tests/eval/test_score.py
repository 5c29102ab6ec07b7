"""The score ranks adapters as a person would, and the best checkpoint is chosen by the rule."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from torch import Tensor

from eval.metrics.style import Apart, Way
from eval.score import Parts, pseudo_values, score, standard_error, styles_by_prompt
from eval.taste import Taste


@dataclass(frozen=True, kw_only=True, slots=True)
class Shares(Way):
    """A way on which each picture lies at its own share, (P, S)."""

    each: Tensor

    def share(self, prompts: Tensor, seeds: Tensor) -> Tensor:
        return self.each.double()[prompts[:, :, None], seeds[:, None, :]].mean((1, 2)).clamp(-1, 1)


def way(each: Tensor) -> Way:
    nothing = torch.zeros(*each.shape, *each.shape)
    return Shares(apart=Apart(to_real=each, within=nothing, real=0.0), base=1.0, real=0.0, each=each)


def parts(style: float, kept: float, copies: float = 0.0, val_ratio: float | None = 1.0, **changes: Any) -> Parts:
    wobble = torch.tensor([[-0.05], [0.0], [0.05], [0.0]], dtype=torch.float64)
    values: dict[str, Any] = {
        "style": way(style + wobble),
        "match": torch.full((4, 1), 10.0 * kept, dtype=torch.float64),
        "base_match": torch.full((4, 1), 10.0, dtype=torch.float64),
        "copied": torch.full((4, 1), copies),
        "base_copied": torch.zeros(4, 1),
        "training_copied": torch.zeros(0),
        "base_training_copied": torch.zeros(0),
        "real_match": math.nan,
        "val_ratio": val_ratio,
    }
    return Parts(**values | changes)


IDLE = parts(0.0, 1.0)
UNDERFIT = parts(0.4, 1.0, val_ratio=0.6)
GOOD = parts(0.9, 0.95, val_ratio=0.23)
OVERFIT = parts(1.1, 0.6, copies=0.3, val_ratio=0.29)
COPIER = parts(1.0, 0.1, copies=1.0, val_ratio=0.6)
DIVERGED = parts(-0.5, 0.0, val_ratio=math.nan)


def test_a_taste_weighs_each_part() -> None:
    """By hand: style .5 + 0, kept .6 of .8, a fifth copied, the loss halved."""
    seen = {"style": 0.5, "kept": 0.6, "copies": 0.2, "val_ratio": 0.5}
    assert score(parts(**seen)) == pytest.approx(100 * 0.5 * 0.75**2 * 0.8 + 10 * 0.5)
    taste = Taste(aim=2, prompt=0.5, copies=3, loss=0.2)
    assert score(parts(**seen, taste=taste)) == pytest.approx(100 * 0.5**2 * 0.75 * 0.8**3 + 10 * 0.2 * 0.5)
    only_prompt = Taste(aim=0, prompt=1, copies=0, loss=0)
    assert score(parts(**seen, taste=only_prompt)) == pytest.approx(100 * 0.75**2)
    assert score(parts(-0.5, 1.0, taste=only_prompt)) == pytest.approx(-50)  # nobody likes what is pushed away


def test_the_order_is_that_of_the_truth() -> None:
    scores = [score(checkpoint) for checkpoint in (DIVERGED, IDLE, COPIER, UNDERFIT, GOOD)]
    assert scores == sorted(scores)
    assert score(GOOD) > score(OVERFIT) + 20
    assert score(UNDERFIT) > score(IDLE) + 20


def test_the_formula_by_hand() -> None:
    assert score(IDLE) == pytest.approx(0.0, abs=1e-9)
    assert score(GOOD) == pytest.approx(100 * 0.9 + 10 * 0.77)
    assert score(parts(0.9, 0.95, val_ratio=None)) == pytest.approx(90.0)
    assert score(parts(0.9, 0.4, val_ratio=None)) == pytest.approx(90 * (0.4 / 0.8) ** 2)
    assert score(COPIER) == pytest.approx(4.0)
    assert score(parts(-0.5, -0.5)) == pytest.approx(-50)


def test_real_pictures_have_100_and_prompts_followed_better_than_by_the_base_bring_no_more() -> None:
    assert score(parts(1.0, 1.0)) == pytest.approx(100.0)
    assert score(parts(1.0, 1.1)) == score(parts(1.0, 1.0))
    assert score(parts(1.0, 0.64, real_match=8.0)) == pytest.approx(100.0)  # four fifths of what real pictures have
    assert score(parts(1.0, 0.4, real_match=20.0)) == pytest.approx(25.0)  # no more than the base is asked for
    assert score(parts(1.0, 0.3, real_match=1.0)) == pytest.approx(25.0)  # captions that say little: 7.5 at least


def test_on_the_way_prompts_are_asked_for_less_and_less() -> None:
    half = 10 + 0.5 * (8 - 10)
    assert score(parts(0.5, 0.6, real_match=8.0)) == pytest.approx(50 * (6 / (0.8 * half)) ** 2)
    assert score(parts(1.0, 0.6, real_match=8.0)) == pytest.approx(100 * (6 / (0.8 * 8)) ** 2)


def test_copying_earns_nothing_and_the_bases_own_copies_cost_nothing() -> None:
    assert score(parts(0.9, 0.95, copies=0.25)) < score(parts(0.9, 0.95))
    assert score(parts(0.9, 0.95, copies=0.25, base_copied=torch.full((4, 1), 0.25))) == score(parts(0.9, 0.95))
    looked_at = {"training_copied": torch.tensor([1.0, 1.0, 0.0, 1.0]), "base_training_copied": torch.zeros(4)}
    assert score(parts(0.9, 0.95, **looked_at)) == pytest.approx(score(parts(0.9, 0.95, copies=3 / 8)))
    assert score(parts(1.5, 0.9)) == pytest.approx(score(parts(1.0, 0.9)))


def test_no_real_pictures_no_score() -> None:
    assert math.isnan(score(replace(GOOD, style=None)))


def test_standard_error_is_the_bootstraps_of_a_mean() -> None:
    generator = torch.Generator().manual_seed(0)
    style = 0.5 + 0.1 * torch.randn(40, 1, generator=generator, dtype=torch.float64)
    many = of_style(style)
    expected = 100 * float(style.std(correction=0)) / math.sqrt(40)
    assert standard_error(many, draws=4000) == pytest.approx(expected, rel=0.05)
    assert standard_error(many, draws=50) == standard_error(many, draws=50)


def of_style(style: torch.Tensor) -> Parts:
    ones, zeros = torch.full_like(style, 10.0), torch.zeros_like(style)
    return Parts(
        style=way(style),
        match=ones,
        base_match=ones,
        real_match=math.nan,
        copied=zeros,
        base_copied=zeros,
        training_copied=zeros[:0, 0],
        base_training_copied=zeros[:0, 0],
        val_ratio=0.5,
    )


def test_standard_error_holds_the_prompts_and_the_seeds() -> None:
    """Effects of prompts (sd .1) and of seeds (.05) that add up: their mean's variance is the sum of both means'."""
    generator = torch.Generator().manual_seed(0)
    prompts = 0.1 * torch.randn(30, 1, generator=generator, dtype=torch.float64)
    seeds = 0.05 * torch.randn(1, 20, generator=generator, dtype=torch.float64)
    expected = 100 * math.sqrt(float(prompts.var(correction=0)) / 30 + float(seeds.var(correction=0)) / 20)
    assert standard_error(of_style(0.5 + prompts + seeds), draws=4000) == pytest.approx(expected, rel=0.05)
    alone = 100 * float(prompts.std(correction=0)) / math.sqrt(30)
    assert standard_error(of_style(0.5 + prompts.expand(30, 20)), draws=4000) == pytest.approx(alone, rel=0.05)


def test_standard_error_of_one_prompt_is_unknown() -> None:
    assert math.isnan(standard_error(of_style(torch.ones(1, 3, dtype=torch.float64)), 10))


def test_pseudo_values_of_a_score_that_is_a_mean_are_the_prompts_own_scores() -> None:
    found = pseudo_values(parts(0.9, 1.0, val_ratio=0.0))
    own = [10 + 100 * style for style in (0.85, 0.9, 0.95, 0.9)]  # prompts followed as the base does, no loss left
    assert found.tolist() == pytest.approx(own)
    assert styles_by_prompt(parts(0.9, 1.0)).tolist() == pytest.approx([0.85, 0.9, 0.95, 0.9])


def test_pseudo_values_leave_each_prompt_out_in_turn() -> None:
    match = torch.tensor([[8.0], [12.0], [9.0], [11.0]], dtype=torch.float64)
    whole = parts(0.5, 1.0, match=match, copied=torch.tensor([[0.0], [1.0], [0.0], [0.0]]), val_ratio=0.5)
    for left_out, value in enumerate(pseudo_values(whole)):
        others = _of_prompts(whole, [i for i in range(4) if i != left_out])
        assert float(value) == pytest.approx(4 * score(whole) - 3 * score(others))


def test_one_prompt_has_no_pseudo_values() -> None:
    assert pseudo_values(_of_prompts(GOOD, [0])).shape == (0,)
    assert styles_by_prompt(_of_prompts(GOOD, [0])).shape == (0,)


def _of_prompts(whole: Parts, kept: list[int]) -> Parts:
    assert isinstance(whole.style, Shares)
    some = {name: getattr(whole, name)[kept] for name in ("match", "base_match", "copied", "base_copied")}
    return replace(whole, style=way(whole.style.each[kept]), **some)
