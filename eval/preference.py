"""What a person likes, from votes between pairs: a Bradley–Terry model whose strengths lean on what was measured.

Each checkpoint i has a strength uᵢ, and of i and j the first is liked better with the chance

    λ + (1 − 2λ) · 1 / (1 + e^(uⱼ − uᵢ)),    λ = 0.1 for hands that slip

(Bradley & Terry 1952, Biometrika 39; "alike" is half a vote for each). Before any vote

    u = β · F · w + r,    w ~ N(1, σ²),  r ~ N(0, τ²)

where the rows of F are what the judge measured (`features_of`), so that w = 1 ranks as the judge does. With τ alone it
is the plain model with a Gaussian prior; with both, three votes about a strong style tell of all strong styles, and
what the numbers do not know is learned checkpoint by checkpoint (Gaussian-process preference learning, Chu &
Ghahramani 2005, ICML). Strengths and weights are the most likely ones; how sure they are is told by draws from the
posterior, by importance sampling round its mode, for a vote that may be a slip makes it lopsided. What w says of how a
person weighs the parts goes into `eval.taste`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from eval.aims import KEPT_WHOLE, MAX_RATIO, aim_of
from eval.taste import Taste

Array = NDArray[np.floating[Any]]

PARTS: Final = ("aim", "prompt", "copies", "loss")
"""The columns of F, and the fields of `Taste`."""
SLIP: Final = 0.1
_SCALE: Final = 2.0
"""β: a worth that is e times another is liked better with 88 %, slips aside."""
_WEIGHT_SD: Final = 1.0
"""σ: that a person weighs a part twice as the judge does, or not at all, is nothing odd."""
_REST_SD: Final = 1.5
"""τ: what the numbers do not know."""
_FLOOR: Final = 0.05
"""Shares below it count as this much: their logarithm says nothing."""
_PROMPT_POWER: Final = 2.0
_LOSS_POINTS: Final = 0.1
"""What the validation loss adds to a worth of 1: as in `eval.score`."""
_ALIKE: Final = 0.02
"""Worths that differ by less are as good: what `is_enough` and the proof in docs/judge.md go by."""
_SURE: Final = 0.8
"""Right in about nine of ten studies (docs/judge.md)."""
_DRAWS: Final = 4000
_FREEDOM: Final = 5
"""Degrees of freedom of what is drawn from: its tails hold those of the posterior."""
_TRIES: Final = 50


class Vote(NamedTuple):
    """One answer."""

    first: int
    second: int
    """Rows of F."""
    share: float
    """Of the vote that is the first's: 1, 0, or ½ where they are alike."""


def features_of(metrics: Mapping[str, float]) -> list[float]:
    """Return a row of F, (4,): logarithms of the parts that the score multiplies, and the loss's gain as it adds.

    `metrics` are an evaluation's; what was not measured counts as perfect.
    """
    aim = metrics.get(aim_of(metrics).metric, 1.0)
    kept = metrics.get("prompt_kept", 1.0) / KEPT_WHOLE
    copies, ratio = metrics.get("copies", 0.0), metrics.get("val_ratio", 1.0)
    ratio = min(ratio, MAX_RATIO) if math.isfinite(ratio) else MAX_RATIO
    return [_log(aim), _PROMPT_POWER * _log(kept), _log(1 - copies), _LOSS_POINTS * (1 - ratio)]


def _log(share: float) -> float:
    return math.log(min(max(share, _FLOOR), 1.0)) if math.isfinite(share) else math.log(_FLOOR)


@dataclass(frozen=True, slots=True)
class Liking:
    """What votes say of N checkpoints."""

    strength: Array
    """(N,) the most likely."""
    draws: Array
    """(D, N) from the posterior, each as likely as any other."""
    weights: Array
    """(4,) of `PARTS`, 1 as the judge weighs them."""
    weight_sd: Array
    """(4,)"""

    def of(self, count: int) -> Liking:
        """Return the same of the first `count` rows alone."""
        return replace(self, strength=self.strength[:count], draws=self.draws[:, :count])

    @property
    def order(self) -> list[int]:
        """The rows, the best liked first."""
        return [int(each) for each in np.argsort(-self.strength, kind="stable")]

    def worth(self) -> list[tuple[float, float, float]]:
        """Return for each row its worth as a share of the leader's, in percent, with the bounds of 95 %, (N, 3).

        Worths go by strengths as the judge's score does by its parts, so 80 is liked as a score of 80 beside 100; the
        leader's own is 100, and what is not sure is how far the others are from it.
        """
        lead = self.order[0]
        low, high = np.quantile(self.draws - self.draws[:, [lead]], (0.025, 0.975), axis=0)
        gaps = zip(self.strength - self.strength[lead], low, high, strict=True)
        return [(_percent(middle), _percent(least), _percent(most)) for middle, least, most in gaps]

    def chances(self) -> Array:
        """Return for each row the chance that it is liked best of all, (N,)."""
        return np.bincount(self.draws.argmax(1), minlength=len(self.strength)) / len(self.draws)

    def sureness(self) -> float:
        """Return the chance that no other is liked better than the leader by more than 2 %."""
        return float((self.draws.max(1) - self.draws[:, self.order[0]] <= _SCALE * _ALIKE).mean())

    def is_enough(self) -> bool:
        """Whether further votes would hardly change who leads."""
        return self.sureness() >= _SURE

    def next_pair(self, rng: np.random.Generator) -> tuple[int, int]:
        """Return the rows to ask about next: two that each may be the best, by draws from what is known.

        Top-two Thompson sampling (Russo 2016, COLT): most is asked about those that could still win.
        """
        bests = self.draws[rng.integers(len(self.draws), size=_TRIES)].argmax(1)
        first = int(bests[0])
        others = bests[bests != first]
        return first, int(others[0]) if len(others) else next(each for each in self.order if each != first)

    def taste(self) -> Taste:
        """Return the weights as `eval.taste` has them: none below 0, and as much in all for pictures as the judge's."""
        weights = np.clip(self.weights * self._share, 0.0, Taste.MOST)
        return Taste(**{name: round(float(each), 2) for name, each in zip(PARTS, weights, strict=True)})

    def taste_sd(self) -> list[float]:
        """Return the standard deviations of the same, (4,)."""
        return [float(each) for each in self.weight_sd * self._share]

    @property
    def _share(self) -> float:
        """What the weights are multiplied by to count for as much as the judge's: all to one power rank the same."""
        aim, prompt = np.clip(self.weights[:2], 0.0, None)
        whole = float(aim + _PROMPT_POWER * prompt) / (1 + _PROMPT_POWER)
        return 1 / whole if whole > 0 else 1.0


def _percent(gap: float) -> float:
    return 100 * math.exp(float(gap) / _SCALE)


def fit(features: Sequence[Sequence[float]], votes: Sequence[Vote], *, leans: bool = True) -> Liking:
    """Return what is known of checkpoints with these rows of F, (N, 4), after the votes; without any, the judge's view.

    `leans=False` leaves the measured parts out: the plain model, for comparison.

    Raises:
        ValueError: a vote names a row that is not there, or one row twice.
    """
    rows = np.asarray(features, np.float64).reshape(len(features), len(PARTS)) * float(leans)
    size = len(rows)
    for vote in votes:
        if not (0 <= vote.first < size and 0 <= vote.second < size and vote.first != vote.second):
            raise ValueError(f"a vote is between two of {size} rows, got {vote.first} and {vote.second}")
    prior = _SCALE * rows.sum(1)
    spread = (_SCALE * _WEIGHT_SD) ** 2 * rows @ rows.T + _REST_SD**2 * np.eye(size)
    precision = np.linalg.inv(spread)
    strength, curvature = _mode(prior, precision, votes)
    draws = _draws(strength, curvature, prior, precision, votes)
    # w given u is normal; its mean at the most likely u, its spread over all
    gain = _WEIGHT_SD**2 * _SCALE * rows.T @ precision  # (4, N)
    weights = 1 + gain @ (strength - prior)
    given = _WEIGHT_SD**2 * np.eye(len(PARTS)) - gain @ spread @ gain.T
    known = np.cov(draws @ gain.T, rowvar=False)
    return Liking(strength, draws, weights, np.sqrt(np.clip(np.diag(given + known), 0.0, None)))


def _mode(prior: Array, precision: Array, votes: Sequence[Vote]) -> tuple[Array, Array]:
    """The most likely strengths, (N,), and the precision there, (N, N), by Fisher scoring."""
    first, second, share = (np.array([vote[column] for vote in votes]) for column in range(3))
    strength, found = prior.copy(), precision
    for _ in range(100 if votes else 0):
        slope, weight = _likelihood(strength[first] - strength[second], share)
        pull = -precision @ (strength - prior)
        np.add.at(pull, first, slope)
        np.add.at(pull, second, -slope)
        found = precision.copy()
        for one, other, sign in ((first, first, 1), (second, second, 1), (first, second, -1), (second, first, -1)):
            np.add.at(found, (one, other), sign * weight)
        step = np.clip(np.linalg.solve(found, pull), -2.0, 2.0)
        strength = strength + step
        if np.abs(step).max() < 1e-9:
            break
    return strength, found


def _draws(strength: Array, curvature: Array, prior: Array, precision: Array, votes: Sequence[Vote]) -> Array:
    """Strengths from the posterior, (D, N): of a t distribution round the mode, weighed by how likely each is, and

    drawn again in proportion. The same votes give the same draws."""
    rng, size = np.random.default_rng(0), len(strength)
    root = np.linalg.cholesky(np.linalg.inv(curvature))
    normal = rng.standard_normal((_DRAWS, size))
    stretch = np.sqrt(_FREEDOM / rng.chisquare(_FREEDOM, _DRAWS))[:, None]
    found = strength + stretch * normal @ root.T
    log_proposal = -(_FREEDOM + size) / 2 * np.log1p(((stretch * normal) ** 2).sum(1) / _FREEDOM)
    off = found - prior
    log_weight = -np.einsum("di,ij,dj->d", off, precision, off) / 2 - log_proposal
    for vote in votes:
        chance = _chance(found[:, vote.first] - found[:, vote.second])
        log_weight += vote.share * np.log(chance) + (1 - vote.share) * np.log1p(-chance)
    weight = np.exp(log_weight - log_weight.max())
    places = (np.arange(_DRAWS) + 0.5) / _DRAWS  # systematic, which adds the least chance
    return np.asarray(found[np.searchsorted(np.cumsum(weight) / weight.sum(), places).clip(max=_DRAWS - 1)])


def _chance(gap: Array) -> Array:
    """That the first of two is liked better."""
    return SLIP + (1 - 2 * SLIP) / (1 + np.exp(-gap))


def _likelihood(gap: Array, share: Array) -> tuple[Array, Array]:
    """The slope of each vote's log-likelihood by its gap, and its Fisher information."""
    chance = _chance(gap)
    steep = (chance - SLIP) * (1 - SLIP - chance) / (1 - 2 * SLIP)
    return (share - chance) / (chance * (1 - chance)) * steep, steep**2 / (chance * (1 - chance))
