"""What a worker makes of what an earlier one left, and of a machine that gives out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from foundation.compose import compose
from foundation.durable import write_bytes
from foundation.errors import AdapterError
from sweeper import loading, worker
from sweeper.config import Config, parse_config
from sweeper.history import append_evaluation, append_steps, read_evaluations, read_steps
from sweeper.messages import Admit, Admitted, Command, Evaluated, Finished, Noted, Ready, Refused, Shutdown, Verdict
from sweeper.serving import serve
from tests.sweeper.played import evaluation
from train.reports import StepReport
from train.spec import TrialSpec


class Pack:
    """One slot that never trains; a state is a text with the steps done."""

    at_once = 1

    def __init__(self, *_: Any) -> None:
        self.steps = 0

    def admit(self, _: TrialSpec, resume_from: Path | None = None) -> int:
        if resume_from is not None and not (resume_from / "state").read_text().isdigit():
            raise AdapterError("state is damaged")
        self.steps = int((resume_from / "state").read_text()) if resume_from else 0
        return 0

    def steps_done(self, _: int) -> int:
        return self.steps

    def finished(self, _: int) -> bool:
        return False

    def failed(self, _: int) -> bool:
        return False

    def step(self) -> list[Any]:
        return []

    def read(self) -> list[Any]:
        return []

    def release(self, _: int) -> None: ...

    def save_state(self, _: int, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "state").write_text(str(self.steps))


class Supervisor:
    """The other end: hands out these commands, hears everything."""

    def __init__(self, *commands: Command) -> None:
        self.commands = list(commands)
        self.heard: list[Any] = []

    def send(self, event: Any) -> None:
        self.heard.append(event)

    def poll(self) -> bool:
        return bool(self.commands) and not isinstance(self.commands[0], Verdict)  # nobody gives one unasked

    def recv(self) -> Command:
        return self.commands.pop(0)


Serve = Callable[..., Supervisor]


def report(step: int) -> StepReport:
    return StepReport(slot=0, step=step, loss=0.5, lr=1e-4, grad_norm=0.125)


@pytest.fixture
def config(tmp_path: Path) -> Config:
    (tmp_path / "pencil").mkdir()
    return parse_config(compose(["+experiment=pencil", f"study.folder={tmp_path}", "study.slots=1"]))


@pytest.fixture
def run(config: Config, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Serve:
    process = SimpleNamespace(prediction_type="epsilon")
    nothing = SimpleNamespace(
        train=(), validation=(), process=process, base_pictures=lambda _: tmp_path, num_cut=lambda _: 0
    )
    for name in ("load_base", "set_attention", "load_dataset", "with_regularization", "encode_dataset"):
        monkeypatch.setattr(loading, name, lambda *_: nothing)
    monkeypatch.setattr(worker, "Judging", lambda *_: nothing)
    monkeypatch.setattr(worker, "Pack", Pack)

    def run(*commands: Command) -> Supervisor:
        supervisor: Any = Supervisor(*commands)
        serve(config, "cpu", supervisor, ())
        assert isinstance(supervisor.heard.pop(0), Ready)
        return supervisor

    return run


@pytest.fixture
def admit(config: Config, tmp_path: Path) -> Admit:
    return Admit(trial=0, spec=config.trial, folder=tmp_path / "pencil/trials/0000")


def leave(admit: Admit, state: str) -> None:
    (admit.folder / "state").mkdir(parents=True)
    (admit.folder / "state/state").write_text(state)
    for step in (40, 80):
        append_evaluation(admit.folder, evaluation(step))
        write_bytes(admit.folder / f"samples/step-{step:06}/prompt01.png", b"all that was drawn")


def test_an_evaluation_whose_verdict_nobody_heard_is_asked_about_again(run: Serve, admit: Admit) -> None:
    leave(admit, "80")
    admitted, evaluated, finished = run(admit, Verdict(trial=0, go_on=False), Shutdown()).heard
    assert isinstance(admitted, Admitted)
    assert (admitted.step, [each.step for each in admitted.history]) == (80, [40])
    assert isinstance(evaluated, Evaluated)
    assert evaluated.evaluation == evaluation(80)
    assert [file for _, file in evaluated.images] == [admit.folder / "samples/step-000080/prompt01.png"]
    assert finished == Finished(trial=0)


def test_between_evaluations_a_trial_just_goes_on(run: Serve, admit: Admit) -> None:
    leave(admit, "60")
    (admitted,) = run(admit, Shutdown()).heard
    assert (admitted.step, [each.step for each in admitted.history]) == (60, [40])
    assert [each.step for each in read_evaluations(admit.folder)] == [40]


def test_a_damaged_state_begins_the_trial_anew(run: Serve, admit: Admit) -> None:
    leave(admit, "torn")
    noted, admitted = run(admit, Shutdown()).heard
    assert noted == Noted("trial 0 begins anew: state is damaged")
    assert (admitted.step, admitted.history) == (0, ())
    assert (admit.folder / "state/state").read_text() == "0"


def test_a_full_disk_ends_the_worker_with_one_line_and_fails_no_trial(
    run: Serve, admit: Admit, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device", "state.pt")

    monkeypatch.setattr(Pack, "save_state", full)
    admitted, refused = run(admit, Shutdown()).heard
    assert isinstance(admitted, Admitted)
    assert refused == Refused(
        reason="the worker on cpu cannot go on: [Errno 28] No space left on device: 'state.pt'; put that right, "
        "and the same command goes on"
    )


def test_a_worker_whose_supervisor_is_gone_saves_and_ends(
    run: Serve, admit: Admit, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(supervisor: Supervisor) -> Command:
        if not supervisor.commands:
            raise EOFError
        return supervisor.commands.pop(0)

    monkeypatch.setattr(Supervisor, "recv", gone)
    monkeypatch.setattr(Supervisor, "poll", lambda _: True)
    leave(admit, "60")
    monkeypatch.setattr(Pack, "read", lambda _: [report(60), replace(report(61), failure="loss is nan")])
    assert run(admit).commands == []
    assert (admit.folder / "state/state").read_text() == "60"
    assert list(read_steps(admit.folder)) == [report(60)]


def test_steps_that_the_saved_state_does_not_know_will_come_again(run: Serve, admit: Admit) -> None:
    leave(admit, "60")
    append_steps(admit.folder, [report(step) for step in (59, 60, 61)])
    with (admit.folder / "steps.jsonl").open("a") as file:
        file.write('{"slot": 0, "step"')  # cut off by a crash
    run(admit, Shutdown())
    assert list(read_steps(admit.folder)) == [report(59), report(60)]
    append_steps(admit.folder, [report(61)])
    assert [each.step for each in read_steps(admit.folder)] == [59, 60, 61]
