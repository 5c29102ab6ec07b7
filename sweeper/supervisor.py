"""The one process that owns a study: ask, admit, wait, judge, tell."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from eval.evaluation import Evaluation, value_of
from foundation.durable import write_text
from foundation.errors import StudyError
from sweeper.config import Config
from sweeper.display import Display
from sweeper.history import costs_of, read_evaluations, read_steps
from sweeper.launchers.port import Launcher
from sweeper.lost import lost_evaluations, worth_training_again
from sweeper.messages import (
    Admit,
    Admitted,
    Died,
    Draw,
    Drew,
    Evaluated,
    Event,
    Failed,
    Finished,
    Noted,
    Ready,
    Refused,
    Rescore,
    Rescored,
    Stepped,
    Validated,
    Verdict,
    loaded_words,
)
from sweeper.places import trial_of
from sweeper.search import Past, Search
from sweeper.settling import chosen, ended_words, in_words, left_behind, resuming, shown, started_words, tell_end, tidy
from sweeper.tracking.port import Tracker
from sweeper.trials import Resolved, Status, Trial
from sweeper.verdicts import verdict_on

MAX_ATTEMPTS = 3
"""A trial whose worker dies so often is the likely cause, and fails."""
MAX_DEATHS_AT_START = 2
"""A worker that dies before it is ready so often in a row will not come up."""


@dataclass(slots=True)
class _Worker:
    """A worker as the supervisor sees it."""

    ready: Ready | None = None
    trials: list[int] = field(default_factory=list)
    deaths_at_start: int = 0


class Supervisor:
    """Feeds workers with trials and draws the consequences. Runs in one thread and holds all truth about the study."""

    def __init__(
        self,
        config: Config,
        folder: Path,
        search: Search,
        tracker: Tracker,
        launcher: Launcher,
        display: Display,
        resolve: Callable[[dict[str, object]], Resolved],
    ) -> None:
        self._config = config
        self._folder = folder
        self._search = search
        self._tracker = tracker
        self._launcher = launcher
        self._display = display
        self._resolve = resolve
        self._workers = [_Worker() for _ in launcher.devices]
        self._waiting: deque[Trial] = deque()
        self._ending: dict[int, tuple[Status, str]] = {}
        self._answers: list[Rescored | Drew] = []
        self.trained_again: dict[int, Past] = {}
        """Trials that had ended and are trained again, since their folder has lost what the study needs of them."""
        self.trials: dict[int, Trial] = {}

    @property
    def ready(self) -> Ready:
        """What the first worker said when it was up."""
        return next(worker.ready for worker in self._workers if worker.ready)

    @property
    def front(self) -> list[Trial]:
        """Finished clean trials that no other beats in every objective; none in a study of one objective."""
        return [self.trials[number] for number in self._search.front()]

    def run(self) -> None:
        """Train until every trial has ended.

        Raises:
            StudyError: when no worker can start.
        """
        self._reconcile()
        self._train()

    def train_again(self, lost: Mapping[int, str]) -> None:
        """Train ended trials once more under their numbers, each to where it ended before; `lost` says why."""
        self._take_back(lost)
        self._train()

    def _train(self) -> None:
        if not self._busy():
            return
        for number, worker in enumerate(self._workers):
            if worker.ready is None:
                self._launcher.start(number)
            self._admit_to(number)
        while self._busy():
            for number, event in self._launcher.wait(timeout_s=1.0):
                self._handle(number, event)
                self._admit_to(number)
            self._display.refresh(list(self.trials.values()), self._places())
        self._display.line(ended_words(self.trials.values()))

    def answers(self, questions: Sequence[Rescore | Draw]) -> list[Rescored | Drew]:
        """What the first worker says to these, in their order; one that dies is asked again what is left.

        Raises:
            StudyError: when workers die of one question again and again.
        """
        self._answers = []
        if self._workers[0].ready is None:
            self._launcher.start(0)
        asked, deaths = False, 0
        while len(self._answers) < len(questions):
            if self._workers[0].ready is not None and not asked:
                asked = True
                for question in questions[len(self._answers) :]:
                    self._launcher.send(0, question)
            for number, event in self._launcher.wait(timeout_s=1.0):
                self._handle(number, event)
                if isinstance(event, Rescored | Drew):
                    deaths = 0
                elif isinstance(event, Died):
                    asked, deaths = False, deaths + 1
                    if deaths >= MAX_ATTEMPTS:
                        checkpoint = questions[len(self._answers)].checkpoint
                        raise StudyError(f"{checkpoint} cannot be judged: {event.reason}, in {deaths} attempts")
        return self._answers

    def _reconcile(self) -> None:
        """Take up what an earlier run left: ended trials are known, running ones go on in their own slot and run."""
        lost, ended = {}, self._search.ended()
        for past in ended:
            trial = self._adopt(past.number, dict(past.params))
            trial.take_up(past.status, past.reason, read_evaluations(trial.folder))
            if problem := lost_evaluations(past, trial.evaluations):
                lost[past.number] = problem
            else:
                self._tracker.recover(left_behind(trial, past.status, self._config))
        for left in self._search.running():
            self._waiting.append(self._adopt(left.number, dict(left.params)))
        if self.trials:
            self._display.line(resuming(len(self.trials), len(self._waiting), self._config.study.num_trials))
        wanted, others = worth_training_again(lost, ended)
        for words in others:
            self._display.line(words)
        self._take_back(wanted)
        self._tracker.reconcile({trial.number for trial in self._waiting})
        self._display.starts_from(list(self.trials.values()))

    def _take_back(self, lost: Mapping[int, str]) -> None:
        past = {each.number: each for each in self._search.ended()} if lost else {}
        for number, problem in lost.items():
            trial, self.trained_again[number] = self.trials[number], past[number]
            trial.take_up("waiting", "", [])
            self._waiting.append(trial)
            self._display.line(f"trial {number} is trained again under its number: {problem}")

    def _adopt(self, number: int, params: dict[str, object]) -> Trial:
        resolved = self._resolve(params)
        folder = trial_of(self._folder, number)
        clean = self._config.eval.thresholds.clean
        trial = Trial(number=number, params=params, spec=resolved.spec, folder=folder, clean=clean)
        self.trials[number] = trial
        if not (folder / "config.yaml").exists():
            write_text(folder / "config.yaml", resolved.yaml)
        return trial

    def _left(self) -> int:
        return max(0, self._config.study.num_trials - len(self.trials))

    def _busy(self) -> bool:
        return bool(self._waiting or self._left() or any(worker.trials for worker in self._workers))

    def _places(self) -> dict[int, str]:
        """Where each running trial is."""
        return {
            trial: f"{device}/{place}"
            for worker, device in zip(self._workers, self._launcher.devices, strict=True)
            for place, trial in enumerate(worker.trials)
        }

    def _admit_to(self, number: int) -> None:
        """Fill a worker's free slots: first what an earlier attempt left, then new trials."""
        worker, admitted = self._workers[number], []
        while worker.ready and len(worker.trials) < worker.ready.num_slots and (self._waiting or self._left()):
            trial = self._next_waiting(worker) if self._waiting else self._ask()
            trial.status = "running"
            trial.attempts += 1
            worker.trials.append(trial.number)
            config = (trial.folder / "config.yaml").read_text()
            self._tracker.start_trial(trial.number, trial.params, config, read_steps(trial.folder))
            admitted.append(trial)
        for trial in admitted:  # sent together, they step together and are judged together
            self._launcher.send(number, Admit(trial=trial.number, spec=trial.spec, folder=trial.folder))

    def _next_waiting(self, worker: _Worker) -> Trial:
        """The first that can share its passes with what the worker trains, else the first."""
        keys = {self.trials[n].spec.pack_key for n in worker.trials}
        found = next((trial for trial in self._waiting if trial.spec.pack_key in keys), self._waiting[0])
        self._waiting.remove(found)
        return found

    def _ask(self) -> Trial:
        number, params = self._search.ask()
        return self._adopt(number, dict(params))

    def _handle(self, number: int, event: Event) -> None:
        worker = self._workers[number]
        match event:
            case Ready():
                self._on_ready(worker, event)
            case Refused():
                raise StudyError(event.reason)
            case Admitted():
                self._on_admitted(worker, event)
            case Stepped():
                trial = self.trials[event.trial]
                trial.step, trial.loss = event.reports[-1].step, event.reports[-1].loss
                self._tracker.log_steps(event.trial, event.reports)
            case Evaluated():
                self._on_evaluated(number, event)
            case Validated():
                self._tracker.log_validation(event.trial, event.validation)
            case Finished():
                status, reason = self._ending.pop(event.trial, ("finished", "all steps done"))
                self._end(worker, self.trials[event.trial], status, reason)
            case Failed():
                self._end(worker, self.trials[event.trial], "failed", event.reason)
            case Rescored() | Drew():
                self._answers.append(event)
            case Noted(words=words):
                self._display.line(f"{self._launcher.devices[number]}: {words}")
            case Died():
                self._on_death(number, worker, event)

    def _on_ready(self, worker: _Worker, event: Ready) -> None:
        if not any(each.ready for each in self._workers):
            self._tracker.show_base(event.base_images)
            for words in event.notes:
                self._display.line(words)
        worker.ready, worker.deaths_at_start = event, 0
        for words in loaded_words(event):
            self._display.line(words)

    def _on_admitted(self, worker: _Worker, event: Admitted) -> None:
        trial = self.trials[event.trial]
        trial.evaluations, trial.step = list(event.history), event.step
        # What a crash kept from being reported and shown:
        for evaluation, images, costs in shown(trial, event.history, self._config):
            self._report(trial, evaluation)
            self._tracker.log_evaluation(trial.number, evaluation, images, costs)
        for validation in event.validations:
            self._tracker.log_validation(trial.number, validation)
        for words in started_words(trial, [self.trials[n] for n in worker.trials]):
            self._display.line(words)

    def _on_evaluated(self, number: int, event: Evaluated) -> None:
        trial, evaluation = self.trials[event.trial], event.evaluation
        trial.evaluations.append(evaluation)
        costs = costs_of(trial.folder, trial.evaluations)[-1]
        self._tracker.log_evaluation(trial.number, evaluation, event.images, costs)
        self._report(trial, evaluation)
        past = self.trained_again.get(trial.number)
        verdict = past.verdict_at(evaluation.step) if past else verdict_on(trial, self.trials.values(), self._config)
        if verdict is not None:
            self._ending[trial.number] = verdict
        self._launcher.send(number, Verdict(trial=trial.number, go_on=verdict is None))
        self._display.line(
            f"trial {trial.number} step {evaluation.step}: score {evaluation.score:.1f}, "
            f"overfit {evaluation.overfit_index:.2f} ({evaluation.words})"
        )

    def _report(self, trial: Trial, evaluation: Evaluation) -> None:
        if trial.number not in self.trained_again:  # the search knows how such a one ended
            self._search.report(trial.number, evaluation.step, value_of(evaluation))

    def _end(self, worker: _Worker, trial: Trial, status: Status, reason: str) -> None:
        """Settle a trial everywhere: search, tracker, disk."""
        worker.trials.remove(trial.number)
        if status == "finished" and trial.best is None:
            status, reason = "failed", "it ended without an evaluation"
        trial.status, trial.reason = status, reason
        if trial.number not in self.trained_again:
            tell_end(self._search, trial, self._config.study.objectives)
        kept = tidy(trial, self._config.study.keep)
        assert status in ("finished", "pruned", "failed")
        self._tracker.end_trial(trial.number, status, reason, kept, chosen(trial, self._config))
        self._display.line(f"trial {trial.number} {status}: {reason}{in_words(trial, reason)}")

    def _on_death(self, number: int, worker: _Worker, event: Died) -> None:
        """Start the worker anew and give its trials their next attempt, each from its last saved state."""
        self._display.line(f"worker {number} died: {event.reason}")
        worker.deaths_at_start = worker.deaths_at_start + 1 if worker.ready is None else 0
        if worker.deaths_at_start >= MAX_DEATHS_AT_START:
            raise StudyError(f"worker {number} cannot start: {event.reason}; its trace stands above")
        worker.ready = None
        for trial in [self.trials[n] for n in list(worker.trials)]:
            self._ending.pop(trial.number, None)
            if trial.attempts >= MAX_ATTEMPTS:
                self._end(worker, trial, "failed", f"{event.reason}, in {trial.attempts} attempts")
            else:
                worker.trials.remove(trial.number)
                trial.status = "waiting"
                self._waiting.append(trial)
        self._launcher.start(number)
