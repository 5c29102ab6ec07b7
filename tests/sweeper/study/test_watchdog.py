"""A worker that hangs is noticed by what it usually takes, and only then."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sweeper.launchers.spec import LauncherSpec
from sweeper.study.watchdog import Watchdog, crowding

SPEC = LauncherSpec(load_timeout_s=1000, first_timeout_s=300, hang_factor=20)


class Watch:
    """A watchdog over worker 0, and its clock, which is looked at once a second."""

    def __init__(self, spec: LauncherSpec = SPEC) -> None:
        self.now = 0.0
        self.crowding = 1.0
        self.dog = Watchdog(spec, lambda: self.now, lambda: self.crowding)

    def hung_after(self, most_s: int) -> int | None:
        """After how many seconds of silence it is noticed; None when not within so many."""
        for second in range(1, most_s + 1):
            self.wait(1)
            if self.dog.hung():
                return second
        return None

    def wait(self, seconds: float) -> None:
        while seconds > 0:
            step = min(seconds, 1.0)
            self.now += step
            self.dog.tick()
            seconds -= step

    def train(self, *silences: float) -> None:
        for silence in silences:
            self.wait(silence)
            self.dog.hear(0, "training")


@pytest.fixture
def watch() -> Watch:
    return Watch()


def test_loading_and_the_first_steps_have_limits_of_their_own(watch: Watch) -> None:
    watch.dog.start(0)
    assert watch.hung_after(2000) == 1001
    watch.dog.expect(0, "training")
    assert watch.hung_after(2000) == 301


def test_what_was_measured_is_the_limit_and_a_minute_at_least(watch: Watch) -> None:
    watch.dog.expect(0, "training")
    watch.train(200, 1, 2)  # the first compiles
    assert watch.hung_after(100) == 61
    watch.dog.expect(0, "training")
    watch.train(200, 10, 9)
    assert watch.hung_after(1000) == 201


def test_a_trial_that_comes_new_may_compile_again(watch: Watch) -> None:
    watch.dog.expect(0, "training")
    watch.train(5, 1, 1)
    watch.dog.expect(0, "training")
    watch.wait(250)
    assert not watch.dog.hung()
    watch.train(0.5, 1)
    assert watch.hung_after(100) == 61


def test_judging_is_measured_by_itself(watch: Watch) -> None:
    watch.dog.expect(0, "training")
    watch.train(1, 1, 1)
    watch.dog.hear(0, "judging")
    for _ in range(3):
        watch.wait(12)
        watch.dog.hear(0, "judging")
    watch.train(1, 1)
    assert watch.hung_after(100) == 61
    watch.dog.hear(0, "judging")
    assert watch.hung_after(1000) == 241


def test_who_waits_for_the_supervisor_is_not_hung_and_each_is_told_once(watch: Watch) -> None:
    watch.dog.start(0)
    watch.dog.rest(0)
    assert watch.hung_after(5000) is None
    watch.dog.expect(0, "judging")
    watch.wait(301)
    assert watch.dog.hung() == {0: "it hung: no sign of life for 301 s while judging"}
    watch.wait(301)
    assert watch.dog.hung() == {}


def test_time_in_which_nobody_listened_is_no_silence(watch: Watch) -> None:
    watch.dog.expect(0, "training")
    watch.now += 100_000  # Ctrl-Z, and fg the day after
    watch.dog.tick()
    assert watch.hung_after(1000) == 296


def test_every_limit_can_be_taken_away() -> None:
    watch = Watch(replace(SPEC, load_timeout_s=None, first_timeout_s=None, hang_factor=None))
    watch.dog.start(0)
    assert watch.hung_after(3000) is None
    watch.dog.expect(0, "training")
    watch.train(1, 1)
    assert watch.hung_after(3000) is None


def test_where_many_share_the_cores_it_waits_so_much_longer(watch: Watch) -> None:
    watch.crowding = 7.0
    watch.dog.expect(0, "training")
    watch.train(200, 1, 2)
    assert watch.hung_after(1000) == 7 * 60 + 1


def test_a_machine_with_cores_to_spare_is_not_crowded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    for load, expected in ((0.3, 1.0), (2.0, 1.0), (14.0, 7.0)):
        monkeypatch.setattr("psutil.getloadavg", lambda load=load: (load, 0.0, 0.0))
        assert crowding() == expected
