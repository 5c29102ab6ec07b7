"""Replays of a study from courses that ran to their end: what each pruning policy would have stopped, and when."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np
import optuna
from optuna.exceptions import ExperimentalWarning

from benchmarks.judge_trials.courses import Course
from benchmarks.judge_trials.rejudge import rejudged
from eval.evaluation import Evaluation
from eval.selection import earliest_within_one_standard_error
from eval.spec import EvalSpec
from sweeper.trials import diverged, value_of

Policy = Literal["ours", "judge alone", "median", "patient", "hyperband", "none"]
POLICIES: Final[Sequence[Policy]] = ("ours", "judge alone", "median", "patient", "hyperband", "none")
SLOTS: Final = 4
_STARTUP: Final = 4
_WARMUP: Final = 2
_PATIENCE: Final = 1
_LEAST_GAIN: Final = 1.0


@dataclass(frozen=True, slots=True)
class Stopped:
    """A course as a policy cut it."""

    course: Course
    evaluations: Sequence[Evaluation]
    """Those that were made, as the judge's thresholds see them."""
    chosen: int
    """Which of them is the checkpoint that would be kept."""

    @property
    def quality(self) -> float:
        """The chosen checkpoint's truth."""
        return self.course.checkpoints[self.chosen].truth.quality

    @property
    def score(self) -> float:
        """The chosen checkpoint's score."""
        return value_of(self.evaluations[self.chosen])

    @property
    def steps(self) -> int:
        """Training steps that were spent."""
        return self.evaluations[-1].step

    @property
    def best_kept(self) -> bool:
        """Whether it ran at least until its truly best checkpoint, or one within 2 % of that."""
        made = [point.truth.quality for point in self.course.checkpoints[: len(self.evaluations)]]
        return max(made) >= 0.98 * self.course.best


class Replay:
    """One replay of a study over courses in their order: `SLOTS` at a time, each an evaluation after the other."""

    def __init__(self, courses: Sequence[Course], policy: Policy, spec: EvalSpec) -> None:
        self._policy = policy
        self._spec = spec
        self._waiting = list(courses)
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._study = optuna.create_study(direction="maximize", pruner=_pruner(policy, courses[0]))

    def run(self) -> list[Stopped]:
        """All courses as the policy cut them, in the order in which they ended."""
        ended: list[Stopped] = []
        running: list[tuple[Course, optuna.Trial, list[Evaluation]]] = []
        while self._waiting or running:
            while self._waiting and len(running) < SLOTS:
                running.append((self._waiting.pop(0), self._study.ask(), []))
            for entry in list(running):
                course, trial, made = entry
                judged = rejudged(course.checkpoints[len(made)].evaluation, made, self._spec)
                made.append(judged)
                trial.report(value_of(judged), judged.step)
                if len(made) == len(course.checkpoints) or self._ends(trial, made):
                    running.remove(entry)
                    stopped = Stopped(course, made, choose(made, self._spec))
                    self._study.tell(trial, stopped.score)
                    ended.append(stopped)
        return ended

    def _ends(self, trial: optuna.Trial, made: Sequence[Evaluation]) -> bool:
        if self._policy == "none":
            return False
        if self._policy in ("ours", "judge alone"):
            last = made[-1]
            if last.overfit or last.past_best or diverged(made, self._spec.warmup_evaluations):
                return True
        if self._policy == "judge alone":
            return False
        if self._policy == "ours" and _still_rises(made):
            return False
        return trial.should_prune()


def choose(evaluations: Sequence[Evaluation], spec: EvalSpec) -> int:
    """The checkpoint that a study keeps of a trial."""
    return earliest_within_one_standard_error(
        [each.score for each in evaluations],
        [each.score_se for each in evaluations],
        [each.overfit_index for each in evaluations],
        spec.thresholds.clean,
    )


def in_random_order(courses: Sequence[Course], seed: int, count: int | None = None) -> list[Course]:
    """`count` of them (all for None) by lot."""
    order = np.random.default_rng(seed).permutation(len(courses))
    return [courses[i] for i in order[:count]]


def without_stops(spec: EvalSpec) -> EvalSpec:
    """The judge that never calls a trial overfit."""
    return replace(spec, warmup_evaluations=1000)


def _still_rises(made: Sequence[Evaluation]) -> bool:
    scores = [value_of(each) for each in made]
    before, lately = scores[: -_PATIENCE - 1], scores[-_PATIENCE - 1 :]
    return not before or max(lately) - max(before) >= _LEAST_GAIN


def _pruner(policy: Policy, course: Course) -> optuna.pruners.BasePruner:
    steps = [point.evaluation.step for point in course.checkpoints]
    median = optuna.pruners.MedianPruner(n_startup_trials=_STARTUP, n_warmup_steps=_WARMUP * steps[0] + 1)
    match policy:
        case "ours" | "median":
            return median
        case "patient":
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ExperimentalWarning)
                return optuna.pruners.PatientPruner(median, patience=_PATIENCE)
        case "hyperband":
            return optuna.pruners.HyperbandPruner(
                min_resource=_WARMUP * steps[0], max_resource=steps[-1], reduction_factor=3
            )
    return optuna.pruners.NopPruner()
