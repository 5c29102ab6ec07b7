"""A finalist's settings trained with several training seeds: which are best on average, and how far chance goes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from eval.evaluation import OF_THE_BASE, value_of
from sweeper.records.messages import Rescored
from sweeper.records.trials import Trial


@dataclass(frozen=True, kw_only=True, slots=True)
class Repeats:
    """The trainings of one finalist's settings, all judged with the same fresh prompts and seeds."""

    trial: int
    """The number of the finalist."""
    scores: Mapping[int, float]
    """Training by its number, the finalist's own first, to its fresh score; the base's own for one that left no
    checkpoint, since that is what a person would have of it."""
    prompt_scores: Sequence[Sequence[float]]
    """(R, P) what each prompt adds to these, by training; none where they are not of the same prompts."""
    best: int
    """The training with the best fresh score, a clean one before any other."""
    is_clean: bool
    """Whether that one is."""

    @property
    def mean(self) -> float:
        """The mean of the scores."""
        return fmean(self.scores.values())

    @property
    def seed_sd(self) -> float:
        """Standard deviation of the scores over the training seeds; NaN with one."""
        return stdev(self.scores.values()) if len(self.scores) > 1 else math.nan

    @property
    def prompt_means(self) -> list[float]:
        """(P,) the mean over the trainings of what each prompt adds."""
        return [fmean(column) for column in zip(*self.prompt_scores, strict=True)]

    @property
    def prompt_se(self) -> float:
        """Standard error of the mean over the prompts; NaN with fewer than two."""
        means = self.prompt_means
        return stdev(means) / math.sqrt(len(means)) if len(means) > 1 else math.nan

    @property
    def numbers(self) -> dict[str, float]:
        """The mean and both spreads, by name."""
        return {"mean": self.mean, "seed_sd": self.seed_sd, "prompt_se": self.prompt_se}


def repeats_of(trainings: Sequence[Trial], rescored: Mapping[int, Rescored]) -> Repeats:
    """The repeats of a finalist: its own training first, then the others; `rescored` has those with a checkpoint."""
    judged = {each.number: rescored[each.number].evaluation for each in trainings if each.number in rescored}
    prompts = max((len(each.prompt_scores) for each in judged.values()), default=0)
    rows = [
        judged[each.number].prompt_scores if each.number in judged else (OF_THE_BASE,) * prompts for each in trainings
    ]
    best = min((each for each in trainings if each.number in judged), key=lambda each: _rank(each, rescored))
    return Repeats(
        trial=trainings[0].number,
        scores={
            each.number: value_of(judged[each.number]) if each.number in judged else OF_THE_BASE for each in trainings
        },
        prompt_scores=rows if {len(row) for row in rows} == {prompts} else (),
        best=best.number,
        is_clean=best.is_clean(judged[best.number]),
    )


def best_first(settings: Sequence[Repeats]) -> list[Repeats]:
    """By the mean of their scores, those with a clean training before any other."""
    return sorted(settings, key=lambda each: (not each.is_clean, -each.mean, each.trial))


def _rank(trial: Trial, rescored: Mapping[int, Rescored]) -> tuple[bool, float, int]:
    evaluation = rescored[trial.number].evaluation
    return not trial.is_clean(evaluation), -value_of(evaluation), trial.number
