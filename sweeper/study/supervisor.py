"""The one process that owns a study: ask, admit, wait, judge, tell."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from eval.evaluation import Evaluation, value_of
from sweeper.launchers.port import Launcher
from sweeper.records import history
from sweeper.records.config import Config
from sweeper.records.messages import (
    Admitted,
    DeviceFailed,
    Died,
    Evaluated,
    Event,
    Failed,
    Finished,
    Ready,
    Stepped,
    Validated,
    Verdict,
)
from sweeper.records.paths import trial_of
from sweeper.records.trials import Resolved, Status, Trial
from sweeper.search.port import EndedTrial, TrialSource
from sweeper.study import trial_end as settling
from sweeper.study.budget import Budget
from sweeper.study.dealing import admission, deal
from sweeper.study.display import Display
from sweeper.study.extending import as_long_as
from sweeper.study.fleet import Fleet, WorkerState
from sweeper.study.judgements import Answer, Judgements, Question
from sweeper.study.lost import worth_training_again
from sweeper.study.resuming import what_was_left
from sweeper.study.suspects import Suspects
from sweeper.study.time_left import count_pictures
from sweeper.study.verdicts import verdict_on
from sweeper.study.waiting import WaitingTrials
from sweeper.tracking.port import Tracker

_TELLING: Final = (Evaluated, Finished, Failed, Died, DeviceFailed)  # a slot is free, or a paused trial may have hope


class Supervisor:
    """Feeds workers with trials and draws the consequences. Runs in one thread and holds all truth about the study.

    It takes trials from `search`, completes each one's settings with `resolve`, and gives them to the workers that
    `launcher` starts, or that are in `fleet` already. `config` is the study's, `folder` its place; `tracker` and
    `display` show it. `clock` is in seconds.
    """

    def __init__(
        self,
        config: Config,
        folder: Path,
        search: TrialSource,
        tracker: Tracker,
        launcher: Launcher,
        display: Display,
        resolve: Callable[[dict[str, object]], Resolved],
        clock: Callable[[], float] = time.monotonic,
        fleet: Fleet | None = None,
    ) -> None:
        self._config = config
        self._folder = folder
        self._search = search
        self._tracker = tracker
        self._launcher = launcher
        self._display = display
        self._resolve = resolve
        self._clock = clock
        self._fleet = fleet or Fleet(config, launcher, display.line, clock)
        self._budget = Budget(config.study, folder, clock)
        self._suspects = Suspects()
        self._waiting = WaitingTrials(config, self._suspects, search)
        self._leaving: dict[int, tuple[Status, str]] = {}
        """As what trials leave their slots, and why: ended, paused, or waiting, where they make room for another."""
        self._base_shown = False
        self._judgements = Judgements(self._fleet)
        self.trained_again: dict[int, EndedTrial] = {}
        """Trials that had ended and are trained again, since their folder has lost what the study needs of them."""
        self.trials: dict[int, Trial] = {}

    @property
    def front(self) -> list[Trial]:
        """Finished clean trials that no other beats in every objective; none in a study of one objective."""
        return [self.trials[number] for number in self._search.front()]

    def beside(self, trials: TrialSource, config: Config) -> Supervisor:
        """Another one, with the same workers, for trials that are not the search's."""
        rest = (self._tracker, self._launcher, self._display, self._resolve, self._clock, self._fleet)
        return Supervisor(config, self._folder, trials, *rest)

    def run(self) -> None:
        """Train until every trial has ended.

        Raises:
            StudyError: when no worker can start.
        """
        self._reconcile()
        self._display.line(*self._budget.update(self.trials))
        self._train()

    def train_again(self, lost: Mapping[int, str]) -> None:
        """Train ended trials once more under their numbers, each to where it ended before; `lost` says why."""
        self._take_back(lost)
        self._train()

    def _train(self) -> None:
        if not self._busy():
            return
        self._fleet.start()
        self._thaw()
        self._admit()
        while self._busy():
            for worker, event in self._fleet.events():
                self._handle(worker, event)
                if isinstance(event, _TELLING):
                    self._thaw()
                if not isinstance(event, Stepped | Validated):  # which free no slot
                    self._admit()
            self._display.refresh_if_due(self.trials, self._fleet.places)
        self._display.line(settling.ended_words(self._search.kind, self.trials.values()))

    def answers(self, questions: Sequence[Question], *, trains: bool = False) -> list[Answer]:
        """What workers say to these, in their order; see `Judgements`."""
        sizes = [count_pictures(question, self._config) for question in questions]
        seen: Callable[[int], None] = lambda answered: self._display.note_pictures(sizes[answered - 1])  # noqa: E731
        return self._judgements.answers(questions, seen, self._hear, trains=trains)

    def shut_down(self, timeout_s: float) -> None:
        """End all workers; those that have trials get so long to save them."""
        self._launcher.shut_down(timeout_s, {worker.number for worker in self._fleet.workers if worker.trials})

    def _reconcile(self) -> None:
        """Take up what an earlier run left: ended trials are known, running ones go on in their own slot and run."""
        self._tracker.show_base(history.read_base_images(self._folder))
        left = what_was_left(self._search, self._adopt)
        for trial in left.ended:
            assert trial.status in ("finished", "pruned", "failed")
            self._tracker.end_trial(settling.record_of(trial, trial.status, trial.reason, self._config))
        self._waiting.take_up(left)
        if self.trials:
            there, going = len(self.trials), len(self._waiting)
            self._display.line(settling.resuming(self._search.kind, there, going, self._config.study.num_trials))
        wanted, others = worth_training_again(left.lost, left.past)
        self._display.line(*others)
        self._take_back(wanted)
        self._tracker.reconcile(self._waiting.numbers)
        self._display.starts_from(list(self.trials.values()))

    def _take_back(self, lost: Mapping[int, str]) -> None:
        past = {each.number: each for each in self._search.ended_trials()} if lost else {}
        for number, problem in lost.items():
            trial, self.trained_again[number] = self.trials[number], past[number]
            trial.take_up("waiting", "", [])
            self._waiting.add(trial)
            self._display.line(f"trial {trial.name} is trained again under its number: {problem}")

    def _adopt(self, number: int, drawn: Mapping[str, object]) -> Trial:
        params, folder = dict(drawn), trial_of(self._folder, number)
        resolved, clean = self._resolve(params), self._config.eval.thresholds.clean
        trial = Trial(number=number, params=params, spec=resolved.spec, folder=folder, clean=clean)
        self.trials[number] = trial
        history.keep_config(folder, resolved.yaml)
        return trial

    def _busy(self) -> bool:
        return bool(self._fleet.places() or len(self._waiting) or self._budget.num_left(self.trials))

    def _admit(self) -> None:
        """Fill free slots: a suspect where it is alone, then what was begun before, then new trials."""
        admitted: dict[int, list[Trial]] = defaultdict(list)
        for worker in self._fleet.ready:
            if not worker.trials and (trial := self._waiting.take_suspect(worker.number, self._fleet.live_numbers)):
                admitted[worker.number].append(self._start(trial, worker))
        for number in self._dealt():
            worker = self._fleet.workers[number]
            if worker.ready:  # what is dealt to one that is not up yet is kept for it
                keys = {self.trials[n].spec.pack_key for n in worker.trials}
                trial = self._waiting.take(keys) or self._adopt(*self._search.ask())
                admitted[number].append(self._start(trial, worker))
        for number, trials in admitted.items():  # sent together, they step together and are judged together
            for trial in trials:
                self._fleet.send(self._fleet.workers[number], admission(trial))

    def _dealt(self) -> Sequence[int]:
        """The workers that the trials to come go to, in order; none to one that a suspect has to itself."""
        alone = {number for number, (status, _) in self._leaving.items() if status == "waiting"}
        open_to_all = [
            worker
            for worker in self._fleet.live
            if not any(trial in self._suspects or trial in alone for trial in worker.trials)
        ]
        loads = {worker.number: len(worker.trials) for worker in open_to_all}
        slots = {worker.number: self._fleet.room(worker) for worker in open_to_all}
        return deal(self._waiting.num_open + self._budget.num_left(self.trials), loads, slots)

    def _thaw(self) -> None:
        """Let paused trials that are hopeless no more wait for a free slot; end them where nothing else is left."""
        if not self._budget.spent:
            self._waiting.thaw(self._fleet.num_free, self.trials.values())
        if not self._fleet.places() and not self._waiting.num_unpaused and not self._budget.num_left(self.trials):
            for trial, reason in self._waiting.take_paused():
                self._end(trial, "pruned", reason)

    def _start(self, trial: Trial, worker: WorkerState) -> Trial:
        """Give a trial a slot."""
        trial.status = "running"
        self._fleet.give(worker, trial)
        self._suspects.start(trial.number)
        config = history.read_config(trial.folder)
        self._tracker.start_trial(trial.number, settling.shown_params(trial), config, history.StepFile(trial.folder))
        return trial

    def _handle(self, worker: WorkerState, event: Event) -> None:
        self._hear(event)
        match event:
            case Admitted():
                self._on_admitted(worker, event)
            case Stepped():
                trial = self.trials[event.trial]
                trial.take_steps(event.reports)
                self._tracker.log_steps(event.trial, event.reports)
            case Evaluated():
                self._on_evaluated(worker, event)
            case Validated():
                self._tracker.log_validation(event.trial, event.validation)
            case Finished():
                self._on_finished(self.trials[event.trial])
            case Failed():
                self._end(self.trials[event.trial], "failed", event.reason)
            case Died() | DeviceFailed():
                if not isinstance(event, Died) or event.by_itself:
                    self._suspects.note_death(worker.number, worker.trials)
                self._on_death(worker, event.reason)

    def _hear(self, event: Event) -> None:
        """What concerns no trial: how far a worker's start is, and what the base draws."""
        self._display.hear(event)
        if isinstance(event, Ready) and not self._base_shown:
            self._base_shown = True
            history.write_base_images(self._folder, event.base_images)
            self._tracker.show_base(event.base_images)
            self._display.line(*event.notes)

    def _on_admitted(self, worker: WorkerState, event: Admitted) -> None:
        trial = self.trials[event.trial]
        trial.resume(event.step, event.history, history.StepFile(trial.folder))
        self._suspects.resume(trial.number, event.step)
        # What a crash kept from being reported and shown:
        for evaluation, images, costs in settling.logged_evaluations(trial, event.history, self._config):
            self._report(trial, evaluation)
            self._tracker.log_evaluation(trial.number, evaluation, images, costs, settling.numbers_so_far(trial))
        for validation in event.validations:
            self._tracker.log_validation(trial.number, validation)
        self._display.line(*settling.started_words(trial, [self.trials[n] for n in worker.trials]))

    def _on_evaluated(self, worker: WorkerState, event: Evaluated) -> None:
        trial, evaluation = self.trials[event.trial], event.evaluation
        trial.take_evaluation(evaluation)
        costs = history.costs_of(trial.folder, trial.evaluations)[-1]
        self._display.note_evaluation(costs.judging.seconds)
        self._tracker.log_evaluation(trial.number, evaluation, event.images, costs, settling.numbers_so_far(trial))
        self._report(trial, evaluation)
        past = self.trained_again.get(trial.number)
        self._display.line(*self._budget.update(self.trials))
        makes_room = self._waiting.makes_room(trial.number, worker.number, evaluation.step, self._fleet.live_numbers)
        by_rule = None if past else verdict_on(trial, self.trials.values(), self._config, self._budget.spent)
        verdict = past.verdict_at(evaluation.step) if past else by_rule
        if verdict is None and makes_room and evaluation.step < trial.spec.train.last_step:
            verdict = "waiting", ""
        if verdict is not None:
            self._leaving[trial.number] = verdict
        self._fleet.send(worker, Verdict(trial=trial.number, go_on=verdict is None))
        self._display.line(settling.judged_words(trial, evaluation))

    def _on_finished(self, trial: Trial) -> None:
        status, reason = self._leaving.pop(trial.number, ("finished", "all steps done"))
        if status == "paused":
            self._fleet.release(trial)
            self._waiting.pause(trial, reason)
            self._display.line(f"trial {trial.name} pauses: {reason}")
        elif status == "waiting":
            if reason:  # past its end, for which it was made so far
                trial.spec = as_long_as(trial.spec, trial.step + self._config.eval.every)
                self._display.line(f"trial {trial.name} {reason}")
            self._wait(trial)
        else:
            self._end(trial, status, reason)

    def _report(self, trial: Trial, evaluation: Evaluation) -> None:
        if trial.number not in self.trained_again:  # the search knows how such a one ended
            self._search.report(trial.number, evaluation.step, value_of(evaluation))

    def _end(self, trial: Trial, status: Status, reason: str) -> None:
        """Settle a trial everywhere: slot, search, tracker, disk."""
        self._fleet.release(trial)
        status, reason = trial.end_of(status, reason)
        trial.status, trial.reason = status, reason
        self._display.line(*self._budget.update(self.trials))
        if trial.number not in self.trained_again:
            settling.tell_end(self._search, trial, self._config.study.objectives)
        assert status in ("finished", "pruned", "failed")
        self._tracker.end_trial(settling.record_of(trial, status, reason, self._config))
        self._display.line(f"trial {trial.name} {status}: {reason}{settling.summary(trial, reason)}")

    def _on_death(self, worker: WorkerState, reason: str) -> None:
        """Let a dead worker's trials go on from their last saved states; end the one that must have done it."""
        at_fault = not worker.given_up and len(self._fleet.live) > 1 and self._suspects.is_at_fault(worker.number)
        for trial in [self.trials[n] for n in worker.trials]:
            self._leaving.pop(trial.number, None)
            if self._suspects.is_guilty(trial.number) and not at_fault:
                attempts = len(self._suspects.deaths(trial.number))
                self._end(trial, "failed", f"{reason}, in {attempts} attempts")
            else:
                self._wait(trial)
        if at_fault:
            self._fleet.give_up(worker, f"every trial that was alone there died: {reason}")

    def _wait(self, trial: Trial) -> None:
        """Take a trial out of its slot, to go on later."""
        self._fleet.release(trial)
        self._waiting.add(trial)
