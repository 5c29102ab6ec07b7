"""The supervisor's rules, with workers that are played: admission, verdicts, deaths, resuming, the final choice."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from eval.evaluation import Evaluation, Validation
from foundation.errors import StudyError
from sweeper.config import Keep
from sweeper.display import Display
from sweeper.finale import choose_finalists, choose_winner, how_chosen
from sweeper.history import append_evaluation, append_validation
from sweeper.messages import (
    Admit,
    Admitted,
    Command,
    Died,
    Draw,
    Drew,
    Evaluated,
    Event,
    Failed,
    Finished,
    Ready,
    Refused,
    Rescored,
    Stepped,
    Verdict,
)
from sweeper.search import Search
from sweeper.settling import in_words, tidy
from sweeper.space import plan
from sweeper.supervisor import MAX_ATTEMPTS, Resolved, Supervisor
from sweeper.tracking.port import Ended
from sweeper.trials import Trial, best_checkpoint, diverged
from train.reports import StepReport

OVERRIDES = ["+experiment=pencil", "study.num_trials=3", "train.steps=80", "eval.every=40", "study.pruner.name=none"]


def evaluation(step: int, score: float = 50.0, index: float = 0.0, *, overfit: bool = False) -> Evaluation:
    return Evaluation(
        step=step,
        score=score,
        score_se=1.0,
        overfit_index=index,
        overfit=overfit,
        words="copies in 4 of 16 pictures" if overfit else "no sign of overfit",
        severities={},
        metrics={"val_ratio": 0.5},
        validation_losses=(0.1, 0.2),
    )


class PlayedWorker:
    """A launcher with one worker, which answers every command from a script: trial → its evaluations, or a failure."""

    devices = ("cpu",)

    def __init__(self, script: Mapping[int, Sequence[Evaluation] | str], num_slots: int = 2, deaths: int = 0) -> None:
        self.script = script
        self.num_slots = num_slots
        self.deaths = deaths
        self.started = 0
        self.most_at_once = 0
        self.queue: list[tuple[int, Event]] = []
        self.left: dict[int, list[Evaluation]] = {}
        self.admitted: list[int] = []

    def start(self, worker: int) -> None:
        self.started += 1
        self.left = {}
        self.queue.append(
            (
                0,
                Ready(
                    num_slots=self.num_slots, device="cpu", num_train=6, num_validation=3, base_images=(), seconds=0.1
                ),
            )
        )

    def send(self, worker: int, command: Command) -> None:
        match command:
            case Admit(trial=trial):
                self.admitted.append(trial)
                if self.deaths > 0:
                    self.deaths -= 1
                    self.queue = [(0, Died(reason="the worker was ended by SIGKILL"))]
                    return
                self.queue.append((0, Admitted(trial=trial, step=0, history=())))
                played = self.script[trial]
                if isinstance(played, str):
                    self.queue.append((0, Failed(trial=trial, reason=played)))
                    return
                self.left[trial] = list(played)
                self.most_at_once = max(self.most_at_once, len(self.left))
                self._evaluate(trial)
            case Verdict(trial=trial, go_on=go_on):
                if go_on and self.left[trial]:
                    self._evaluate(trial)
                else:
                    del self.left[trial]
                    self.queue.append((0, Finished(trial=trial)))

    def _evaluate(self, trial: int) -> None:
        made = self.left[trial].pop(0)
        report = StepReport(slot=0, step=made.step, loss=0.3, lr=1e-3, grad_norm=1.0)
        self.queue.append((0, Stepped(trial=trial, reports=(report,))))
        self.queue.append((0, Evaluated(trial=trial, evaluation=made, checkpoint=Path("x"), images=(), seconds=0.1)))

    def wait(self, timeout_s: float) -> list[tuple[int, Event]]:
        events, self.queue = self.queue[:1], self.queue[1:]
        return events

    def shut_down(self, timeout_s: float) -> None:
        self.left = {}


class Notes:
    """A tracker that keeps what it was told."""

    lost = 0

    def __init__(self) -> None:
        self.ended: dict[int, tuple[str, str]] = {}
        self.chosen: dict[int, dict[str, float]] = {}
        self.started: list[int] = []
        self.reconciled: set[int] | None = None
        self.recovered: dict[int, Ended] = {}
        self.shown: list[tuple[int, int]] = []

    def start_study(self, name: str, params: Mapping[str, object], config: str) -> None: ...

    def show_base(self, images: Sequence[tuple[str, Path]]) -> None: ...

    def start_trial(self, number: int, params: Mapping[str, object], config: str) -> None:
        self.started.append(number)

    def log_steps(self, number: int, reports: Sequence[StepReport]) -> None: ...

    def log_evaluation(self, number: int, evaluation: Evaluation, images: Sequence[tuple[str, Path]]) -> None:
        self.shown.append((number, evaluation.step))

    def log_validation(self, number: int, validation: Validation) -> None: ...

    def end_trial(
        self, number: int, status: str, reason: str, kept: Mapping[str, Path], chosen: Mapping[str, float]
    ) -> None:
        self.ended[number] = (status, reason)
        self.chosen[number] = dict(chosen)

    def recover(self, trial: Ended) -> None:
        self.recovered[trial.number] = trial

    def crown(self, best_folder: Path, number: int, metrics: Mapping[str, float], description: str) -> str | None:
        return "1"

    def end_study(self, status: str, reason: str = "") -> None: ...

    def reconcile(self, running: AbstractSet[int]) -> None:
        self.reconciled = set(running)

    def close(self, timeout_s: float = 60.0) -> None: ...


Make = Callable[..., tuple[Supervisor, Notes, Search]]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    asked = plan([*OVERRIDES, f"study.folder={tmp_path}"])

    def build(launcher: PlayedWorker, database: Path | None = None) -> tuple[Supervisor, Notes, Search]:
        search, notes = Search.open(asked.config, asked.space, database), Notes()
        display = Display(Console(quiet=True), "pencil", 3, 80)

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
    assert [(past.status, past.value) for past in search.ended()] == [("finished", 50.0)] * 3
    assert notes.ended == dict.fromkeys(range(3), ("finished", "all steps done"))


def test_overfit_with_a_clean_checkpoint_completes_with_that_checkpoints_score(make: Make) -> None:
    turned = (evaluation(40, 60.0), evaluation(60, 45.0, 0.9, overfit=True), evaluation(80, 10.0, 1.0))
    supervisor, notes, search = make(PlayedWorker({0: turned, 1: FULL, 2: FULL}))
    supervisor.run()
    assert search.ended()[0].status == "finished"
    assert search.ended()[0].value == 60.0
    assert notes.ended[0] == ("finished", "looks overfit: copies in 4 of 16 pictures")
    assert supervisor.trials[0].evaluations[-1].step == 60  # it was stopped there


def test_past_its_best_a_trial_completes_with_that_best(make: Make) -> None:
    words = "score 15 points (25 %, t 4.3) below its best, of step 40"
    burnt = replace(evaluation(60, 45.0), past_best=True, words=words)
    supervisor, notes, search = make(PlayedWorker({0: (evaluation(40, 60.0), burnt, FULL[1]), 1: FULL, 2: FULL}))
    supervisor.run()
    assert (search.ended()[0].status, search.ended()[0].value) == ("finished", 60.0)
    assert notes.ended[0] == ("finished", f"past its best: {words}")


def test_overfit_without_a_clean_checkpoint_is_pruned(make: Make) -> None:
    never = (evaluation(40, 20.0, 0.9), evaluation(60, 10.0, 0.9, overfit=True), evaluation(80))
    supervisor, notes, search = make(PlayedWorker({0: never, 1: FULL, 2: FULL}))
    supervisor.run()
    assert search.ended()[0].status == "pruned"
    assert notes.ended[0][0] == "pruned"


def test_failed_trial_keeps_its_reason_and_the_others_go_on(make: Make) -> None:
    supervisor, notes, search = make(PlayedWorker({0: "loss is nan at step 3", 1: FULL, 2: FULL}))
    supervisor.run()
    assert [past.status for past in search.ended()] == ["failed", "finished", "finished"]
    assert notes.ended[0] == ("failed", "loss is nan at step 3")


def test_dead_worker_is_replaced_and_its_trials_get_their_next_attempt(make: Make) -> None:
    worker = PlayedWorker({0: FULL, 1: FULL, 2: FULL}, num_slots=1, deaths=1)
    supervisor, _, search = make(worker)
    supervisor.run()
    assert worker.started == 2
    assert worker.admitted == [0, 0, 1, 2]
    assert [past.status for past in search.ended()] == ["finished"] * 3


def test_trial_whose_worker_always_dies_fails_after_its_attempts(make: Make) -> None:
    worker = PlayedWorker({0: FULL, 1: FULL, 2: FULL}, num_slots=1, deaths=MAX_ATTEMPTS)
    supervisor, notes, search = make(worker)
    supervisor.run()
    assert [past.status for past in search.ended()] == ["failed", "finished", "finished"]
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
    assert len(search.ended()) == 3


def test_finished_study_starts_no_worker_and_asks_nothing(make: Make, tmp_path: Path) -> None:
    database = tmp_path / "studies.db"
    first, _, _ = make(PlayedWorker({0: FULL, 1: FULL, 2: FULL}), database)
    first.run()
    worker = PlayedWorker({})
    again, _, _ = make(worker, database)
    again.run()
    assert worker.started == 0
    assert sorted(again.trials) == [0, 1, 2]


def test_what_a_crash_kept_from_being_shown_and_deleted_is_made_up_for(make: Make, tmp_path: Path) -> None:
    database = tmp_path / "studies.db"
    _, _, before = make(PlayedWorker({}), database)
    for number in (0, 1):
        before.ask()
        folder = tmp_path / f"pencil/trials/{number:04}"
        append_evaluation(folder, FULL[0])
        append_validation(folder, Validation(step=20, ratio=0.5, losses=(0.3,)))
        (folder / "state").mkdir()
    before.tell_complete(0, 40.0, "all steps done")  # and killed before it said so elsewhere

    class Resuming(PlayedWorker):
        def send(self, worker: int, command: Command) -> None:
            super().send(worker, command)
            if isinstance(command, Admit) and command.trial == 1:
                place = self.queue.index((0, Admitted(trial=1, step=0, history=())))
                self.queue[place] = (0, Admitted(trial=1, step=50, history=(FULL[0],)))
                self.left[1] = []

    supervisor, notes, _ = make(Resuming({1: FULL[1:], 2: FULL}), database)
    supervisor.run()
    ended = notes.recovered[0]
    assert (ended.status, ended.reason, ended.chosen) == ("finished", "all steps done", {"step": 40.0, "score": 40.0})
    ((made, images),) = ended.evaluations
    assert (made, [validation.step for validation in ended.validations]) == (FULL[0], [20])
    assert images[0][1] == tmp_path / "pencil/trials/0000/samples/step-000040/prompt00.png"
    assert not (tmp_path / "pencil/trials/0000/state").exists()
    assert [step for number, step in notes.shown if number == 1] == [40, 80]


def test_a_question_that_always_ends_its_worker_ends_the_study_with_the_reason(make: Make) -> None:
    class Dying(PlayedWorker):
        def send(self, worker: int, command: Command) -> None:
            self.queue.append((0, Died(reason="the worker ended with exit code 1")))

    supervisor, _, _ = make(Dying({}))
    with pytest.raises(StudyError, match=f"x cannot be judged: .* exit code 1, in {MAX_ATTEMPTS} attempts"):
        supervisor.answers([Draw(checkpoint=Path("x"), prompts=1, seed=0, out=Path("a"), strength=1.0)])


def trial(number: int, *evaluations: Evaluation) -> Trial:
    made = Trial(number=number, params={}, spec=plan(OVERRIDES).config.trial, folder=Path("x"), clean=0.5)
    made.evaluations, made.status = list(evaluations), "finished"
    return made


def test_checkpoint_is_the_earliest_clean_one_that_is_as_good_as_the_best() -> None:
    course = [evaluation(40, 30.0), evaluation(80, 49.95), evaluation(120, 50.0), evaluation(160, 70.0, 0.8)]
    best = best_checkpoint(course, clean=0.5)
    assert best is not None
    assert best.step == 80


@pytest.mark.parametrize(("keep", "left"), [("best", [80, 120]), ("all", [40, 80, 120])])
def test_checkpoints_of_an_ended_trial_stay_as_asked(keep: Keep, left: list[int], tmp_path: Path) -> None:
    ended = trial(0, evaluation(40, 30.0), evaluation(80, 50.0), evaluation(120, 40.0))
    ended.folder = tmp_path
    for folder in (*(ended.checkpoint(step) for step in (40, 80, 120)), tmp_path / "state"):
        folder.mkdir(parents=True)
    kept = tidy(ended, keep)
    assert kept == {"best": ended.checkpoint(80), "last": ended.checkpoint(120)}
    assert [step for step in (40, 80, 120) if ended.checkpoint(step).exists()] == left
    assert not (tmp_path / "state").exists()


def test_finalists_are_the_best_and_a_clean_one_wins_over_a_better_overfit_one() -> None:
    trials = [trial(0, evaluation(40, 10.0)), trial(1, evaluation(40, 60.0)), trial(2, evaluation(40, 55.0))]
    finalists = choose_finalists(trials, 2)
    assert [each.number for each in finalists] == [1, 2]

    assert choose_winner(finalists, {1: again(1, 58.0, 0.0), 2: again(2, 59.0, 0.0)}).number == 2
    assert choose_winner(finalists, {1: again(1, 58.0, 0.0), 2: again(2, 59.0, 0.9)}).number == 1


def test_what_a_reason_has_told_is_not_said_again() -> None:
    turned = trial(0, evaluation(40, 30.0), evaluation(80, 20.0, 0.8, overfit=True))
    best = ", best at step 40 with score 30.0; overfit"
    assert in_words(turned, "looks overfit: copies in 4 of 16 pictures") == best
    assert in_words(turned, "all steps done") == f"{best}: at step 80: copies in 4 of 16 pictures"
    assert in_words(trial(0), "loss is nan") == ""


def again(number: int, score: float, index: float) -> Rescored:
    made = evaluation(40, score, index, overfit=index > 0.5)
    return Rescored(trial=number, evaluation=made, base=made, pictures=Path("x"), base_pictures=Path("y"))


@pytest.mark.parametrize(
    ("own", "other", "said"),
    [
        (0.0, 0.0, "the best clean score won."),
        (0.0, 0.9, "the best clean score won. Trial 2 was not clean any more: copies in 4 of 16 pictures."),
        (0.8, 0.9, "the best fresh score won. No finalist was free of signs of overfit; this is the least bad."),
    ],
)
def test_how_the_winner_was_chosen_says_who_fell(own: float, other: float, said: str) -> None:
    rescored = {1: again(1, 58.0, own), 2: again(2, 59.0, other)}
    words = how_chosen(trial(1), rescored, rescored[1].evaluation, (), plan(OVERRIDES).config)
    assert words.endswith(f"Trials 1, 2 were scored again with fresh seeds on prompts that no trial saw, and {said}")


def test_a_worker_that_dies_is_asked_again_only_what_it_left_open(make: Make) -> None:
    asked: list[Path] = []

    class Judging(PlayedWorker):
        def send(self, worker: int, command: Command) -> None:
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
    assert asked == [Path(name) for name in "abcbc"]


def test_diverged_means_above_the_base_twice_after_the_warm_up_or_no_number() -> None:
    def ratio(value: float) -> Evaluation:
        return replace(evaluation(40), metrics={"val_ratio": value})

    assert not diverged([ratio(1.2), ratio(1.2)], warmup=2)
    assert not diverged([ratio(0.9), ratio(0.9), ratio(1.2)], warmup=2)
    assert diverged([ratio(0.9), ratio(0.9), ratio(1.2), ratio(1.1)], warmup=2)
    assert diverged([ratio(float("inf"))], warmup=2)
