"""How many votes it takes until what is liked best is found: simulated voters over trials whose truth is known.

    python -m benchmarks.votes [--voters 50] [--votes 60]

A study is a set of docs/judge_trials.jsonl: six trials, of each its best checkpoint by the judge. A voter likes

    wayᵃ · shown²ᵇ · (1 − copied)ᶜ + 0.1 · d · (1 − validation ratio)

of the truth, not of what the judge measured, with a, b, c, d log-uniform between ⅓ and 3; says "alike" where two
differ by less than 1 % of the best; and gives the wrong answer to one question in five. Printed is the share of studies
and voters for whom the checkpoint that leads is within 2 % of the one that the voter likes best: with pairs asked as
the page asks them, with pairs at random, with the plain model that knows nothing of what was measured, and by the
judge alone, which is no vote at all.
"""

from __future__ import annotations

import argparse
import math
import statistics
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.judge_trials.courses import Course, read_courses
from eval.aims import MAX_RATIO
from eval.preference import Vote, features_of, fit
from foundation.console import say

TRIALS: Final = Path(__file__).parents[1] / "docs" / "judge_trials.jsonl"
MARKS: Final = (0, 10, 20, 30, 40, 60)
NEAR: Final = 0.02
_ALIKE: Final = 0.01
_WRONG: Final = 0.2
_SPREAD: Final = math.log(3)


@dataclass(frozen=True, slots=True)
class Study:
    """What is voted on."""

    name: str
    features: list[list[float]]
    """(N, 4) as the judge measured them."""
    truth: np.ndarray
    """(N, 4): way, shown, not copied, and what the validation loss fell by."""


@dataclass(frozen=True, slots=True)
class Way:
    """How pairs are asked, and what is known beforehand."""

    name: str
    at_random: bool = False
    leans: bool = True


WAYS: Final = (Way("as the page asks"), Way("at random", at_random=True), Way("plain model", leans=False))


@dataclass(frozen=True, slots=True)
class Outcome:
    """One voter's one study."""

    regrets: list[float]
    """After 0, 1, 2 … votes: how much less the leader is liked than the best, as a share of the best."""
    enough: int | None
    """After how many votes the model said that it is enough; None: never."""


def studies_in(file: Path) -> list[Study]:
    """Return the sets of a file of courses as studies: of each trial the checkpoint that scored best."""
    by_set: dict[str, list[Course]] = {}
    for course in read_courses(file):
        by_set.setdefault(course.set, []).append(course)
    found = []
    for name, courses in by_set.items():
        best = [max(each.checkpoints, key=lambda point: point.evaluation.score) for each in courses]
        features = [features_of(point.evaluation.metrics) for point in best]
        truth = [
            (max(0.0, point.truth.way), point.truth.shown, 1 - point.truth.copied, _gain(point.evaluation.metrics))
            for point in best
        ]
        found.append(Study(name, features, np.array(truth)))
    return found


def _gain(metrics: Mapping[str, float]) -> float:
    return 1 - min(metrics["val_ratio"], MAX_RATIO)


def vote(study: Study, way: Way, voter: int, count: int) -> Outcome:
    """Return what comes of a voter's `count` votes on a study; the same numbers give the same answers."""
    rng = np.random.default_rng([voter, zlib.crc32(study.name.encode())])
    worth = _worth(study.truth, np.exp(rng.uniform(-_SPREAD, _SPREAD, 4)))
    best, votes, enough = float(worth.max()), list[Vote](), None
    liking = fit(study.features, votes, leans=way.leans)
    regrets = [1 - float(worth[liking.order[0]]) / best]
    for number in range(1, count + 1):
        one, other = rng.choice(len(worth), 2, replace=False) if way.at_random else liking.next_pair(rng)
        gap = float(worth[one] - worth[other]) / best
        right = float(gap > 0)
        share = 0.5 if abs(gap) < _ALIKE else 1 - right if rng.random() < _WRONG else right
        votes.append(Vote(int(one), int(other), share))
        liking = fit(study.features, votes, leans=way.leans)
        regrets.append(1 - float(worth[liking.order[0]]) / best)
        enough = number if enough is None and liking.is_enough() else enough
    return Outcome(regrets, enough)


def _worth(truth: np.ndarray, weights: np.ndarray) -> np.ndarray:
    way, shown, own, gain = truth.T
    aim, prompt, copies, loss = weights
    return np.asarray(way**aim * shown ** (2 * prompt) * own**copies + 0.1 * loss * gain)


def report(way: Way, outcomes: Sequence[Outcome]) -> list[str]:
    """Return a way's line of the table, and one on when it said that it is enough."""
    marks = [mark for mark in MARKS if mark < len(outcomes[0].regrets)]
    shares = [statistics.fmean(each.regrets[mark] <= NEAR for each in outcomes) for mark in marks]
    means = [statistics.fmean(each.regrets[mark] for each in outcomes) for mark in marks]
    cells = [f"{100 * share:.0f} % ({100 * mean:.1f})" for share, mean in zip(shares, means, strict=True)]
    said = [each for each in outcomes if each.enough is not None]
    lines = [f"| {way.name} | {' | '.join(cells)} |"]
    if said:
        median = statistics.median(each.enough or 0 for each in said)
        right = statistics.fmean(each.regrets[each.enough or 0] <= NEAR for each in said)
        lines.append(
            f"{way.name}: {100 * len(said) / len(outcomes):.0f} % said enough, after {median:.0f} votes in the median, "
            f"and {100 * right:.0f} % of them were within {100 * NEAR:g} % then"
        )
    return lines


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--voters", type=int, default=50, help="voters for each study")
    parser.add_argument("--votes", type=int, default=60, help="votes of each")
    asked = parser.parse_args()
    studies = studies_in(TRIALS)
    say(
        f"{len(studies)} studies, {asked.voters} voters each; share within 2 % of the best (mean regret, %) after votes"
    )
    marks = [str(mark) for mark in MARKS if mark <= asked.votes]
    say(f"| pairs | {' | '.join(marks)} |", f"| --- |{' ---: |' * len(marks)}")
    for way in WAYS:
        outcomes = [vote(study, way, voter, asked.votes) for study in studies for voter in range(asked.voters)]
        say(*report(way, outcomes))


if __name__ == "__main__":
    main()
