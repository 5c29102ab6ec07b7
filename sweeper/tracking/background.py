"""Any tracker, behind a queue: calls return at once, one thread makes them in order, and their errors end there."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from queue import Empty, Queue
from typing import Final, TypeAlias

from eval.evaluation import Evaluation, Validation
from foundation.errors import StudyError
from sweeper.records.costs import Costs
from sweeper.records.trainings import name_of
from sweeper.tracking.port import Images, StudyEnd, Tracker, TrialRecord
from sweeper.tracking.reasons import reason_of
from train.reports import StepReport

MAX_WAITING: Final = 10_000
"""Calls that may wait. Beyond it steps and evaluations are left out; starts and ends never are, they are few."""
BATCH_STEPS: Final = 300
"""Steps of all trials that are held back at most: three metrics each, and MLflow takes 1000 in a batch."""
BATCH_SECONDS: Final = 2.0
"""How long a step is held back at most. A batch costs MLflow about as much as a single metric."""
CHAMPION_SECONDS: Final = 300.0
"""How long `register_champion` waits for its turn and its end."""
STALL_SECONDS: Final = 60.0
"""The same while no call comes to its end: the store is away, and the study waits for it no longer."""
MAX_FAILURES: Final = 3
"""After so many in a row the store is left alone for `PAUSE_SECONDS`: each call to a dead server takes its time."""
PAUSE_SECONDS: Final = 30.0
MAX_OWED: Final = 500
"""Calls that wait to be tried again. Beyond it trials are counted as missing and left to the next start, which shows
them from the study's own files: the memory that an outage takes does not grow with its length."""
LOOK_SECONDS: Final = 0.2
"""How often `close` looks whether it is hurried."""
HURRIED_SECONDS: Final = 3.0
"""How long `close` takes at most once it is."""

log = logging.getLogger("sweeper.tracking")

Key: TypeAlias = int | str
"""What a call is about: a trial's number, or the study's start, its winner or its end."""


@dataclass(frozen=True, slots=True)
class _Steps:
    """Steps to be joined with others of the same trial."""

    number: int
    reports: Sequence[StepReport]


@dataclass(frozen=True, slots=True)
class _Call:
    """Anything else: made as it is, after all that came before it."""

    about: Key
    what: str
    make: Callable[[], None]
    weight: int = 1
    """Records in it."""
    must: bool = False
    """Whether it is tried again when it fails, and makes good what else failed of its trial."""
    now: bool = False
    """Whether it is made even while the store is left alone, and has what failed tried again before it."""
    last: bool = False


class BackgroundTracker:
    """A `Tracker` that hands every call to `inner` from one thread of its own; see the port for its promises.

    What fails is counted by what it is about. Calls that show a trial or the study whole are tried again: when the
    store answers once more, and before the study's end.
    """

    def __init__(self, inner: Tracker, title: str = "MLflow") -> None:
        self._inner = inner
        self._title = title
        self._calls: Queue[_Steps | _Call] = Queue()
        self._held: dict[int, list[StepReport]] = {}
        self._flush_at = 0.0
        self._missing: Counter[Key] = Counter()
        self._owed: dict[Key, _Call] = {}
        self._failures, self._paused_until, self._retry_at, self._done_at = 0, 0.0, 0.0, 0.0
        self._said = False
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._given_up = threading.Event()
        self._thread = threading.Thread(target=self._work, name="tracking", daemon=True)
        self._thread.start()

    @property
    def num_lost(self) -> int:
        with self._lock:
            return self._missing.total()

    def start_study(self, name: str, identity: str, params: Mapping[str, object], config: str) -> None:
        params = dict(params)
        self._must("start", "the study's start", lambda: self._inner.start_study(name, identity, params, config))

    def start_trial(
        self, number: int, params: Mapping[str, object], config: str, steps: Iterable[StepReport] = ()
    ) -> None:
        params = dict(params)
        what = f"trial {name_of(number)}'s start"
        self._submit(_Call(number, what, lambda: self._inner.start_trial(number, params, config, steps)))

    def show_base(self, images: Images) -> None:
        images = tuple(images)
        self._must("base", "the base's pictures", lambda: self._inner.show_base(images))

    def log_steps(self, number: int, reports: Sequence[StepReport]) -> None:
        if self._has_room(number, f"steps of trial {name_of(number)}", len(reports)):
            self._submit(_Steps(number, tuple(reports)))

    def log_evaluation(
        self,
        number: int,
        evaluation: Evaluation,
        images: Images,
        costs: Costs | None = None,
        chosen: Mapping[str, float] | None = None,
    ) -> None:
        what = f"trial {name_of(number)}'s evaluation at step {evaluation.step}"
        images, chosen = tuple(images), dict(chosen or {})
        if self._has_room(number, what, 1):
            make = partial(self._inner.log_evaluation, number, evaluation, images, costs, chosen)
            self._submit(_Call(number, what, make))

    def log_validation(self, number: int, validation: Validation) -> None:
        what = f"trial {name_of(number)}'s validation at step {validation.step}"
        if self._has_room(number, what, 1):
            self._submit(_Call(number, what, lambda: self._inner.log_validation(number, validation)))

    def end_trial(self, trial: TrialRecord) -> None:
        self._must(trial.number, f"trial {name_of(trial.number)}'s end", lambda: self._inner.end_trial(trial))

    def log_study(self, values: Mapping[str, float]) -> None:
        values = dict(values)
        if not hasattr(self._inner, "log_study"):
            return
        self._must("numbers", "the study's costs", lambda: self._inner.log_study(values))

    def register_champion(
        self,
        best_folder: Path,
        number: int,
        metrics: Mapping[str, float],
        fresh: Mapping[int, Mapping[str, float]],
        description: str,
        *,
        register: bool = True,
    ) -> str | None:
        metrics, fresh = dict(metrics), dict(fresh)
        answer: list[str | None] = []
        done = threading.Event()

        def make() -> None:
            try:
                answer.append(
                    self._inner.register_champion(best_folder, number, metrics, fresh, description, register=register)
                )
            finally:
                done.set()

        if not self._must("winner", "the winner", make, now=True):
            return None
        if not self._wait_for(done):
            log.warning("%s has not shown the winner yet; the study goes on", self._title)
        return answer[0] if answer else None

    def end_study(self, status: StudyEnd, reason: str = "") -> None:
        self._must("end", "the study's end", lambda: self._inner.end_study(status, reason), now=True)

    def reconcile(self, running: AbstractSet[int]) -> None:
        running = frozenset(running)
        self._must("crash", "runs left by a crash", lambda: self._inner.reconcile(running))

    def close(self, timeout_s: float = 60.0, hurried: Callable[[], bool] = lambda: False) -> None:
        if self._closed.is_set():
            return
        self._submit(_Call("last", "the last records", lambda: self._inner.close(timeout_s), now=True, last=True))
        self._closed.set()
        deadline, was_hurried = time.monotonic() + timeout_s, False
        while self._thread.is_alive() and (left := deadline - time.monotonic()) > 0:
            self._thread.join(min(left, LOOK_SECONDS))
            if hurried() and not was_hurried:
                was_hurried, deadline = True, min(deadline, time.monotonic() + HURRIED_SECONDS)
        if self._thread.is_alive():
            self._given_up.set()
            waiting = self._calls.qsize()  # the close itself among them, in place of the call that is stuck
            self._lose("last", "the last records", max(1, waiting), f"it took longer than {timeout_s:.0f} s")

    def _wait_for(self, done: threading.Event) -> bool:
        """Wait for a call that was put into the queue, unless the store is away; whether it was made."""
        began = time.monotonic()
        while not done.wait(LOOK_SECONDS):
            now = time.monotonic()
            if now - began >= CHAMPION_SECONDS or now - max(began, self._done_at) >= STALL_SECONDS:
                return False
        return True

    def _must(self, about: Key, what: str, make: Callable[[], None], *, now: bool = False) -> bool:
        return self._submit(_Call(about, what, make, must=True, now=now))

    def _submit(self, call: _Steps | _Call) -> bool:
        if self._closed.is_set():
            about, what = (call.about, call.what) if isinstance(call, _Call) else (call.number, _steps_of(call.number))
            self._lose(about, what, 1, "the tracker is closed")
            return False
        self._calls.put(call)
        return True

    def _has_room(self, about: Key, what: str, count: int) -> bool:
        if self._calls.qsize() < MAX_WAITING:
            return True
        self._lose(about, what, count, f"{MAX_WAITING} calls are waiting already")
        return False

    def _lose(self, about: Key, what: str, count: int, why: object) -> None:
        """Count what is missing; the first time say it, later only the log's debug level knows."""
        with self._lock:
            level = logging.DEBUG if self._said else logging.WARNING
            self._said = True
            self._missing[about] += count
        reason = reason_of(why) if isinstance(why, Exception) else str(why)
        words = "%s could not be shown in %s (%s); the study goes on, and shows it later"
        log.log(level, words, what, self._title, reason)

    def _work(self) -> None:
        while not self._given_up.is_set():
            try:
                call = self._calls.get(timeout=max(0.0, self._flush_at - time.monotonic()) if self._held else None)
            except Empty:
                self._flush()
                continue
            if isinstance(call, _Steps):
                self._hold(call)
                continue
            self._flush()
            self._make(call)
            if call.last:
                return

    def _hold(self, steps: _Steps) -> None:
        if not self._held:
            self._flush_at = time.monotonic() + BATCH_SECONDS
        self._held.setdefault(steps.number, []).extend(steps.reports)
        if sum(map(len, self._held.values())) >= BATCH_STEPS or time.monotonic() >= self._flush_at:
            self._flush()

    def _flush(self) -> None:
        held, self._held = self._held, {}
        for number, reports in held.items():
            make = partial(self._inner.log_steps, number, reports)
            self._make(_Call(number, _steps_of(number), make, weight=len(reports)))

    def _make(self, call: _Call) -> None:
        """Make a call, and before it those that failed and are due again."""
        if not call.now and time.monotonic() < self._paused_until:
            self._note_failure(call, "the store has failed several times and is left alone for a while")
            return
        if self._owed and (call.now or time.monotonic() >= self._retry_at):
            self._retry()
        self._try(call)

    def _retry(self) -> None:
        """Make the calls that failed once more, in their order, until the store fails too often again."""
        self._failures = 0
        for call in list(self._owed.values()):
            if self._failures < MAX_FAILURES:
                self._try(call)

    def _try(self, call: _Call) -> None:
        try:
            call.make()
        except Exception as error:
            log.debug("%s", call.what, exc_info=error)
            self._retry_at = time.monotonic() + PAUSE_SECONDS
            if not isinstance(error, StudyError):  # which says what is wrong with this call alone
                self._failures += 1
            if self._failures >= MAX_FAILURES:
                self._paused_until = self._retry_at
            self._note_failure(call, error)
            return
        self._failures, self._done_at = 0, time.monotonic()
        if call.must:
            self._owed.pop(call.about, None)
            with self._lock:
                del self._missing[call.about]

    def _note_failure(self, call: _Call, why: object) -> None:
        if call.about in self._owed:  # it is counted already
            return
        if call.must and (len(self._owed) < MAX_OWED or isinstance(call.about, str)):
            self._owed[call.about] = call
        self._lose(call.about, call.what, call.weight, why)


def _steps_of(number: int) -> str:
    return f"steps of trial {name_of(number)}"
