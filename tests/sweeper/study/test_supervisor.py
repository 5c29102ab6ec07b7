"""The supervisor's rules, with workers that are played: admission, verdicts, deaths, resuming."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from eval.evaluation import Validation
from foundation.errors import StudyError
from foundation.files.durable import write_bytes
from sweeper.records.costs import Spent
from sweeper.records.history import append_costs, append_evaluation, append_steps, append_validation
from sweeper.records.messages import (
    Admit,
    Admitted,
    Died,
    Draw,
    Drew,
    Failed,
    Refused,
    Verdict,
    WorkerCommand,
)
from sweeper.records.trials import Resolved
from sweeper.search.space import plan
from sweeper.search.study import Search
from sweeper.study.display import Display
from sweeper.study.supervisor import Supervisor
from sweeper.study.suspects import MAX_ATTEMPTS
from tests.sweeper.fake_worker import COSTS, OVERRIDES, Notes, PlayedWorker, evaluation
from train.reports import StepReport

Make = Callable[..., tuple[Supervisor, Notes, Search]]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    asked = plan([*OVERRIDES, f"study.folder={tmp_path}"])

    def build(launcher: PlayedWorker, database: Path | None = None) -> tuple[Supervisor, Notes, Search]:
        search, notes = Search.open(asked.config, asked.space, database), Notes()
        display = Display("pencil", 3, 80)

        def resolve(params: dict[str, object]) -> Resolved:
            return Resolved(spec=asked.config.trial, yaml="trial: config\n")

        return Supervisor(asked.config, tmp_path / "pencil", search, notes, launcher, display, resolve), notes, search

    return build


FULL = (evaluation(40, 40.0), evaluation(80, 50.0))


def test_every_trial_is_trained_and_told_once(make: Make) -> None:
    worker = PlayedWorker({0: FULL, 1: FULL, 2: FULL})
    supervisor, notes, search = make(worker)
    supervisor.run()
    assert worker.admitted == [0, 1, 2]
    assert worker.most_at_once == 2
    assert [(past.status, past.value) for past in search.ended_trials()] == [("finished", 50.0)] * 3
    assert notes.ended == dict.fromkeys(range(3), ("finished", "all steps done"))


def test_overfit_with_a_clean_checkpoint_completes_with_that_checkpoints_score(make: Make) -> None:
    turned = (evaluation(40, 60.0), evaluation(60, 45.0, 0.9, overfit=True), evaluation(80, 10.0, 1.0))
    supervisor, notes, search = make(PlayedWorker({0: turned, 1: FULL, 2: FULL}))
    supervisor.run()
    assert search.ended_trials()[0].status == "finished"
    assert search.ended_trials()[0].value == 60.0
    assert notes.ended[0] == ("finished", "looks overfit: copies in 4 of 16 pictures")
    assert supervisor.trials[0].evaluations[-1].step == 60  # it was stopped there


def test_past_its_best_a_trial_completes_with_that_best(make: Make) -> None:
    words = "score 15 points (25 %, t 4.3) below its best, of step 40"
    burnt = replace(evaluation(60, 45.0), past_best=True, words=words)
    supervisor, notes, search = make(PlayedWorker({0: (evaluation(40, 60.0), burnt, FULL[1]), 1: FULL, 2: FULL}))
    supervisor.run()
    assert (search.ended_trials()[0].status, search.ended_trials()[0].value) == ("finished", 60.0)
    assert notes.ended[0] == ("finished", f"past its best: {words}")


def test_overfit_without_a_clean_checkpoint_is_pruned(make: Make) -> None:
    never = (evaluation(40, 20.0, 0.9), evaluation(60, 10.0, 0.9, overfit=True), evaluation(80))
    supervisor, notes, search = make(PlayedWorker({0: never, 1: FULL, 2: FULL}))
    supervisor.run()
    assert search.ended_trials()[0].status == "pruned"
    assert notes.ended[0][0] == "pruned"


def test_failed_trial_keeps_its_reason_and_the_others_go_on(make: Make) -> None:
    supervisor, notes, search = make(PlayedWorker({0: "loss is nan at step 3", 1: FULL, 2: FULL}))
    supervisor.run()
    assert [past.status for past in search.ended_trials()] == ["failed", "finished", "finished"]
    assert notes.ended[0] == ("failed", "loss is nan at step 3")


def test_dead_worker_is_replaced_and_its_trials_get_their_next_attempt(make: Make) -> None:
    worker = PlayedWorker({0: FULL, 1: FULL, 2: FULL}, num_slots=1, deaths=1)
    supervisor, _, search = make(worker)
    supervisor.run()
    assert worker.started == 2
    assert worker.admitted == [0, 0, 1, 2]
    assert [past.status for past in search.ended_trials()] == ["finished"] * 3


def test_trial_whose_worker_always_dies_fails_after_its_attempts(make: Make) -> None:
    worker = PlayedWorker({0: FULL, 1: FULL, 2: FULL}, num_slots=1, deaths=MAX_ATTEMPTS)
    supervisor, notes, search = make(worker)
    supervisor.run()
    assert [past.status for past in search.ended_trials()] == ["failed", "finished", "finished"]
    assert notes.ended[0][1] == f"the worker was ended by SIGKILL, in {MAX_ATTEMPTS} attempts"


def test_worker_that_cannot_start_ends_the_study_with_its_reason(make: Make) -> None:
    worker = PlayedWorker({})
    supervisor, _, _ = make(worker)
    worker.start = lambda _: worker.queue.append((0, Refused(reason="base.path x is no pipeline")))  # type: ignore[method-assign]
    with pytest.raises(StudyError, match="is no pipeline"):
        supervisor.run()


def test_running_trial_of_a_crashed_study_goes_on_under_its_number(make: Make, tmp_path: Path) -> None:
    database = tmp_path / "studies.db"
    _, _, before = make(PlayedWorker({}), database)
    number, _ = before.ask()
    worker = PlayedWorker({0: FULL, 1: FULL, 2: FULL})
    supervisor, notes, search = make(worker, database)
    supervisor.run()
    assert number == 0
    assert notes.reconciled == {0}
    assert worker.admitted == [0, 1, 2]
    assert len(search.ended_trials()) == 3


def test_finished_study_starts_no_worker_and_asks_nothing(make: Make, tmp_path: Path) -> None:
    database = tmp_path / "studies.db"
    first, _, _ = make(PlayedWorker({0: FULL, 1: FULL, 2: FULL}), database)
    first.run()
    keep_evaluations(first)
    worker = PlayedWorker({})
    again, _, _ = make(worker, database)
    again.run()
    assert worker.started == 0
    assert sorted(again.trials) == [0, 1, 2]


def keep_evaluations(supervisor: Supervisor) -> None:
    """As workers do, which a played one does not."""
    for trial in supervisor.trials.values():
        for each in trial.evaluations:
            append_evaluation(trial.folder, each)


def test_an_ended_trial_that_lost_what_it_was_judged_by_is_trained_again_to_where_it_ended(
    make: Make, tmp_path: Path
) -> None:
    database = tmp_path / "studies.db"
    turned = (evaluation(40, 60.0), evaluation(60, 45.0, 0.9, overfit=True), evaluation(80, 90.0))
    first, _, before = make(PlayedWorker({0: FULL, 1: turned, 2: FULL}), database)
    first.run()
    keep_evaluations(first)
    (first.trials[1].folder / "evaluations.jsonl").write_text("")
    never = (evaluation(40, 60.0), evaluation(60, 45.0), evaluation(80, 90.0))  # nothing of now ends it
    worker = PlayedWorker({1: never})
    again, notes, search = make(worker, database)
    again.run()
    assert worker.admitted == [1]
    assert [each.step for each in again.trials[1].evaluations] == [40, 60]
    assert notes.ended[1] == ("finished", "looks overfit: copies in 4 of 16 pictures")
    assert sorted(notes.records) == [0, 1, 2]  # those that ended before are compared with what is shown of them
    assert search.ended_trials() == before.ended_trials()


def test_a_finalist_that_lost_its_checkpoint_is_trained_again_after_the_study_ended(make: Make) -> None:
    worker = PlayedWorker({0: FULL, 1: FULL, 2: FULL})
    supervisor, notes, search = make(worker)
    supervisor.run()
    before = search.ended_trials()
    supervisor.train_again({2: "its checkpoint is gone"})
    assert worker.admitted == [0, 1, 2, 2]
    assert [each.step for each in supervisor.trials[2].evaluations] == [40, 80]
    assert notes.ended[2] == ("finished", "all steps done")
    assert search.ended_trials() == before


def test_what_a_crash_kept_from_being_shown_and_deleted_is_made_up_for(make: Make, tmp_path: Path) -> None:
    database = tmp_path / "studies.db"
    _, _, before = make(PlayedWorker({}), database)
    for number in (0, 1):
        before.ask()
        folder = tmp_path / f"pencil/trials/{number:04}"
        append_steps(folder, [StepReport(slot=0, step=step, loss=0.5, lr=1e-4, grad_norm=0.1) for step in (1, 2)])
        append_evaluation(folder, FULL[0])
        append_costs(folder, Spent(step=40, costs=COSTS))
        append_validation(folder, Validation(step=20, ratio=0.5, losses=(0.3,)))
        (folder / "state").mkdir()
        write_bytes(folder / "samples/step-000040/prompt00.png", b"all that was drawn")
    before.tell_complete(0, 40.0, "all steps done")  # and killed before it said so elsewhere

    class Resuming(PlayedWorker):
        def send(self, worker: int, command: WorkerCommand) -> None:
            super().send(worker, command)
            if isinstance(command, Admit) and command.trial == 1:
                place = self.queue.index((0, Admitted(trial=1, step=0, history=())))
                self.queue[place] = (0, Admitted(trial=1, step=50, history=(FULL[0],)))
                self.left[1] = []

    supervisor, notes, _ = make(Resuming({1: FULL[1:], 2: FULL}), database)
    supervisor.run()
    ended = notes.records[0]
    assert (ended.status, ended.reason) == ("finished", "all steps done")
    assert (ended.chosen["step"], ended.chosen["score"], ended.chosen["val_ratio"]) == (40.0, 40.0, 0.5)
    ((made, images, costs),) = ended.evaluations
    assert costs == COSTS
    assert (made, [validation.step for validation in ended.validations]) == (FULL[0], [20])
    assert [file for _, file in images] == [tmp_path / "pencil/trials/0000/samples/step-000040/prompt00.png"]
    assert [report.step for report in ended.steps] == [1, 2]
    assert (notes.caught_up[1], notes.caught_up[2]) == ([1, 2], [])
    assert not (tmp_path / "pencil/trials/0000/state").exists()
    assert [step for number, step in notes.shown if number == 1] == [40, 80]
    assert (notes.costs[1, 40], notes.costs[1, 80]) == (COSTS, COSTS)


def test_what_all_trials_took_is_told_when_they_have_ended(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    monkeypatch.setattr(Display, "line", lambda _, *texts: lines.extend(texts))
    supervisor, _, _ = make(PlayedWorker({0: FULL, 1: FULL, 2: FULL}))
    supervisor.run()
    took = "training took 2 s and at most 2.0 GB, judging 1 s and at most 3.0 GB"  # six times COSTS
    assert lines[-1] == f"all trials have ended; {took}"


def test_a_question_that_always_ends_its_worker_ends_the_study_with_the_reason(make: Make) -> None:
    class Dying(PlayedWorker):
        def send(self, worker: int, command: WorkerCommand) -> None:
            self.queue.append((0, Died(reason="the worker ended with exit code 1")))

    supervisor, _, _ = make(Dying({}))
    with pytest.raises(StudyError, match=f"x cannot be judged: .* exit code 1, in {MAX_ATTEMPTS} attempts"):
        supervisor.answers([Draw(checkpoint=Path("x"), prompts=1, seed=0, out=Path("a"), strength=1.0)])


def test_a_worker_that_dies_is_asked_again_only_what_it_left_open(make: Make) -> None:
    asked: list[Path] = []

    class Judging(PlayedWorker):
        def send(self, worker: int, command: WorkerCommand) -> None:
            if not isinstance(command, Draw):
                super().send(worker, command)
                return
            asked.append(command.out)
            if asked.count(Path("b")) == 1 and command.out == Path("b"):
                self.queue.append((0, Died(reason="the worker was ended by SIGKILL")))
            elif self.queue[-1:] != [(0, Died(reason="the worker was ended by SIGKILL"))]:
                self.queue.append((0, Drew(pictures=command.out)))

    supervisor, _, _ = make(Judging({}))
    questions = [Draw(checkpoint=Path("x"), prompts=1, seed=0, out=Path(name), strength=1.0) for name in "abc"]
    assert supervisor.answers(questions) == [Drew(pictures=Path(name)) for name in "abc"]
    assert asked == [Path(name) for name in "abbc"]


def test_a_trial_that_fails_after_a_clean_checkpoint_is_told_with_that_checkpoints_score(make: Make) -> None:
    class Failing(PlayedWorker):
        def send(self, worker: int, command: WorkerCommand) -> None:
            super().send(worker, command)
            if isinstance(command, Verdict) and command.trial == 0:
                self.left.pop(0, None)
                self.queue = [each for each in self.queue if getattr(each[1], "trial", None) != 0]
                self.queue.append((0, Failed(trial=0, reason="loss is nan at step 50")))

    supervisor, notes, search = make(Failing({0: FULL, 1: FULL, 2: FULL}))
    supervisor.run()
    past = search.ended_trials()[0]
    reason = "failed, but its checkpoint of step 40 counts: loss is nan at step 50"
    assert (past.status, past.value, past.reason) == ("finished", 40.0, reason)
    assert notes.ended[0] == ("finished", reason)
