"""A worker owns one device: it trains a pack, judges what is due, and tells the supervisor. It decides nothing."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path

import torch

from foundation.data.dataset import Dataset
from foundation.errors import AdapterError, UserError, first_line
from sweeper.records.attempts import SupersededError, must_be_latest
from sweeper.records.config import Config
from sweeper.records.costs import Costs
from sweeper.records.history import append_evaluation, append_validation, rewind
from sweeper.records.lease import working
from sweeper.records.messages import (
    Admit,
    Admitted,
    Draw,
    Evaluated,
    Event,
    Failed,
    Finished,
    Noted,
    Probe,
    Rescore,
    Saved,
    Shutdown,
    Stepped,
    Validated,
    Verdict,
    WorkerCommand,
)
from sweeper.records.paths import cache_of, state_of
from sweeper.records.pictures import sheets
from sweeper.records.trainings import Training, name_of
from sweeper.worker.active_trial import ActiveTrial, is_looked_at
from sweeper.worker.heartbeat import Heartbeat
from sweeper.worker.judging import Due, Judging
from sweeper.worker.loading import Loaded
from sweeper.worker.lost import what_is_lost
from sweeper.worker.meter import Meter
from sweeper.worker.periodic import Periodic
from sweeper.worker.probing import answer
from sweeper.worker.rescoring import reply
from sweeper.worker.seen_data import SeenData
from train.caches import EncodedDataset
from train.pack import Pack
from train.reports import StepReport

REPORT_EVERY = 10
"""Steps of a trial between two `Stepped` events, and of a pack between two readings of its losses."""


class Worker:
    """The loop of one device: take commands, step the pack, judge, wait for verdicts."""

    def __init__(self, config: Config, device: str, connection: Connection, loaded: Loaded, num_slots: int) -> None:
        self._folder = Path(config.study.folder) / config.study.name
        self._eval, self._trigger = config.eval, config.data.trigger
        self._connection = connection
        self._running: dict[int, ActiveTrial] = {}
        self._unanswered: list[ActiveTrial] = []
        """Those whose last evaluation an earlier process made; whether its verdict was heard, nobody knows."""
        self._stopping = False
        self._meter = Meter(torch.device(device))
        self._signs = Heartbeat(self._send)
        self._saves = Periodic(config.launcher.save_every_s)
        how = (config.train.precision, config.train.activation_checkpointing, config.trial.lasting, REPORT_EVERY)
        self._pack = Pack(loaded.base, loaded.data, num_slots, *how)
        self._cache = cache_of(Path(config.study.folder))
        self._all_pictures = loaded.all_pictures
        self._data = SeenData(loaded, self._cache, self._signs)
        self._judging = self._judge_of(loaded.dataset, loaded.data)
        self._judging_against_all: Judging | None = None

    def _judge_of(self, dataset: Dataset, data: EncodedDataset) -> Judging:
        rest = (self._eval, self._trigger, self._cache, self._signs)
        return Judging(self._pack, dataset, data, *rest, lambda line: self._send(Noted(line, of_study=True)))

    def base_images(self) -> tuple[tuple[str, Path], ...]:
        """What the base draws, a sheet of all seeds for each prompt."""
        return sheets(self._eval, self._trigger, self._judging.base_pictures(self._eval))

    def run(self) -> None:
        """Serve until the shutdown message, or until the supervisor is gone; then save every slot."""
        with working(self._folder):
            with suppress(EOFError, BrokenPipeError, ConnectionResetError, SupersededError):
                # The supervisor may be gone: what was learned is kept for the one that comes after.
                while not self._stopping:
                    self._take_commands()
                    if not self._stopping:
                        self._advance()
            self._take(self._pack.read())
            for running in self._running.values():
                if not self._pack.has_failed(running.slot):  # such a one starts again from its last sound state
                    with suppress(SupersededError):
                        self._save(running)
            with suppress(BrokenPipeError, ConnectionResetError):
                self._say_saved()

    def _take_commands(self) -> None:
        """Handle what has come; wait for something only when there is nothing to train."""
        while not self._stopping and (not self._running or self._connection.poll()):
            self._handle(self._connection.recv())

    def _handle(self, command: WorkerCommand) -> None:
        match command:
            case Admit():
                self._admit(command)
            case Rescore() | Draw():
                self._signs.begin("judging")
                self._reply(command)
            case Probe():
                self._signs.begin("training")
                self._send(answer(self._pack, self._judging, command, self._signs))
            case Shutdown():
                self._stopping = True
            case _:
                raise AssertionError(f"{command}, for which nobody waits")

    def _admit(self, command: Admit) -> None:
        try:
            slot = self._slot_for(command)
        except UserError as error:
            self._send(Failed(trial=command.trial, reason=str(error)))
            return
        except torch.OutOfMemoryError as error:
            self._send(Failed(trial=command.trial, reason=f"out of memory at the start: {first_line(error)}"))
            return
        step = self._pack.steps_done(slot)
        history, validations = rewind(command.folder, step)
        if lost := what_is_lost(command.folder, step, self._eval.every, history):
            self._send(Noted(f"trial {name_of(command.trial)} begins anew: {lost}"))
            self._pack.release(slot)
            slot, step = self._pack.admit(command.spec, data=self._data_of(command)), 0
            history, validations = rewind(command.folder, step)
        running = ActiveTrial(command.trial, slot, command.attempt, command.folder, history, validations)
        self._running[command.trial] = running
        if history and history[-1].step == step:
            self._unanswered.append(running)
            history = history[:-1]
        self._send(Admitted(trial=running.trial, step=step, history=tuple(history), validations=tuple(validations)))

    def _slot_for(self, command: Admit) -> int:
        """A slot for the trial, at its last saved state; one that cannot be read is worth less than a new beginning."""
        state = state_of(command.folder)
        if state.exists():
            try:
                return self._pack.admit(command.spec, state, self._data_of(command))
            except AdapterError as error:
                self._send(Noted(f"trial {name_of(command.trial)} begins anew: {error}"))
        return self._pack.admit(command.spec, data=self._data_of(command))

    def _data_of(self, command: Admit) -> EncodedDataset:
        """What a training learns from."""
        return self._data.of(command.spec.views, is_refit=Training.of(command.trial).is_refit)

    def _advance(self) -> None:
        """One more pass, and a look at those that are due then; or at those that an earlier process came not to."""
        if self._unanswered:
            unanswered, self._unanswered = self._unanswered, []
            self._ask(unanswered)
            return
        if not self._look():
            self._train()
            self._look()

    def _look(self) -> bool:
        """Validate and judge those that are due; whether any were."""
        due, between = [], []
        for running in self._running.values():
            step, ended = self._pack.steps_done(running.slot), self._pack.is_finished(running.slot)
            if running.owes_evaluation(step, ended, self._eval):
                due.append(running)
            elif running.owes_validation(step, self._eval):
                between.append(running)
        if between:
            self._validate(between)
        if due:
            self._evaluate(due)
        return bool(due or between)

    def _train(self) -> None:
        """One more pass of the pack; tell what came of the trials in it."""
        by_slot = self._by_slot()
        before = self._pack.at_once
        with self._meter.measure() as measured:
            reports = self._pack.step()
            save = self._saves.is_due()
            if save or any(is_looked_at(self._pack.steps_done(slot), self._eval) for slot in by_slot):
                reports += self._pack.read()
        for running in by_slot.values():
            running.costs += Costs(training=measured[0].share(len(by_slot)))
        failed = self._take(reports)  # before anything is sent: should nobody be there to hear it, all is kept
        if self._pack.at_once < before:
            self._send(Noted(f"out of memory: from here on {self._pack.at_once} trials share a pass, not {before}"))
        for report in failed:
            self._fail(by_slot[report.slot], report)
        for running in self._running.values():
            if len(running.unsent) >= REPORT_EVERY:
                self._send_steps(running)
        if save:
            for running in self._running.values():
                self._save(running)
            self._say_saved()

    def _say_saved(self) -> None:
        for running in self._running.values():
            if not self._pack.has_failed(running.slot):
                self._send(Saved(trial=running.trial, step=self._pack.steps_done(running.slot)))

    def _take(self, reports: Sequence[StepReport]) -> list[StepReport]:
        """Let each trial take in its steps; the reports of those that cannot go on."""
        by_slot = self._by_slot()
        for report in reports:
            if report.failure is None:
                by_slot[report.slot].take(report)
        return [report for report in reports if report.failure is not None]

    def _validate(self, between: list[ActiveTrial]) -> None:
        """Take the validation loss alone."""
        self._signs.begin("judging")
        with self._meter.measure() as measured:
            losses = self._judging.validate([running.slot for running in between])
        for running, own in zip(between, losses, strict=True):
            running.costs += Costs(judging=measured[0].share(len(between)))
            validation = self._judging.validation(self._pack.steps_done(running.slot), own)
            running.validations.append(validation)
            must_be_latest(running.folder, running.attempt)
            append_validation(running.folder, validation)
        for running in between:  # only now: should nobody be there to hear it, all of them have kept theirs
            self._send_steps(running)
            self._send(Validated(trial=running.trial, validation=running.validations[-1]))

    def _evaluate(self, due: list[ActiveTrial]) -> None:
        """Judge all that are due in the same batches; what each has learned is on disk before its verdict is wanted."""
        looks = []
        for running in due:
            self._send_steps(running)
            step = self._pack.steps_done(running.slot)
            self._pack.save_adapter(running.slot, running.checkpoint(step))
            looks.append(
                Due(
                    slot=running.slot,
                    step=step,
                    history=running.history,
                    validations=running.validations,
                    pictures=running.pictures(step),
                )
            )
        self._signs.begin("judging")
        with self._meter.measure() as measured:
            judged = self._judging.judge(looks)
        for running, evaluation in zip(due, judged, strict=True):
            running.costs += Costs(judging=measured[0].share(len(due)))
            running.history.append(evaluation)
            must_be_latest(running.folder, running.attempt)
            append_evaluation(running.folder, evaluation)
            self._save(running)
        self._ask(due)

    def _save(self, running: ActiveTrial) -> None:
        """All that the trial needs to go on."""
        must_be_latest(running.folder, running.attempt)
        running.write(self._pack.steps_done(running.slot))
        self._pack.save_state(running.slot, running.state)

    def _by_slot(self) -> dict[int, ActiveTrial]:
        return {running.slot: running for running in self._running.values()}

    def _ask(self, judged: list[ActiveTrial]) -> None:
        """Send each one's last evaluation, then wait for the verdict on each."""
        for running in judged:
            evaluation = running.history[-1]
            self._send(
                Evaluated(
                    trial=running.trial,
                    evaluation=evaluation,
                    checkpoint=running.checkpoint(evaluation.step),
                    images=sheets(self._eval, self._trigger, running.pictures(evaluation.step)),
                )
            )
        for running in judged:
            self._await_verdict(running)

    def _await_verdict(self, running: ActiveTrial) -> None:
        while not self._stopping:
            command: WorkerCommand = self._connection.recv()
            if not isinstance(command, Verdict):
                self._handle(command)
                continue
            if command.trial != running.trial:
                raise AssertionError(f"verdict on trial {command.trial}, waited for {running.trial}")
            if not command.go_on or self._pack.is_finished(running.slot):
                self._finish(running)
            return

    def _finish(self, running: ActiveTrial) -> None:
        self._leave(running)
        self._send(Finished(trial=running.trial))

    def _fail(self, running: ActiveTrial, report: StepReport) -> None:
        assert report.failure is not None
        running.write(report.step)
        self._send_steps(running)
        self._leave(running)
        self._send(Failed(trial=running.trial, reason=report.failure))

    def _leave(self, running: ActiveTrial) -> None:
        self._pack.release(running.slot)
        del self._running[running.trial]

    def _reply(self, question: Rescore | Draw) -> None:
        judging = self._judging
        if isinstance(question, Rescore) and question.against_all and self._all_pictures:
            self._judging_against_all = judging = self._judging_against_all or self._judge_of(*self._all_pictures)
        self._send(reply(judging, question, self._eval))

    def _send_steps(self, running: ActiveTrial) -> None:
        if running.unsent:
            self._send(Stepped(trial=running.trial, reports=tuple(running.unsent)))
            running.unsent = []

    def _send(self, event: Event) -> None:
        self._connection.send(event)
