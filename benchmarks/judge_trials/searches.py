"""What a budget of training steps buys: our study, searches that stop nothing, and a recipe without a search."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np

from benchmarks.judge_trials.courses import Course, read_courses
from benchmarks.judge_trials.policies import Replay, Stopped
from sweeper.search.dimension import Numbers
from sweeper.search.space import Plan
from sweeper.search.study import Search
from train.spec import AdapterSpec
from train.spec.layer_lr import LAYER_LR, layer_lr

BUDGET: Final = 8
"""Full courses that a search may pay for."""
REPLAYS: Final = 40

Strategy = Literal["our study", "random, nothing stopped", "TPE, nothing stopped"]
STRATEGIES: Final[Sequence[Strategy]] = ("our study", "random, nothing stopped", "TPE, nothing stopped")


def search(pool: Sequence[Course], strategy: Strategy, seed: int, request: Plan) -> float:
    """The true quality of what the strategy picks from the pool for its budget.

    Each proposal of the sampler is answered by the nearest trial of the pool that was not yet taken.
    """
    budget = BUDGET * pool[0].last_step
    proposals = _Proposals(pool, "random" if strategy.startswith("random") else "tpe", seed, request)
    policy = "ours" if strategy == "our study" else "nothing stopped"
    seen: list[Course] = []
    ended: list[Stopped] = []
    while len(seen) < len(pool):
        seen.append(proposals.next())
        ended = Replay(seen, policy, request.config).run()
        if sum(each.steps for each in ended) > budget:
            break
        (latest,) = [each for each in ended if each.course is seen[-1]]
        proposals.tell(latest.score)
    affordable = [each for each in ended if each.course in seen[:-1]] or ended
    return max(affordable, key=lambda each: each.score).quality


class _Proposals:
    """The study's own sampler over a pool of trials."""

    def __init__(self, pool: Sequence[Course], sampler: Literal["tpe", "random"], seed: int, request: Plan) -> None:
        study = replace(request.config.study, sampler=sampler, seed=seed, num_trials=1000)
        self._search = Search.open(replace(request.config, study=study), request.space)
        self._space = request.space
        self._left = list(pool)
        self._number = -1

    def next(self) -> Course:
        """The pool's answer to what the sampler proposes."""
        number, wanted = self._search.ask()
        self._search.tell_failed(number, "only a proposal")
        nearest = min(self._left, key=lambda course: distance(self._here(course.params), wanted))
        self._left.remove(nearest)
        self._number, _ = self._search.ask(self._here(nearest.params))
        return nearest

    def _here(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """The parameters as the space has them now; trials may be older than learning rates of layers."""
        adapter = AdapterSpec(rank=params["adapter.rank"], alpha_ratio=params["adapter.alpha_ratio"])
        known = {each.name: each.domain for each in self._space.dimensions}
        here = dict(params)
        for name in params:
            of_layers = f"{name.removesuffix(':lr')}:{LAYER_LR}"
            domain = known.get(of_layers)
            if name.endswith(":lr") and isinstance(domain, Numbers):
                here[of_layers] = min(max(layer_lr(here.pop(name), adapter), domain.low), domain.high)
        return here

    def tell(self, score: float) -> None:
        """Let the sampler learn from the last answer."""
        self._search.tell_complete(self._number, score)


def distance(one: Mapping[str, Any], other: Mapping[str, Any]) -> float:
    """How unlike two trials' parameters are: 1 for each choice that differs, the decades between two numbers."""
    total = 0.0
    for name in {*one, *other}:
        a, b = one.get(name), other.get(name)
        if isinstance(a, float) and isinstance(b, float):
            total += min(1.0, abs(math.log10(a / b)))
        else:
            total += float(a != b)
    return total


def interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Mean, and the 5th and 95th percentile."""
    low, high = np.percentile(values, [5, 95])
    return float(np.mean(values)), float(low), float(high)


def recipe_qualities(file: Path, study: str) -> list[float]:
    """The true quality of each run of the recipe at its end."""
    return [course.checkpoints[-1].truth.quality for course in read_courses(file) if course.set == study]
