"""Several devices, played: trials are dealt over them, a device that fails is done without, the culprit is found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from foundation.errors import DeviceError, StudyError
from sweeper.records.messages import Noted
from sweeper.records.trials import Resolved
from sweeper.search.space import Plan, plan
from sweeper.search.study import Search
from sweeper.study.dealing import deal
from sweeper.study.display import Display
from sweeper.study.supervisor import Supervisor
from sweeper.study.suspects import MAX_ATTEMPTS
from tests.sweeper.fake_devices import KILLED, Now, PlayedMachines, never
from tests.sweeper.fake_worker import OVERRIDES, Notes, evaluation

STEPS = tuple(evaluation(step, float(step)) for step in (20, 40, 60, 80))
LAST = STEPS[-1].step


@pytest.fixture(scope="module")
def asked() -> Plan:
    return plan([*OVERRIDES, "study.num_trials=8", "eval.every=20", "study.slots=2"])


@pytest.fixture
def study(asked: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Study]:
    lines: list[str] = []
    monkeypatch.setattr(Display, "line", lambda _, *texts: lines.extend(texts))

    def make(dies: Callable[[Now], bool] = never, **machines: object) -> Study:
        played = PlayedMachines(dict.fromkeys(range(8), STEPS), dies=dies, **machines)  # type: ignore[arg-type]
        return Study(asked, tmp_path, played, lines)

    return make


class Study:
    """Eight trials of four evaluations on played machines."""

    def __init__(self, asked: Plan, folder: Path, machines: PlayedMachines, lines: list[str]) -> None:
        self.machines, self.lines, self.notes = machines, lines, Notes()
        search = Search.open(asked.config, asked.space)

        def resolve(params: dict[str, object]) -> Resolved:
            return Resolved(spec=asked.config.trial, yaml="trial: config\n")

        display = Display("pencil", 8, LAST)
        folder = folder / "pencil"
        clock = partial(getattr, machines, "now")
        self.supervisor = Supervisor(asked.config, folder, search, self.notes, machines, display, resolve, clock)

    def run(self) -> Study:
        self.supervisor.run()
        return self

    @property
    def failed(self) -> dict[int, str]:
        return {number: reason for number, (status, reason) in self.notes.ended.items() if status == "failed"}

    def said(self, words: str) -> list[str]:
        return [line for line in self.lines if words in line]


def test_trials_are_dealt_in_turn_to_the_least_loaded_that_has_room() -> None:
    assert deal(5, {0: 0, 1: 0}, {0: 4, 1: 4}) == [0, 1, 0, 1, 0]
    assert deal(4, {0: 3, 1: 0, 2: 1}, {0: 4, 1: 1, 2: 4}) == [1, 2, 2, 0]
    assert deal(2, {0: 1}, {0: 1}) == []


def test_devices_share_the_trials_evenly_from_the_first_on(study: Callable[..., Study]) -> None:
    done = study(devices=("cuda:0", "cuda:1", "cuda:2")).run()
    assert done.machines.admitted[:6] == [(0, 0), (1, 0), (2, 1), (3, 1), (4, 2), (5, 2)]  # each as it is up
    assert done.machines.most_running == 6
    assert {status for status, _ in done.notes.ended.values()} == {"finished"}


def test_the_first_device_that_is_up_leaves_the_others_their_share(study: Callable[..., Study]) -> None:
    done = study(devices=("a", "b", "c", "d"), num_slots=8).run()
    assert Counter(worker for _, worker in done.machines.admitted) == {0: 2, 1: 2, 2: 2, 3: 2}


def test_a_device_that_cannot_start_is_one_line_and_the_others_have_its_trials(study: Callable[..., Study]) -> None:
    done = study(failing={1}).run()
    assert done.said("given up") == ["cuda:1 is given up: CUDA out of memory; 1 device left"]
    assert {worker for _, worker in done.machines.admitted} == {0}
    assert len(done.notes.ended) == 8 and not done.failed


def test_what_all_devices_say_alike_is_said_once(study: Callable[..., Study]) -> None:
    played = study()
    fleet = played.supervisor._fleet
    for worker in fleet.workers:
        fleet._take(worker, Noted("a metric fails", of_study=True))
        fleet._take(worker, Noted("out of memory"))
    assert played.said("a metric fails") == ["a metric fails"]
    assert played.said("out of memory") == [f"{worker.name}: out of memory" for worker in fleet.workers]


def test_no_device_that_starts_ends_the_study_with_one_line(study: Callable[..., Study]) -> None:
    failing = study(failing={0, 1})
    with pytest.raises(DeviceError, match=r"^no device is left of cuda:0, cuda:1: CUDA out of memory; put that right"):
        failing.run()
    assert (DeviceError.exit_code, StudyError.exit_code) == (1, 2)


def test_a_device_that_fails_on_the_way_is_done_without(study: Callable[..., Study]) -> None:
    done = study()
    done.machines.dies = lambda now: now.worker == 1 and now.step == 40 and not done.machines.failing.add(1)
    done.run()
    assert done.said("given up") == ["cuda:1 is given up: CUDA out of memory; 1 device left"]
    assert len(done.notes.ended) == 8 and not done.failed


def test_a_device_on_which_every_trial_dies_is_done_without_and_no_trial_is_blamed(study: Callable[..., Study]) -> None:
    done = study(lambda now: now.worker == 1).run()
    said = f"cuda:1 is given up: every trial that was alone there died: {KILLED}; 1 device left"
    assert done.said("given up") == [said]
    assert len(done.notes.ended) == 8 and not done.failed


@pytest.mark.parametrize("devices", [("cpu",), ("cuda:0", "cuda:1"), ("a", "b", "c")])
def test_a_trial_that_ends_its_workers_is_found_and_its_company_finishes(
    devices: tuple[str, ...], study: Callable[..., Study]
) -> None:
    done = study(lambda now: now.trial == 1 and now.step == 60, devices=devices).run()
    status, reason = done.notes.ended[1]
    assert status == "finished" and "its checkpoint of step 40 counts" in reason  # what it had learned is kept
    assert f"{KILLED}, in {MAX_ATTEMPTS} attempts" in reason
    assert len(done.notes.ended) == 8 and not done.failed
    assert done.machines.company[-MAX_ATTEMPTS:] == [{1}] * MAX_ATTEMPTS
    assert not done.said("given up")


def test_two_trials_that_end_their_workers_are_both_found(study: Callable[..., Study]) -> None:
    done = study(lambda now: now.trial in (0, 1), devices=("cpu",)).run()
    assert set(done.failed) == {0, 1}
    assert len(done.notes.ended) == 8


def test_workers_that_die_again_and_again_fail_no_trial_that_gets_further(study: Callable[..., Study]) -> None:
    seen: set[tuple[int, int]] = set()

    def once_before_every_evaluation(now: Now) -> bool:
        new = (now.trial, now.step) not in seen
        seen.add((now.trial, now.step))
        return new

    done = study(once_before_every_evaluation, devices=("cpu",)).run()
    assert len(done.machines.company) == 8 * len(STEPS)
    assert len(done.notes.ended) == 8 and not done.failed


def test_trials_that_die_only_together_all_finish(study: Callable[..., Study]) -> None:
    """As where memory is too small for both of them."""
    done = study(lambda now: len(now.trials) > 1, devices=("cpu",)).run()
    assert len(done.notes.ended) == 8 and not done.failed


def test_suspects_take_turns_alone_and_share_again_once_they_are_cleared(study: Callable[..., Study]) -> None:
    done = study(lambda now: now.deaths == 0, devices=("cpu",)).run()
    order = [trial for trial, _ in done.machines.admitted]
    assert order[:5] == [0, 1, 0, 1, 0]  # together; each alone to its first evaluation; together
    assert done.machines.company == [{0, 1}]
    assert done.machines.most_running == 2
    assert not done.failed


def test_a_worker_that_hangs_is_ended_with_one_line_and_its_trials_go_on(study: Callable[..., Study]) -> None:
    done = study(hangs=lambda now: now.trial == 2 and now.step == 60 and now.deaths == 0).run()
    hung = "worker 1 (cuda:1) died: it hung: no sign of life for "
    assert [line for line in done.lines if "hung" in line and line.startswith(hung)] == done.said("hung")
    assert len(done.said("hung")) == 1
    assert len(done.machines.company) == 1 and 2 in done.machines.company[0]
    assert len(done.notes.ended) == 8 and not done.failed
