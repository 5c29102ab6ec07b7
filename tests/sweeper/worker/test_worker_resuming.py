"""What a worker makes of what an earlier one left, and of a machine that gives out."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from foundation.adapters.files import WEIGHTS_FILE
from foundation.config.compose import compose
from foundation.files.durable import write_bytes
from sweeper.records.config import Config, parse_config
from sweeper.records.costs import Cost, Costs, Spent
from sweeper.records.history import (
    StepFile,
    append_costs,
    append_evaluation,
    append_steps,
    costs_in_all,
    costs_of,
    read_evaluations,
    read_validations,
)
from sweeper.records.messages import (
    Admit,
    Admitted,
    Evaluated,
    Failed,
    Finished,
    Noted,
    Ready,
    Refused,
    Shutdown,
    Verdict,
    Working,
)
from sweeper.records.paths import checkpoint_of
from sweeper.worker import loading, worker
from sweeper.worker.worker_main import run_worker
from tests.sweeper.fake_supervisor import Judge, Lively, Meter, Pack, Supervisor, report
from tests.sweeper.fake_worker import COSTS, evaluation
from train.reports import StepReport

Run = Callable[..., Supervisor]


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return study(tmp_path)


def study(folder: Path, *overrides: str) -> Config:
    (folder / "pencil").mkdir(exist_ok=True)
    common = [f"study.folder={folder}", "study.slots=2", "eval.prompts=[a red cup,a blue star]"]
    return parse_config(compose(["+experiment=pencil", *common, *overrides]))


@pytest.fixture
def run(config: Config, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Lets a worker serve a supervisor, or these commands, with everything around it played."""
    nothing = SimpleNamespace(
        train=(),
        validation=(),
        captions=(),
        process=SimpleNamespace(prediction_type="epsilon"),
        caption_tokens=77,
        num_cut=lambda _: 0,
        rest=lambda: None,
        offload="none",
    )
    for name in ("load_base", "set_attention", "load_dataset", "with_regularization", "encode_dataset"):
        monkeypatch.setattr(loading, name, lambda *_: nothing)
    for name, played in {"Judging": Judge, "Meter": Meter, "Pack": Pack}.items():
        monkeypatch.setattr(worker, name, played)

    def run(*commands: Any, asked: Config = config) -> Supervisor:
        supervisor: Any = commands[0] if isinstance(commands[0], Supervisor) else Supervisor(*commands)
        run_worker(asked, "cpu", supervisor, ())
        assert isinstance(supervisor.heard.pop(0), Ready)
        return supervisor

    return run


@pytest.fixture
def admit(config: Config) -> Admit:
    return admits(config)[0]


def admits(config: Config, count: int = 1) -> list[Admit]:
    trials = Path(config.study.folder) / "pencil/trials"
    return [Admit(trial=number, spec=config.trial, folder=trials / f"{number:04}") for number in range(count)]


def costs_until(admit: Admit, step: int) -> Costs:
    """What led to its evaluation at this step."""
    evaluations = read_evaluations(admit.folder)
    found = dict(zip((each.step for each in evaluations), costs_of(admit.folder, evaluations), strict=True))
    return found[step]


def leave(admit: Admit, state: str) -> None:
    (admit.folder / "state").mkdir(parents=True)
    (admit.folder / "state/state").write_text(state)
    for step in (40, 80):
        append_evaluation(admit.folder, evaluation(step))
        write_bytes(checkpoint_of(admit.folder, step) / WEIGHTS_FILE, b"what it had learned")
        write_bytes(admit.folder / f"samples/step-{step:06}/prompt01.png", b"all that was drawn")


def test_an_evaluation_whose_verdict_nobody_heard_is_asked_about_again(run: Run, admit: Admit) -> None:
    leave(admit, "80")
    admitted, evaluated, finished = run(admit, Verdict(trial=0, go_on=False), Shutdown()).heard
    assert isinstance(admitted, Admitted)
    assert (admitted.step, [each.step for each in admitted.history]) == (80, [40])
    assert isinstance(evaluated, Evaluated)
    assert evaluated.evaluation == evaluation(80)
    assert [file for _, file in evaluated.images] == [admit.folder / "samples/step-000080/prompt01.png"]
    assert finished == Finished(trial=0)


def test_between_evaluations_a_trial_just_goes_on(run: Run, admit: Admit) -> None:
    leave(admit, "60")
    (admitted,) = run(admit, Shutdown()).heard
    assert (admitted.step, [each.step for each in admitted.history]) == (60, [40])
    assert [each.step for each in read_evaluations(admit.folder)] == [40]


def test_a_damaged_state_begins_the_trial_anew(run: Run, admit: Admit) -> None:
    leave(admit, "torn")
    noted, admitted = run(admit, Shutdown()).heard
    assert noted == Noted("trial 0 begins anew: state is damaged")
    assert (admitted.step, admitted.history) == (0, ())
    assert (admit.folder / "state/state").read_text() == "0"


def test_a_full_disk_ends_the_worker_with_one_line_and_fails_no_trial(
    run: Run, admit: Admit, monkeypatch: pytest.MonkeyPatch
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
    run: Run, admit: Admit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Supervisor, "poll", lambda _: True)
    leave(admit, "60")
    monkeypatch.setattr(Pack, "read", lambda _: [report(60), replace(report(61), failure="loss is nan")])
    assert run(admit).commands == []
    assert (admit.folder / "state/state").read_text() == "60"
    assert list(StepFile(admit.folder)) == [report(60)]


def test_no_step_is_lost_when_the_supervisor_dies_before_it_hears_of_them(run: Run, config: Config) -> None:
    both = admits(config, 2)
    run(Lively(*both, until=10, hears=False))
    assert [[each.step for each in StepFile(admit.folder)] for admit in both] == [[*range(1, 11)]] * 2
    run(Lively(*both, until=50, hears=True))
    assert [[each.step for each in StepFile(admit.folder)] for admit in both] == [[*range(1, 51)]] * 2


@pytest.mark.parametrize(
    ("overrides", "step"), [(["eval.every=40"], 40), (["eval.every=160", "train.steps=160"], 160)], ids=["mid", "end"]
)
def test_an_evaluation_that_was_not_come_to_is_made_up_for(
    overrides: list[str], step: int, run: Run, tmp_path: Path
) -> None:
    config = study(tmp_path, *overrides)
    both = admits(config, 2)
    run(Lively(*both, until=step, hears=False), asked=config)
    assert [(admit.folder / "state/state").read_text() for admit in both] == [str(step)] * 2
    assert [read_evaluations(admit.folder) for admit in both] == [[], []]
    heard = run(*both, *(Verdict(trial=n, go_on=False) for n in range(2)), Shutdown(), asked=config).heard
    kinds = [type(each) for each in heard if not isinstance(each, Working)]
    assert kinds == [Admitted, Admitted, Evaluated, Evaluated, Finished, Finished]
    assert [read_evaluations(admit.folder) for admit in both] == [[evaluation(step)]] * 2


def test_a_validation_that_was_not_come_to_is_made_up_for(run: Run, tmp_path: Path) -> None:
    config = study(tmp_path, "eval.validate_every=5")
    both = admits(config, 2)
    run(Lively(*both, until=5, hears=False), asked=config)
    run(Lively(*both, until=45, hears=True), asked=config)
    taken = [[each.step for each in read_validations(admit.folder)] for admit in both]
    assert taken == [[5, 10, 15, 20, 25, 30, 35, 45]] * 2
    assert [costs_until(admit, 40).judging.seconds for admit in both] == [4.0] * 2  # with the evaluation's


def test_costs_are_each_trials_share_of_all_that_was_done_over_a_stop(run: Run, config: Config) -> None:
    both = admits(config, 2)
    run(Lively(*both, until=70, hears=True))
    until_40 = Costs(training=Cost(seconds=20, gigabytes=2), judging=Cost(seconds=0.5, gigabytes=2))
    assert [costs_until(admit, 40) for admit in both] == [until_40] * 2
    run(Lively(*both, until=90, hears=True))
    assert [costs_until(admit, 80) for admit in both] == [until_40] * 2
    in_all = Costs(training=Cost(seconds=45, gigabytes=2), judging=Cost(seconds=1, gigabytes=2))
    assert [costs_in_all(admit.folder) for admit in both] == [in_all] * 2


def test_a_trial_that_fails_leaves_its_steps_and_costs(run: Run, admit: Admit, monkeypatch: pytest.MonkeyPatch) -> None:
    read = Pack.read

    def breaks(pack: Pack) -> list[StepReport]:
        told = read(pack)
        return [replace(each, step=9, failure="loss is nan at step 10") if each.step == 10 else each for each in told]

    monkeypatch.setattr(Pack, "read", breaks)
    supervisor = Lively(admit, until=9, hears=True)
    assert run(supervisor).heard[-1] == Failed(trial=0, reason="loss is nan at step 10")
    assert [each.step for each in StepFile(admit.folder)] == [*range(1, 10)]
    assert costs_in_all(admit.folder).training == Cost(seconds=10, gigabytes=2)


def test_steps_are_on_disk_before_the_state_that_they_led_to(
    run: Run, admit: Admit, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Pack, "save_state", full)
    assert isinstance(run(Lively(admit, until=10, hears=True)).heard[-1], Refused)
    assert [each.step for each in StepFile(admit.folder)] == [*range(1, 11)]


def test_a_step_that_fp16_skipped_has_an_infinite_norm_and_is_kept(admit: Admit) -> None:
    skipped = replace(report(1), grad_norm=math.inf)
    append_steps(admit.folder, [skipped, replace(report(2), grad_norm=math.nan)])
    first, second = StepFile(admit.folder)
    assert first == skipped
    assert math.isnan(second.grad_norm)


def test_steps_that_the_saved_state_does_not_know_will_come_again(run: Run, admit: Admit) -> None:
    leave(admit, "60")
    append_steps(admit.folder, [report(step) for step in (59, 60, 61)])
    for step in (60, 80):
        append_costs(admit.folder, Spent(step=step, costs=COSTS))
    with (admit.folder / "steps.jsonl").open("a") as file:
        file.write('{"slot": 0, "step"')  # cut off by a crash
    run(admit, Shutdown())
    assert list(StepFile(admit.folder)) == [report(59), report(60)]
    assert costs_in_all(admit.folder) == COSTS
    append_steps(admit.folder, [report(61)])
    assert [each.step for each in StepFile(admit.folder)] == [59, 60, 61]
