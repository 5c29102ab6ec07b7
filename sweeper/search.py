"""Optuna behind the few words that a study needs: ask, report, tell, and taking up what an earlier run left.

The only module that imports Optuna. One process uses it, in one thread; several trials may be running at once.
"""

from __future__ import annotations

import math
import random
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, cast

import numpy as np
import optuna
from optuna.exceptions import ExperimentalWarning, OptunaError
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from foundation.errors import StudyError
from sweeper.config import Config, PrunerSpec, StudySpec
from sweeper.dimension import Choices, Dimension, Params, Space, Value

Status = Literal["finished", "pruned", "failed"]

_STATUS: Final[Mapping[TrialState, Status]] = {
    TrialState.COMPLETE: "finished",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
}
_REASON: Final = "reason"
_VOID: Final = "void"
"""Marks trials that were never trained: drawn twice, or half drawn when the process died. They count for nothing."""
_MAX_DRAWS: Final = 100
_DIFFERENCES_SHOWN: Final = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Past:
    """A trial that has ended."""

    number: int
    params: Params
    status: Status
    value: float | None
    """What it was told with; of a pruned trial the last score reported, unless told otherwise. None without any."""
    reason: str
    """Why it ended."""


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
        self._random = random.Random(config.study.seed)
        self._void_half_drawn()

    @classmethod
    def open(cls, config: Config, space: Space, database: Path | None = None) -> Search:
        """Create the study `config.study.name`, or resume it.

        `database` is an SQLite file, made when missing; None keeps the study in memory.

        Raises:
            StudyError: the study exists with another config or space, or the file is no database of Optuna's.
        """
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        spec = config.study
        if spec.sampler == "grid" and not space.is_finite():
            continuous = ", ".join(each.name for each in space.dimensions if each.domain.values() is None)
            raise StudyError(f"study.sampler=grid takes no continuous dimension, got {continuous}; use choice or range")
        with _readable(database):
            storage = None if database is None else _sqlite(database)
            study = optuna.create_study(
                storage=storage, study_name=spec.name, direction=spec.direction, load_if_exists=True
            )
            asked = {"space": space.fingerprint(), "config": config.fingerprint()}
            _refuse_another(spec.name, study.user_attrs.get("asked", asked), asked)
            study.set_user_attr("asked", asked)
            with warnings.catch_warnings():
                # Grouped TPE is marked experimental; its version is pinned with Optuna's.
                warnings.simplefilter("ignore", ExperimentalWarning)
                study.sampler = _sampler(spec, len(study.get_trials(deepcopy=False)))
                study.pruner = _pruner(spec.pruner, every=config.eval.every, steps=config.train.steps)
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
                self._study.enqueue_trial(self._random.choice(self._untried()))
        raise StudyError(
            f"the sampler drew nothing new in {_MAX_DRAWS} draws; widen the space or lower study.num_trials"
        )

    def enqueue(self, params: Mapping[str, Value]) -> None:
        """Have one of the next trials take these values; the sampler draws what is left open."""
        self._study.enqueue_trial(dict(params))

    def report(self, number: int, step: int, value: float) -> None:
        """Note a running trial's score at a step; a score noted before for that step is replaced."""
        self._storage.set_trial_intermediate_value(self._id(number), step, value)

    def why_hopeless(self, number: int) -> str | None:
        """Why a running trial should end now, beside what others scored; None when it should go on."""
        trial = self._storage.get_trial(self._id(number))
        if self._still_rises(trial) or not self._study.pruner.prune(self._study, trial):
            return None
        step = trial.last_step
        finished = [each for each in self._real() if each.state == TrialState.COMPLETE]
        others = [each.intermediate_values[step] for each in finished if step in each.intermediate_values]
        if self._spec.pruner.name == "hyperband" or not others:
            return f"not among the best at step {step}"
        scores, maximize = list(trial.intermediate_values.values()), self._spec.direction == "maximize"
        best, side = (np.nanmax(scores), "below") if maximize else (np.nanmin(scores), "above")
        return f"best score {best:.4g} is {side} the median {np.nanmedian(others):.4g} of {len(others)} at step {step}"

    def _still_rises(self, trial: FrozenTrial) -> bool:
        """Whether the median must wait: a new best lately. Optuna's own patience takes any improvement for one."""
        spec = self._spec.pruner
        sign = 1 if self._spec.direction == "maximize" else -1
        scores = [sign * score for _, score in sorted(trial.intermediate_values.items()) if not math.isnan(score)]
        before, lately = scores[: -spec.patience - 1], scores[-spec.patience - 1 :]
        return spec.name == "median" and (not before or max(lately) - max(before) >= spec.min_improvement)

    def tell_complete(self, number: int, value: float, reason: str = "") -> None:
        """End a trial with the score of its best checkpoint, a finite number."""
        self._storage.set_trial_user_attr(self._id(number), _REASON, reason)
        self._study.tell(number, value)

    def tell_pruned(self, number: int, reason: str, value: float | None = None) -> None:
        """End a trial early, without a checkpoint worth keeping; `value` stands in for its last reported score."""
        trial_id = self._id(number)
        self._storage.set_trial_user_attr(trial_id, _REASON, reason)
        if value is None:
            self._study.tell(number, state=TrialState.PRUNED)
        else:
            self._storage.set_trial_state_values(trial_id, TrialState.PRUNED, [value])

    def tell_failed(self, number: int, reason: str) -> None:
        """End a trial that could not be trained."""
        self._storage.set_trial_user_attr(self._id(number), _REASON, reason)
        self._study.tell(number, state=TrialState.FAIL)

    def set_attr(self, number: int, key: str, value: Any) -> None:
        """Keep a JSON value with a running trial."""
        self._storage.set_trial_user_attr(self._id(number), key, value)

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

    def ranking(self) -> list[Past]:
        """The finished trials, best first; of equals the earlier."""
        sign = -1 if self._spec.direction == "maximize" else 1
        finished = [each for each in self.ended() if each.status == "finished"]
        return sorted(finished, key=lambda each: (sign * cast(float, each.value), each.number))

    def best(self) -> Past | None:
        """The best finished trial; None before any."""
        return next(iter(self.ranking()), None)

    def _draw(self) -> tuple[int, Params]:
        trial = self._study.ask()
        params: Params = {}
        for dimension in self._space.dimensions:
            if dimension.counts(params):
                params[dimension.name] = _suggest(trial, dimension)
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


def ranking_of(name: str, database: Path, direction: str) -> list[Params]:
    """The parameters of another study's finished trials, best first.

    Raises:
        StudyError: there is no such study, or none of its trials finished.
    """
    with _readable(database):
        there = optuna.get_all_study_names(_sqlite(database)) if database.exists() else []
        if name not in there:
            known = f"; there are {', '.join(sorted(there))}" if there else ""
            raise StudyError(f"study.narrow_from: {database.parent} holds no study {name}{known}")
        trials = optuna.load_study(study_name=name, storage=_sqlite(database)).get_trials(deepcopy=False)
    sign = -1 if direction == "maximize" else 1
    finished = [each for each in trials if each.state == TrialState.COMPLETE and each.value is not None]
    if not finished:
        raise StudyError(f"study.narrow_from: study {name} has no finished trial to start from")
    return [dict(each.params) for each in sorted(finished, key=lambda each: sign * cast(float, each.value))]


def _past(trial: FrozenTrial) -> Past:
    return Past(
        number=trial.number,
        params=dict(trial.params),
        status=_STATUS[trial.state],
        value=trial.value,
        reason=str(trial.user_attrs.get(_REASON, "")),
    )


def _suggest(trial: optuna.Trial, dimension: Dimension) -> Value:
    name, domain = dimension.name, dimension.domain
    if isinstance(domain, Choices):
        return trial.suggest_categorical(name, domain.of)
    if domain.integer:
        return trial.suggest_int(name, int(domain.low), int(domain.high), step=int(domain.step or 1), log=domain.log)
    return trial.suggest_float(name, domain.low, domain.high, step=domain.step, log=domain.log)


def _sampler(spec: StudySpec, num_drawn: int) -> optuna.samplers.BaseSampler:
    # A resumed study must not draw its first trials again: the seed moves on with the trials that exist.
    seed = int(np.random.SeedSequence([spec.seed, num_drawn]).generate_state(1)[0])
    if spec.sampler == "tpe":
        # group: parameters that depend on an option are modelled with that option. constant_liar: trials that run
        # at the same time count as bad until told, so that they are not drawn beside each other.
        return optuna.samplers.TPESampler(
            seed=seed, n_startup_trials=spec.startup_trials, multivariate=True, group=True, constant_liar=True
        )
    return optuna.samplers.RandomSampler(seed=seed)


def _pruner(spec: PrunerSpec, *, every: int, steps: int) -> optuna.pruners.BasePruner:
    """`every`: steps between evaluations; `steps`: of a whole trial."""
    warmup = spec.warmup_evaluations * every
    if spec.name == "median":
        return optuna.pruners.MedianPruner(n_startup_trials=spec.startup_trials, n_warmup_steps=warmup + 1)
    if spec.name == "hyperband":
        least = min(max(warmup, every), steps)
        return optuna.pruners.HyperbandPruner(
            min_resource=least, max_resource=steps, reduction_factor=spec.reduction_factor
        )
    return optuna.pruners.NopPruner()


def _sqlite(database: Path) -> optuna.storages.RDBStorage:
    database.parent.mkdir(parents=True, exist_ok=True)
    return optuna.storages.RDBStorage(f"sqlite:///{database}", engine_kwargs={"connect_args": {"timeout": 60}})


@contextmanager
def _readable(database: Path | None) -> Iterator[None]:
    try:
        yield
    except (SQLAlchemyError, OptunaError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise StudyError(f"{database} cannot be used as the study's database: {reason}; move it away") from error


def _refuse_another(name: str, was: Mapping[str, Mapping[str, str]], now: Mapping[str, Mapping[str, str]]) -> None:
    differences = [
        f"{key} was {was[part].get(key, 'absent')}, is now {now[part].get(key, 'absent')}"
        for part in now
        for key in {**was[part], **now[part]}
        if was[part].get(key) != now[part].get(key)
    ]
    if differences:
        more = f" and {len(differences) - _DIFFERENCES_SHOWN} more" if len(differences) > _DIFFERENCES_SHOWN else ""
        raise StudyError(
            f"study {name} exists and is another one: {'; '.join(differences[:_DIFFERENCES_SHOWN])}{more}; "
            "set study.name to a new name, or ask for what it was to resume it"
        )
