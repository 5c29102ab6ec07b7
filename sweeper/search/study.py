"""One study in Optuna: ask for trials, tell what came of them, take up what an earlier run left."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Final

import optuna
from optuna.trial import FrozenTrial, TrialState, create_trial

from foundation.errors import StudyError
from sweeper.records.config import Config
from sweeper.search.cma import GENERATION
from sweeper.search.database import SCORE, Database, first_of, keep_earlier, open_study, past_study, score_of
from sweeper.search.dimension import Params, Space
from sweeper.search.evidence import Evidence, as_trials, shown_of, turn_of
from sweeper.search.port import EndedTrial, EndStatus, UnfinishedTrial
from sweeper.search.sampling import (
    refuse_unfit,
    sampler_by_earlier,
    sampler_of,
    sampler_taken,
    suggest,
    with_lies,
)
from sweeper.search.window import ShownTrials, window_of

_STATUS: Final[Mapping[TrialState, EndStatus]] = {
    TrialState.COMPLETE: "finished",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
}
_IDENTITY: Final = "id"
_REASON: Final = "reason"
_PAUSED: Final = "paused"
_REPORTED: Final = "score at step "
"""Begins the names under which a study of several objectives notes its trials' scores."""
_VOID: Final = "void"
"""Marks trials that an older program drew and never trained. They count for nothing, but keep their numbers."""
_OVERFIT: Final = "constraints:overfit"
"""Where `Trial.set_constraint("overfit", …)` notes a constraint. That can be called only on the object that `ask`
gave, which a resumed study has no more."""
_RANGES: Final = "ranges"
"""The ends of ranges that were moved before the first trial, by dimension name."""
_MAX_DRAWS: Final = 100


class Search:
    """One study in Optuna. `open` it; every trial of `ask` goes to `tell` once."""

    kind = "trials"

    def __init__(self, study: optuna.Study, space: Space, config: Config, earlier: Sequence[Evidence] = ()) -> None:
        self._study = study
        self._storage = study._storage  # intermediate values and attributes by number: Optuna offers them only here
        self._space = space.with_ranges(study.user_attrs.get(_RANGES, {}))
        self._spec = config.study
        self._first = first_of(study)
        self._earlier = [each for each in earlier if each.points]
        self._complete_half_drawn()

    @classmethod
    def open(
        cls,
        config: Config,
        space: Space,
        database: Database | None = None,
        pictures: Mapping[str, str] | None = None,
        first: Sequence[Params] = (),
        earlier: Sequence[Evidence] = (),
    ) -> Search:
        """Create the study `config.study.name`, or resume it.

        `database` is an SQLite file, made when missing, or is on a server; None keeps the study in memory. `pictures`
        tells by name what the trials learn from and are judged by. `first` are values that the first trials of a new
        study take; the sampler draws what they leave open. `earlier` is what earlier studies say; a study that has
        drawn by such keeps what they said then.

        Raises:
            StudyError: the study exists with another config, space or data, or the database is none of Optuna's.
        """
        refuse_unfit(config.study, space)
        study = open_study(config, space, database, pictures or {}, first)
        return cls(study, space, config, keep_earlier(study, config.study.learn_from, earlier))

    def identity(self, otherwise: str) -> str:
        """The study's own for good, by which trackers know it: others may have its name.

        `otherwise` becomes it where it has none so far.
        """
        if _IDENTITY not in self._study.user_attrs:
            self._study.set_user_attr(_IDENTITY, otherwise)
        return str(self._study.user_attrs[_IDENTITY])

    def move(self, ranges: Mapping[str, tuple[float, float]]) -> None:
        """Draw from other ends of these ranges, by dimension name, from the first trial on and for good."""
        self._study.set_user_attr(_RANGES, {name: list(ends) for name, ends in ranges.items()})
        self._space = self._space.with_ranges(ranges)

    def ask(self, wanted: Params | None = None) -> tuple[int, Params]:
        """Draw the next trial: its number and parameters, different from those of every other trial.

        It takes the values that are `wanted`; the sampler draws what they leave open.

        What is drawn hangs on the trial's number and on the trials before, so a study that was killed anywhere draws
        as one that was not: a trial is in the database with all its parameters, or not at all.

        Raises:
            StudyError: every point of a finite space has been drawn.
        """
        number = len(self._study.get_trials(deepcopy=False))
        first = self._first[number] if number < len(self._first) else {}
        drawn = self._draw(number, wanted or first)
        self._study.add_trial(
            create_trial(
                state=TrialState.RUNNING,
                params=drawn.params,
                distributions=drawn.distributions,
                system_attrs={key: value for key, value in drawn.system_attrs.items() if key == GENERATION},
            )
        )
        return number, dict(drawn.params)

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

    def pause(self, number: int, reason: str) -> None:
        """Note that a running trial waits, and why; an empty reason: that it goes on."""
        self._storage.set_trial_user_attr(self._id(number), _PAUSED, reason)

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

    def ended_trials(self) -> list[EndedTrial]:
        """Every trial that has ended, in order of number."""
        return [_past(each) for each in self._real() if each.state.is_finished()]

    def running(self) -> list[UnfinishedTrial]:
        """Every trial that has not ended, in order of number: after a crash, what goes on."""
        running = [each for each in self._real() if each.state == TrialState.RUNNING]
        return [
            UnfinishedTrial(number=each.number, params=dict(each.params), paused=each.user_attrs.get(_PAUSED, ""))
            for each in running
        ]

    @property
    def has_trials(self) -> bool:
        """Whether there is any trial yet."""
        return bool(self._study.get_trials(deepcopy=False))

    @property
    def num_finished(self) -> int:
        """Trials that count towards `study.num_trials`: finished, pruned and failed."""
        return len(self.ended_trials())

    def front(self) -> list[int]:
        """The Pareto front: finished clean trials that no other beats, in order of number; none with one objective."""
        return [each.number for each in self._study.best_trials] if self._spec.has_front else []

    def _draw(self, number: int, wanted: Params) -> FrozenTrial:
        """The parameters of the trial with this number, drawn on a copy of the study in memory."""
        tried = [each.params for each in self._real()]
        untried = [point for point in self._space.points() if point not in tried] if self._space.is_finite() else []
        if self._space.is_finite() and not untried:
            raise StudyError("every point of the space has been tried; widen the space or lower study.num_trials")
        if self._spec.sampler == "grid":
            return self._draw_once(number, untried[0])
        for again in range(_MAX_DRAWS):
            drawn = self._draw_once(number, {} if again else wanted, again)
            if drawn.params not in tried:
                return drawn
            if untried:
                return self._draw_once(number, random.Random(f"{self._spec.seed} {number}").choice(untried))
        raise StudyError(
            f"the sampler drew nothing new in {_MAX_DRAWS} draws; widen the space or lower study.num_trials"
        )

    def _draw_once(self, number: int, fixed: Params, again: int = 0) -> FrozenTrial:
        """One draw with a sampler of its own; parameters that are `fixed` take these values."""
        before = self._study.get_trials(deepcopy=False)[:number]
        before = [each for each in before if each.state != TrialState.WAITING]
        sampler, earlier, point = self._proposer(number, before, again)
        fixed = fixed or ({} if again else point)
        trials, taken = ShownTrials(), sampler_taken(self._spec, self._space)
        copy = optuna.create_study(storage=trials, directions=self._spec.directions, sampler=sampler)
        trials.show(copy._study_id, earlier)
        before = window_of(before, taken, self._spec.directions)
        own = with_lies(before, self._spec.directions) if taken == "gp" else [_as_pruned(each) for each in before]
        trials.show(copy._study_id, own)
        if fixed:
            known = {each.name: each for each in self._space.dimensions}
            copy.enqueue_trial({name: known[name].nearest(value) for name, value in fixed.items() if name in known})
        trial, params = copy.ask(), Params()
        for dimension in self._space.dimensions:
            if dimension.counts(params):
                params[dimension.name] = suggest(trial, dimension)
        return copy.get_trials(deepcopy=False)[-1]

    def _proposer(
        self, number: int, before: Sequence[FrozenTrial], again: int
    ) -> tuple[optuna.samplers.BaseSampler, list[FrozenTrial], Params]:
        """Who draws a trial, what it sees of earlier studies beside the trials before, and the values that it takes."""
        if not self._earlier:
            return sampler_of(self._spec, self._space, number, again), [], {}
        sign, space, place = self._spec.sign, self._space, number - len(self._first)
        ended = [each for each in before if each.state in (TrialState.COMPLETE, TrialState.PRUNED)]
        own = [(dict(each.params), sign * score) for each in ended if (score := score_of(each)) is not None]
        if place >= 0 and number < self._spec.startup_trials:
            turn = turn_of(self._earlier, own, space, place)
            sampler = sampler_by_earlier(self._spec, number, again, by_trials=turn is not None)
            return sampler, as_trials([turn.study] if turn else [], own, space, sign), turn.point if turn else {}
        shown, taken = shown_of(self._earlier, own, space), sampler_taken(self._spec, space)
        if taken != "tpe":  # which alone takes trials that lack a dimension
            shown = [] if taken == "cmaes" else [each.within(space) for each in shown]
        return sampler_of(self._spec, space, number, again), as_trials(shown, own, space, sign), {}

    def _complete_half_drawn(self) -> None:
        """Draw what is missing of trials that an older program wrote parameter by parameter, when its process died."""
        for left in self.running():
            if set(left.params) != {dimension.name for dimension in self._space.counting(left.params)}:
                drawn = self._draw_once(left.number, left.params)
                for name in drawn.params.keys() - left.params.keys():
                    kind = drawn.distributions[name]
                    value = kind.to_internal_repr(drawn.params[name])
                    self._storage.set_trial_param(self._id(left.number), name, value, kind)

    def _real(self) -> list[FrozenTrial]:
        """Trials that were or are being trained."""
        return [each for each in self._study.get_trials(deepcopy=False) if _VOID not in each.user_attrs]

    def _id(self, number: int) -> int:
        return self._study.get_trials(deepcopy=False)[number]._trial_id


def _as_pruned(trial: FrozenTrial) -> FrozenTrial:
    """A paused trial as if it had ended where it waits, so that the sampler learns from it; any other as it is."""
    if trial.state != TrialState.RUNNING or not trial.user_attrs.get(_PAUSED):
        return trial
    return create_trial(
        state=TrialState.PRUNED,
        params=trial.params,
        distributions=trial.distributions,
        intermediate_values=trial.intermediate_values,
    )


def stored_trials(name: str, database: Database) -> tuple[list[EndedTrial], list[int]]:
    """The trials of a study that have ended, and the numbers of those that have not, without opening it for more.

    Raises:
        StudyError: the database holds no such study, or cannot be read.
    """
    real = [each for each in past_study(name, database)[1] if _VOID not in each.user_attrs]
    ended = [_past(each) for each in real if each.state.is_finished()]
    return ended, [each.number for each in real if each.state == TrialState.RUNNING]


def _past(trial: FrozenTrial) -> EndedTrial:
    return EndedTrial(
        number=trial.number,
        params=dict(trial.params),
        status=_STATUS[trial.state],
        value=score_of(trial),
        reason=str(trial.user_attrs.get(_REASON, "")),
        reported=_intermediate_values(trial),
    )


def _intermediate_values(trial: FrozenTrial) -> dict[int, float]:
    noted = {
        int(name.removeprefix(_REPORTED)): float(score)
        for name, score in trial.user_attrs.items()
        if name.startswith(_REPORTED)
    }
    return {**trial.intermediate_values, **noted}
