"""`python -m benchmarks.learn_from`: what earlier studies bring where they are right, and cost where they are wrong.

Searches of the default space, trial by trial as a study draws them, with a closed form for the score: it has its best
at one learning rate of layers, with one optimizer, and falls off around it; the judge's noise is added. Earlier studies
are searches of twelve trials of the same form whose best lies at the same place, somewhat off, or where this one is
worst. What is printed is the true score of the best trial by score, the mean over `--seeds` searches and its
standard error, beside searches that know of none.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, stdev
from typing import Final

import numpy as np

from benchmarks.judge_trials.report import table
from sweeper.search.dimension import Numbers, Params
from sweeper.search.evidence import Evidence
from sweeper.search.space import Plan, plan
from sweeper.search.study import Search

NOISE: Final = 5.0
"""Standard deviation of the judge, points."""
SEEN: Final = (6, 9, 12, 18)
"""Trials after which a search is looked at."""
EARLIER_TRIALS: Final = 12


@dataclass(frozen=True, kw_only=True, slots=True)
class World:
    """A closed form of the default space's score, 0 to 100."""

    place: float
    """Of the best rate in each optimizer's range, 0 to 1 in the logarithm."""
    best: str
    """The optimizer that does best."""

    def score(self, params: Params, request: Plan) -> float:
        """The true score of a trial."""
        optimizer = str(params["optimizer"])
        rate = next(each for each in request.space.counting(params) if each.name.startswith(f"optimizer={optimizer}:"))
        domain, value = rate.domain, params[rate.name]
        assert isinstance(domain, Numbers) and isinstance(value, float)
        at = math.log(value / domain.low) / math.log(domain.high / domain.low)
        of_rate = math.exp(-((at - self.place) ** 2) / (2 * 0.2**2))
        of_rank = 1 - 0.04 * abs(math.log2(float(str(params["adapter.rank"])) / 16))
        of_targets = 1.0 if params["adapter.targets"] == "attention+ff" else 0.92
        return 100 * (1.0 if optimizer == self.best else 0.75) * of_rate * of_rank * of_targets


HERE: Final = World(place=0.7, best="adamw8bit")
EARLIER: Final[Mapping[str, Sequence[World]]] = {
    "none": (),
    "the same": (HERE,),
    "near": (World(place=0.6, best="adamw8bit"),),
    "wrong": (World(place=0.1, best="lion"),),
    "the same and wrong": (HERE, World(place=0.1, best="lion")),
}


def searched(request: Plan, world: World, trials: int, seed: int, earlier: Sequence[Evidence] = ()) -> list[Params]:
    """Draw so many trials one after another, each told its noisy score; the parameters of the best by score so far."""
    study = replace(request.config.study, seed=seed, num_trials=trials)
    search = Search.open(replace(request.config, study=study), request.space, earlier=earlier)
    noise, top = np.random.default_rng(seed), -math.inf
    best: list[Params] = []
    for _ in range(trials):
        number, params = search.ask()
        score = world.score(params, request) + NOISE * float(noise.standard_normal())
        search.tell_complete(number, score)
        best.append(params if score > top else best[-1])
        top = max(top, score)
    return best


def evidence_of(request: Plan, world: World, seed: int, name: str) -> Evidence:
    """What an earlier study of another world says."""
    study = replace(request.config.study, seed=seed + 1000)
    search = Search.open(replace(request.config, study=study), request.space)
    noise = np.random.default_rng(seed + 1000)
    for _ in range(EARLIER_TRIALS):
        number, params = search.ask()
        search.tell_complete(number, world.score(params, request) + NOISE * float(noise.standard_normal()))
    ended = sorted(search.ended_trials(), key=lambda each: -(each.value or 0.0))
    return Evidence(name, tuple(each.params for each in ended))


def found(request: Plan, which: str, seed: int, trials: int = max(SEEN)) -> list[float]:
    """The true score of the best trial after each of SEEN up to `trials`, with the earlier studies called `which`."""
    earlier = [evidence_of(request, world, seed, str(number)) for number, world in enumerate(EARLIER[which])]
    best = searched(request, HERE, trials, seed, earlier)
    return [HERE.score(best[count - 1], request) for count in SEEN if count <= trials]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=40)
    request = plan(["+experiment=pencil", "study.recipes=null"])
    seeds = range(parser.parse_args().seeds)
    rows = []
    for which in EARLIER:
        scores = list(zip(*(found(request, which, seed) for seed in seeds), strict=True))
        cells = [f"{fmean(each):.1f} ± {stdev(each) / math.sqrt(len(each)):.1f}" for each in scores]
        rows.append([which, *cells])
    print(table(["earlier studies", *(f"{count} trials" for count in SEEN)], rows))


if __name__ == "__main__":
    main()
