"""Replays of a study from courses that ran to their end: what each pruning policy would have stopped, and when."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Literal

import numpy as np
import optuna
from optuna.exceptions import ExperimentalWarning

from benchmarks.judge_trials.courses import Course
from benchmarks.judge_trials.rejudge import rejudge
from eval.evaluation import Evaluation, value_of
from eval.spec import EvalSpec
from sweeper.records.config import Config
from sweeper.records.trials import Trial, best_checkpoint
from sweeper.study.verdicts import verdict_on

SLOTS: Final = 4


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


@dataclass(slots=True)
class _Running:
    """A course in a replay: as Optuna knows it, and as the study's supervisor does."""

    course: Course
    of_optuna: optuna.Trial
    trial: Trial


@dataclass(slots=True)
class Replay:
    """One replay of a study over courses in their order: `SLOTS` at a time, each an evaluation after the other."""

    courses: Sequence[Course]
    policy: str
    config: Config
    _study: optuna.Study = field(init=False)
    _trials: list[Trial] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        steps = [point.evaluation.step for point in self.courses[0].checkpoints]
        pruner = _PRUNERS[self.policy](steps) if self.policy in _PRUNERS else optuna.pruners.NopPruner()
        order = "/".join(str(course.trial) for course in self.courses)  # Hyperband draws its brackets from the name
        self._study = optuna.create_study(direction="maximize", pruner=pruner, study_name=order)

    def run(self) -> list[Stopped]:
        """All courses as the policy cut them, in the order in which they ended."""
        ended: list[Stopped] = []
        running: list[_Running] = []
        waiting = list(self.courses)
        while waiting or running:
            while waiting and len(running) < SLOTS:
                running.append(self._admit(waiting.pop(0)))
            for each in list(running):
                self._advance(each)
                made = each.trial.evaluations
                if len(made) == len(each.course.checkpoints) or self._ends(each):
                    running.remove(each)
                    ended.append(self._end(each))
        return ended

    def _admit(self, course: Course) -> _Running:
        trial = Trial(
            number=len(self._trials),
            params=course.params,
            spec=replace(self.config.trial, train=replace(self.config.train, steps=course.last_step)),
            folder=Path(),
            clean=self.config.eval.thresholds.clean,
            status="running",
        )
        self._trials.append(trial)
        return _Running(course, self._study.ask(), trial)

    def _advance(self, each: _Running) -> None:
        made = each.trial.evaluations
        judged = rejudge(each.course.checkpoints[len(made)].evaluation, made, self.config.eval)
        made.append(judged)
        each.of_optuna.report(value_of(judged), judged.step)

    def _ends(self, each: _Running) -> bool:
        if (study := _JUDGED.get(self.policy)) is not None:
            pruner = replace(self.config.study.pruner, name=study)
            config = replace(self.config, study=replace(self.config.study, pruner=pruner))
            return verdict_on(each.trial, self._trials, config) is not None
        return each.of_optuna.should_prune()

    def _end(self, each: _Running) -> Stopped:
        stopped = Stopped(each.course, each.trial.evaluations, choose(each.trial.evaluations, self.config.eval))
        each.trial.status = "finished" if self._counts(each) else "pruned"
        self._study.tell(each.of_optuna, stopped.score)
        return stopped

    def _counts(self, each: _Running) -> bool:
        """Whether the study would call it finished: it came to its end, or turned after a checkpoint worth keeping."""
        if len(each.trial.evaluations) == len(each.course.checkpoints):
            return True
        verdict = verdict_on(each.trial, self._trials, self.config)
        return verdict is not None and verdict[0] == "finished"


PAIRED: Final = "ours, wilcoxon"
"""It compares prompt by prompt, so it needs evaluations without screening at a few of them."""
_JUDGED: Final[Mapping[str, Literal["median", "wilcoxon", "none"]]] = {
    "ours": "median",
    PAIRED: "wilcoxon",
    "the judge's verdicts alone": "none",
}
"""Policies that are the study's own, by the pruner beside the judge's verdicts."""
_STARTUP: Final = 4
_WARMUP: Final = 2


def _median(steps: Sequence[int]) -> optuna.pruners.BasePruner:
    return optuna.pruners.MedianPruner(n_startup_trials=_STARTUP, n_warmup_steps=steps[_WARMUP - 1] + 1)


def _patient(steps: Sequence[int]) -> optuna.pruners.BasePruner:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return optuna.pruners.PatientPruner(_median(steps), patience=1)


def _hyperband(steps: Sequence[int]) -> optuna.pruners.BasePruner:
    least = steps[_WARMUP - 1]
    return optuna.pruners.HyperbandPruner(min_resource=least, max_resource=steps[-1], reduction_factor=3)


_PRUNERS: Final[Mapping[str, Callable[[Sequence[int]], optuna.pruners.BasePruner]]] = {
    "Optuna's median": _median,
    "Optuna's patient median": _patient,
    "Optuna's hyperband": _hyperband,
}
"""Optuna's own pruners over the same scores."""

POLICIES: Final = (*_JUDGED, *_PRUNERS, "nothing stopped")


def choose(evaluations: Sequence[Evaluation], spec: EvalSpec) -> int:
    """The checkpoint that a study keeps of a trial."""
    best = best_checkpoint(evaluations, spec.thresholds.clean)
    assert best is not None
    return list(evaluations).index(best)


def in_random_order(courses: Sequence[Course], seed: int, count: int | None = None) -> list[Course]:
    """`count` of them (all for None) by lot."""
    order = np.random.default_rng(seed).permutation(len(courses))
    return [courses[i] for i in order[:count]]
