"""What votes say of checkpoints: against the same model fitted by autograd, and what it does with a known taste."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from eval import preference
from eval.preference import PARTS, SLIP, Vote, features_of, fit
from eval.taste import Taste

ROWS = [[-0.1, 0.0, 0.0, 0.02], [-0.9, -0.1, 0.0, 0.03], [-0.3, -0.8, 0.0, 0.01], [-0.2, -0.2, -0.5, 0.05]]
VOTES = [Vote(1, 0, 1.0), Vote(1, 2, 1.0), Vote(3, 1, 0.0), Vote(2, 0, 0.5), Vote(1, 0, 1.0), Vote(3, 2, 1.0)]


def fitted_together(rows: list[list[float]], votes: list[Vote]) -> tuple[torch.Tensor, torch.Tensor]:
    """The most likely strengths and weights, all found at once from the model as it is written down."""
    features = torch.tensor(rows, dtype=torch.float64)
    weights = torch.ones(len(PARTS), dtype=torch.float64, requires_grad=True)
    rest = torch.zeros(len(rows), dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([weights, rest], max_iter=500, tolerance_grad=1e-12, tolerance_change=1e-14)

    def strengths() -> torch.Tensor:
        return preference._SCALE * features @ weights + rest

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        found = strengths()
        total = ((weights - 1) / preference._WEIGHT_SD).square().sum() / 2
        total = total + (rest / preference._REST_SD).square().sum() / 2
        for vote in votes:
            chance = SLIP + (1 - 2 * SLIP) * torch.sigmoid(found[vote.first] - found[vote.second])
            total = total - vote.share * chance.log() - (1 - vote.share) * (1 - chance).log()
        total.backward()
        return total

    optimizer.step(loss)
    return strengths().detach(), weights.detach()


def test_strengths_and_weights_are_the_most_likely_ones() -> None:
    found = fit(ROWS, VOTES)
    strengths, weights = fitted_together(ROWS, VOTES)
    assert found.strength == pytest.approx(strengths.numpy(), abs=1e-5)
    assert found.weights == pytest.approx(weights.numpy(), abs=1e-5)


def test_draws_are_of_the_posterior() -> None:
    """Against the density on a grid, where votes with slips make it lopsided: two rows, one of them liked always."""
    rows, votes = [[-0.5, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]], [Vote(0, 1, 1.0)] * 12
    grid = torch.linspace(-12, 12, 601, dtype=torch.float64)
    one, other = torch.meshgrid(grid, grid, indexing="ij")
    scale, weight, rest = preference._SCALE, preference._WEIGHT_SD, preference._REST_SD
    spread = torch.tensor([[(scale * weight * 0.5) ** 2 + rest**2, 0.0], [0.0, rest**2]], dtype=torch.float64)
    prior = torch.distributions.MultivariateNormal(torch.tensor([-0.5 * scale, 0.0], dtype=torch.float64), spread)
    chance = SLIP + (1 - 2 * SLIP) * torch.sigmoid(one - other)
    density = (prior.log_prob(torch.stack([one, other], -1)) + 12 * chance.log()).exp()
    density /= density.sum()
    found = fit(rows, votes)
    assert found.chances()[0] == pytest.approx(float(density[one > other].sum()), abs=0.02)
    assert found.draws.mean(0) == pytest.approx([float((density * each).sum()) for each in (one, other)], abs=0.1)
    gaps = (found.draws[:, 0] - found.draws[:, 1]).std()
    mean = (density * (one - other)).sum()
    assert gaps == pytest.approx(float((density * (one - other - mean).square()).sum().sqrt()), rel=0.05)


def test_without_votes_the_order_is_the_judges_and_nothing_is_sure() -> None:
    found = fit(ROWS, [])
    assert found.order == sorted(range(4), key=lambda row: -sum(ROWS[row]))
    assert found.taste() == Taste() and found.weight_sd == pytest.approx(preference._WEIGHT_SD, rel=0.05)
    assert not found.is_enough()


def test_features_are_what_the_score_multiplies() -> None:
    row = features_of({"style": 0.5, "prompt_kept": 0.6, "copies": 0.25, "val_ratio": 0.7})
    assert row == pytest.approx([math.log(0.5), 2 * math.log(0.75), math.log(0.75), 0.03])
    assert features_of({"likeness": 1.0, "style": 0.1, "prompt_kept": 2.0})[:2] == [0.0, 0.0]  # a subject's aim
    assert all(map(math.isfinite, features_of({"style": -1.0, "prompt_kept": math.nan, "val_ratio": math.inf})))


def test_votes_against_the_judge_turn_the_order_and_then_it_is_enough() -> None:
    found = fit(ROWS, [Vote(1, other, 1.0) for other in (0, 2, 3) for _ in range(8)])
    assert found.order[0] == 1
    assert found.is_enough()
    assert found.chances()[1] > 0.9
    middle, low, high = found.worth()[0]
    assert low < middle < high <= 100
    assert found.worth()[1] == (100, 100, 100)


def test_all_alike_leaves_the_order_to_the_judge_and_draws_them_together() -> None:
    before, after = fit(ROWS, []), fit(ROWS, [Vote(one, other, 0.5) for one in range(4) for other in range(one)] * 5)
    assert np.ptp(after.strength) < np.ptp(before.strength)
    assert after.order[0] == before.order[0]


def test_a_taste_is_told_from_votes_about_some_and_holds_for_others() -> None:
    """One who cares for the prompt alone; the last two rows are never shown."""
    rng = np.random.default_rng(0)
    rows = [[math.log(aim), 2 * math.log(kept), 0.0, 0.0] for aim, kept in rng.uniform(0.2, 1.0, (10, 2))]
    worth = [row[1] for row in rows]
    votes = [
        Vote(one, other, float(worth[one] > worth[other])) for one in range(8) for other in range(one) for _ in range(3)
    ]
    found = fit(rows, votes)
    aim, prompt = found.weights[:2]
    assert prompt > 2 * abs(aim)
    assert (found.strength[8] > found.strength[9]) == (worth[8] > worth[9])
    taste = found.taste()
    assert (taste.aim + 2 * taste.prompt) / 3 == pytest.approx(1, abs=0.01)
    assert taste.prompt > 1 > taste.aim >= 0 and taste.copies == pytest.approx(
        1 / float(aim + 2 * prompt) * 3, abs=0.01
    )


def test_the_next_pair_is_of_those_that_may_win() -> None:
    found = fit(ROWS, [Vote(2, other, 0.0) for other in (0, 1, 3) for _ in range(10)])
    pairs = [found.next_pair(np.random.default_rng(seed)) for seed in range(40)]
    assert all(one != other for one, other in pairs)
    assert sum(2 in pair for pair in pairs) < 4
    assert found.next_pair(np.random.default_rng(1)) == found.next_pair(np.random.default_rng(1))
    assert set(fit(ROWS[:2], []).next_pair(np.random.default_rng(0))) == {0, 1}


def test_the_plain_model_leaves_what_was_measured_out() -> None:
    found = fit(ROWS, [], leans=False)
    assert found.strength == pytest.approx(0) and found.order == [0, 1, 2, 3]


@pytest.mark.parametrize("vote", [Vote(0, 4, 1.0), Vote(-1, 0, 1.0), Vote(2, 2, 0.5)])
def test_a_vote_about_no_pair_is_refused(vote: Vote) -> None:
    with pytest.raises(ValueError, match="between two of 4 rows"):
        fit(ROWS, [vote])
