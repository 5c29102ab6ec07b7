"""Finalists in pairs, the same prompts with the same seeds, round by round: which is better, and which are alike."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Final

from eval.evaluation import Evaluation, value_of
from eval.strength import Gain
from sweeper.records.trainings import name_of
from sweeper.records.trials import Trial

SURE: Final = 2.0
"""Standard errors by which one must be better than another."""
NEAR: Final = 1.0
"""Standard errors within which a cheaper one is taken: the rule of `eval.selection`. The best by score is worth more
than one that lies further behind, though that is not sure yet."""

Judged = Mapping[int, Sequence[Evaluation]]
"""By training, what each round found of it; those that were surely worse are in no later round."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """What rounds of fresh seeds say of finalists."""

    best: int
    """The training with the best mean score, a clean one before any other."""
    winner: int
    """That one, or a cheaper one that is near it."""
    gains: Mapping[int, Gain]
    """Of the best over each other clean one, over the rounds that both were in."""
    rounds: int
    """How many there were."""
    prompts: int

    @property
    def open(self) -> list[int]:
        """Those that the best is not surely better than."""
        return [number for number, gain in self.gains.items() if not is_sure(gain)]

    @property
    def words(self) -> str:
        """Whether one is better, by how much, or which are alike and why this one is taken; empty for one alone."""
        if not self.gains:
            return ""
        nearest = max(self.gains, key=lambda number: (number in self.open, -self.gains[number].points))
        gain, name = self.gains[nearest], name_of(nearest)
        pairs = f"paired over {self.prompts} prompts with the same seeds in {_count(self.rounds, 'round')}"
        if not math.isfinite(gain.error):
            return f"Its lead over trial {name} is {gain.points:+.1f} points; how sure that is one prompt cannot tell."
        if not self.open:
            return (
                f"Trial {name_of(self.best)} is better than each of the others by more than two standard errors: "
                f"{gain} points above trial {name}, {pairs}."
            )
        alike = ", ".join(map(name_of, sorted((self.best, *self.open))))
        why = "the best score is taken, no cheaper one lies within one"
        if self.winner != self.best:
            why = f"of those within one trial {name_of(self.winner)} is taken, which is the cheapest"
        between = f"trial {name_of(self.best)} is {gain} points above trial {name}"
        return f"Trials {alike} are alike: none is better by two standard errors ({between}, {pairs}); {why}."


def is_sure(gain: Gain) -> bool:
    """Whether it is more than two standard errors; never where there is no error to be had."""
    return math.isfinite(gain.error) and gain.points > SURE * gain.error


def compare(trainings: Sequence[Trial], judged: Judged) -> Comparison:
    """Compare trainings by what rounds found of them; `judged` has those with a checkpoint, at least one."""
    there = [each for each in trainings if each.number in judged]
    clean = [each for each in there if _mean_index(judged[each.number]) < each.clean] or there
    longest = max(len(judged[each.number]) for each in clean)
    last = [each for each in clean if len(judged[each.number]) == longest]  # the others were surely worse than one
    best = max(last, key=lambda each: (_mean_score(judged[each.number]), -each.number))
    gains = {each.number: _gain(judged[best.number], judged[each.number]) for each in clean if each is not best}
    near = [each for each in last if each is best or _is_near(gains[each.number])]
    return Comparison(
        best=best.number,
        winner=min(near, key=cost).number,
        gains=gains,
        rounds=longest,
        prompts=len(judged[best.number][0].prompt_scores),
    )


def cost(trial: Trial) -> tuple[int, int]:
    """What a checkpoint took to train, to compare by: images seen, then the training's number, the earlier first."""
    assert trial.best is not None
    return trial.best.step * trial.spec.train.images_per_step, trial.number


def _gain(one: Sequence[Evaluation], other: Sequence[Evaluation]) -> Gain:
    """As `strength.gain`, over the rounds that both were in: prompt by prompt the mean over rounds."""
    pairs = list(zip(one, other, strict=False))
    points = fmean(value_of(mine) - value_of(its) for mine, its in pairs)
    lengths = {len(each.prompt_scores) for pair in pairs for each in pair}
    if len(lengths) != 1 or min(lengths) < 2:
        return Gain(points=points, error=math.nan)
    rows = [[a - b for a, b in zip(mine.prompt_scores, its.prompt_scores, strict=True)] for mine, its in pairs]
    differences = [fmean(column) for column in zip(*rows, strict=True)]
    return Gain(points=points, error=stdev(differences) / math.sqrt(len(differences)))


def _is_near(gain: Gain) -> bool:
    return math.isfinite(gain.error) and gain.points <= NEAR * gain.error


def _mean_score(evaluations: Sequence[Evaluation]) -> float:
    return fmean(map(value_of, evaluations))


def _mean_index(evaluations: Sequence[Evaluation]) -> float:
    return fmean(each.overfit_index for each in evaluations)


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
