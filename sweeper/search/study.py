"""One study in Optuna: ask for trials, tell what came of them, take up what an earlier run left."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

import optuna
from optuna.trial import FrozenTrial, TrialState

from foundation.errors import StudyError
from sweeper.config import Config
from sweeper.dimension import Params, Space, Value
from sweeper.search.database import SCORE, open_study, score_of
from sweeper.search.sampling import refuse_endless_grid, sampler_of, suggest

Status = Literal["finished", "pruned", "failed"]

_STATUS: Final[Mapping[TrialState, Status]] = {
    TrialState.COMPLETE: "finished",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
}
_REASON: Final = "reason"
_REPORTED: Final = "score at step "
"""Begins the names under which a study of several objectives notes its trials' scores."""
_VOID: Final = "void"
"""Marks trials that were never trained: drawn twice, or half drawn when the process died. They count for nothing."""
_OVERFIT: Final = "constraints:overfit"
"""Where `Trial.set_constraint("overfit", …)` notes a constraint. That can be called only on the object that `ask`
gave, which a resumed study has no more."""
_MAX_DRAWS: Final = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class Past:
    """A trial that has ended."""

    number: int
    params: Params
    status: Status
    value: float | None
    """Its score. Of a pruned trial the last reported; None without any."""
    reason: str
    """Why it ended."""
    reported: Mapping[int, float] = field(default_factory=dict)
    """Step to score of every evaluation that was noted."""

    def verdict_at(self, step: int) -> tuple[Status, str] | None:
        """How it ended, and why, once it is as far again as it was judged; None before."""
        return (self.status, self.reason) if step >= max(self.reported, default=0) else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Left:
    """A trial that an earlier run left unfinished: it goes on under its number."""

    number: int
    params: Params


class Search:
    """One study in Optuna. `open` it; every trial that is asked for is told once."""

    def __init__(self, study: optuna.Study, space: Space, config: Config) -> None:
        self._study = study
        self._storage = study._storage  # intermediate values and attributes by number: Optuna offers them only here
        self._space = space
        self._spec = config.study
        self._void_half_drawn()

    @classmethod
    def open(
        cls, config: Config, space: Space, database: Path | None = None, pictures: Mapping[str, str] | None = None
    ) -> Search:
        """Create the study `config.study.name`, or resume it.

        `database` is an SQLite file, made when missing; None keeps the study in memory. `pictures` tells by name what
        the trials learn from and are judged by.

        Raises:
            StudyError: the study exists with another config, space or data, or the file is no database of Optuna's.
        """
        refuse_endless_grid(config.study, space)
        study = open_study(config, space, database, pictures or {})
        return cls(study, space, config)

    def ask(self) -> tuple[int, Params]:
        """Draw the next trial: its number and parameters, different from those of every other trial.

        Raises:
            StudyError: every point of a finite space has been drawn.
        """
        for _ in range(_MAX_DRAWS):
            if self._spec.sampler == "grid":
                self._study.enqueue_trial(self._untried()[0])
            number, params = self._draw()
            same = next((each.number for each in self._real() if each.params == params and each.number != number), None)
            if same is None:
                return number, params
            self._void(number, f"drawn twice: the same as trial {same}")
            if self._space.is_finite():
                untried = self._untried()
                self._study.enqueue_trial(untried[random.Random(f"{self._spec.seed} {number}").randrange(len(untried))])
        raise StudyError(
            f"the sampler drew nothing new in {_MAX_DRAWS} draws; widen the space or lower study.num_trials"
        )

    def enqueue(self, params: Mapping[str, Value]) -> None:
        """Have one of the next trials take these values; the sampler draws what is left open."""
        self._study.enqueue_trial(dict(params))

    def report(self, number: int, step: int, score: float) -> None:
        """Note a running trial's score at a step; a score noted before for that step is replaced.

        In a study of several objectives as an attribute: Optuna's sampler compares what pruned trials have reported,
        which it refuses there.
        """
        if self._spec.has_front:
            self._storage.set_trial_user_attr(self._id(number), f"{_REPORTED}{step}", score)
        else:
            self._storage.set_trial_intermediate_value(self._id(number), step, score)

    def constrain(self, number: int, excess: float) -> None:
        """Note how far a running trial's checkpoint is from being clean: at most 0 is, and may be on the front."""
        self._storage.set_trial_system_attr(self._id(number), _OVERFIT, excess)

    def tell_complete(self, number: int, score: float, reason: str = "", values: Sequence[float] = ()) -> None:
        """End a trial with the score of its best checkpoint, and the objectives' values where there are several.

        All of them must be finite numbers.
        """
        trial_id = self._id(number)
        self._storage.set_trial_user_attr(trial_id, _REASON, reason)
        if self._spec.has_front:
            self._storage.set_trial_user_attr(trial_id, SCORE, score)
            self._study.tell(number, values)
        else:
            self._study.tell(number, score)

    def tell_pruned(self, number: int, reason: str) -> None:
        """End a trial early, without a checkpoint worth keeping; the last reported score stands for it."""
        self._storage.set_trial_user_attr(self._id(number), _REASON, reason)
        self._study.tell(number, state=TrialState.PRUNED)

    def tell_failed(self, number: int, reason: str) -> None:
        """End a trial that could not be trained."""
        self._storage.set_trial_user_attr(self._id(number), _REASON, reason)
        self._study.tell(number, state=TrialState.FAIL)

    def ended(self) -> list[Past]:
        """Every trial that has ended, in order of number."""
        return [_past(each) for each in self._real() if each.state.is_finished()]

    def running(self) -> list[Left]:
        """Every trial that was asked for and not told, in order of number: after a crash, what goes on."""
        running = [each for each in self._real() if each.state == TrialState.RUNNING]
        return [Left(number=each.number, params=dict(each.params)) for each in running]

    @property
    def started(self) -> bool:
        """Whether any trial was asked for or put in line before."""
        return bool(self._study.get_trials(deepcopy=False))

    @property
    def num_finished(self) -> int:
        """Trials that count towards `study.num_trials`: finished, pruned and failed."""
        return len(self.ended())

    def front(self) -> list[int]:
        """The Pareto front: finished clean trials that no other beats, in order of number; none with one objective."""
        return [each.number for each in self._study.best_trials] if self._spec.has_front else []

    def _draw(self) -> tuple[int, Params]:
        # A sampler for each draw: what it draws depends on the trials before, not on when the study was resumed.
        self._study.sampler = sampler_of(self._spec, len(self._study.get_trials(deepcopy=False)))
        trial = self._study.ask()
        params: Params = {}
        for dimension in self._space.dimensions:
            if dimension.counts(params):
                params[dimension.name] = suggest(trial, dimension)
        return trial.number, params

    def _untried(self) -> list[Params]:
        tried = [each.params for each in self._real()]
        untried = [point for point in self._space.points() if point not in tried]
        if not untried:
            raise StudyError("every point of the space has been tried; widen the space or lower study.num_trials")
        return untried

    def _void(self, number: int, why: str) -> None:
        self._storage.set_trial_user_attr(self._id(number), _VOID, why)
        self._study.tell(number, state=TrialState.FAIL)

    def _void_half_drawn(self) -> None:
        for each in self.running():
            if set(each.params) != {dimension.name for dimension in self._space.counting(each.params)}:
                self._void(each.number, "half drawn when the process ended")

    def _real(self) -> list[FrozenTrial]:
        """Trials that were or are being trained."""
        trials = self._study.get_trials(deepcopy=False)
        return [each for each in trials if each.state != TrialState.WAITING and _VOID not in each.user_attrs]

    def _id(self, number: int) -> int:
        return self._study.get_trials(deepcopy=False)[number]._trial_id


def _past(trial: FrozenTrial) -> Past:
    return Past(
        number=trial.number,
        params=dict(trial.params),
        status=_STATUS[trial.state],
        value=score_of(trial),
        reason=str(trial.user_attrs.get(_REASON, "")),
        reported=_reported(trial),
    )


def _reported(trial: FrozenTrial) -> dict[int, float]:
    noted = {
        int(name.removeprefix(_REPORTED)): float(score)
        for name, score in trial.user_attrs.items()
        if name.startswith(_REPORTED)
    }
    return {**trial.intermediate_values, **noted}
