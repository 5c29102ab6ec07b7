"""Any tracker, behind a queue: calls return at once, one thread makes them in order, and their errors end there."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from queue import Empty, Queue
from typing import Final

from eval.evaluation import Evaluation, Validation
from sweeper.costs import Costs
from sweeper.tracking.port import Ended, StudyEnd, Tracker, TrialEnd
from train.reports import StepReport

MAX_WAITING: Final = 10_000
"""Calls that may wait. Beyond it steps and evaluations are dropped; starts and ends never are, they are few."""
BATCH_STEPS: Final = 300
"""Steps of all trials that are held back at most: three metrics each, and MLflow takes 1000 in a batch."""
BATCH_SECONDS: Final = 2.0
"""How long a step is held back at most. A batch costs MLflow about as much as a single metric."""
CROWN_SECONDS: Final = 300.0
"""How long `crown` waits for its turn and its end."""
LOOK_SECONDS: Final = 0.2
"""How often `close` looks whether it is hurried."""
HURRIED_SECONDS: Final = 3.0
"""How long `close` takes at most once it is."""

log = logging.getLogger("sweeper.tracking")


@dataclass(frozen=True, slots=True)
class _Steps:
    """Steps to be joined with others of the same trial."""

    number: int
    reports: Sequence[StepReport]


@dataclass(frozen=True, slots=True)
class _Call:
    """Anything else: made as it is, after all that came before it."""

    what: str
    make: Callable[[], None]
    last: bool = False


class BackgroundTracker:
    """A `Tracker` that hands every call to `inner` from one thread of its own; see the port for its promises."""

    def __init__(self, inner: Tracker) -> None:
        self._inner = inner
        self._calls: Queue[_Steps | _Call] = Queue()
        self._held: dict[int, list[StepReport]] = {}
        self._flush_at = 0.0
        self._lost = 0
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._given_up = threading.Event()
        self._thread = threading.Thread(target=self._work, name="tracking", daemon=True)
        self._thread.start()

    @property
    def lost(self) -> int:
        return self._lost

    def start_study(self, name: str, params: Mapping[str, object], config: str) -> None:
        params = dict(params)
        self._submit(_Call("the study's start", lambda: self._inner.start_study(name, params, config)))

    def start_trial(
        self, number: int, params: Mapping[str, object], config: str, steps: Iterable[StepReport] = ()
    ) -> None:
        params = dict(params)
        self._submit(_Call(f"trial {number}'s start", lambda: self._inner.start_trial(number, params, config, steps)))

    def show_base(self, images: Sequence[tuple[str, Path]]) -> None:
        images = tuple(images)
        self._submit(_Call("the base's pictures", lambda: self._inner.show_base(images)))

    def log_steps(self, number: int, reports: Sequence[StepReport]) -> None:
        if self._has_room(f"steps of trial {number}", len(reports)):
            self._submit(_Steps(number, tuple(reports)))

    def log_evaluation(
        self, number: int, evaluation: Evaluation, images: Sequence[tuple[str, Path]], costs: Costs | None = None
    ) -> None:
        what = f"trial {number}'s evaluation at step {evaluation.step}"
        images = tuple(images)
        if self._has_room(what, 1):
            self._submit(_Call(what, lambda: self._inner.log_evaluation(number, evaluation, images, costs)))

    def log_validation(self, number: int, validation: Validation) -> None:
        what = f"trial {number}'s validation at step {validation.step}"
        if self._has_room(what, 1):
            self._submit(_Call(what, lambda: self._inner.log_validation(number, validation)))

    def end_trial(
        self, number: int, status: TrialEnd, reason: str, kept: Mapping[str, Path], chosen: Mapping[str, float]
    ) -> None:
        kept, chosen = dict(kept), dict(chosen)
        self._submit(
            _Call(f"trial {number}'s end", lambda: self._inner.end_trial(number, status, reason, kept, chosen))
        )

    def recover(self, trial: Ended) -> None:
        self._submit(_Call(f"trial {trial.number}", lambda: self._inner.recover(trial)))

    def crown(
        self, best_folder: Path, number: int, metrics: Mapping[str, float], description: str, *, register: bool = True
    ) -> str | None:
        metrics = dict(metrics)
        answer: list[str | None] = []
        done = threading.Event()

        def make() -> None:
            try:
                answer.append(self._inner.crown(best_folder, number, metrics, description, register=register))
            finally:
                done.set()

        if not self._submit(_Call("the winner", make)):
            return None
        if not done.wait(CROWN_SECONDS):
            log.warning("the winner was not registered within %.0f s; the study goes on", CROWN_SECONDS)
        return answer[0] if answer else None

    def end_study(self, status: StudyEnd, reason: str = "") -> None:
        self._submit(_Call("the study's end", lambda: self._inner.end_study(status, reason)))

    def reconcile(self, running: AbstractSet[int]) -> None:
        running = frozenset(running)
        self._submit(_Call("runs left by a crash", lambda: self._inner.reconcile(running)))

    def close(self, timeout_s: float = 60.0, hurried: Callable[[], bool] = lambda: False) -> None:
        if self._closed.is_set():
            return
        self._submit(_Call("the last records", lambda: self._inner.close(timeout_s), last=True))
        self._closed.set()
        deadline, was_hurried = time.monotonic() + timeout_s, False
        while self._thread.is_alive() and (left := deadline - time.monotonic()) > 0:
            self._thread.join(min(left, LOOK_SECONDS))
            if hurried() and not was_hurried:
                was_hurried, deadline = True, min(deadline, time.monotonic() + HURRIED_SECONDS)
        if self._thread.is_alive():
            self._given_up.set()
            waiting = self._calls.qsize()  # the close itself among them, in place of the call that is stuck
            self._lose("the last records", max(1, waiting), f"it took longer than {timeout_s:.0f} s")
        if self._lost:
            log.warning("%d records of this study are not in MLflow; its own files hold them all", self._lost)

    def _submit(self, call: _Steps | _Call) -> bool:
        if self._closed.is_set():
            what = f"steps of trial {call.number}" if isinstance(call, _Steps) else call.what
            self._lose(what, 1, "the tracker is closed")
            return False
        self._calls.put(call)
        return True

    def _has_room(self, what: str, count: int) -> bool:
        if self._calls.qsize() < MAX_WAITING:
            return True
        self._lose(what, count, f"{MAX_WAITING} calls are waiting already")
        return False

    def _lose(self, what: str, count: int, why: object) -> None:
        """Count what is lost; the first time say it, later only the log's debug level knows."""
        with self._lock:
            level = logging.DEBUG if self._lost else logging.WARNING
            self._lost += count
        reason = (str(why).strip() or type(why).__name__).splitlines()[0]
        log.log(
            level, "%s could not be shown in MLflow (%s); the study goes on, more of this is only counted", what, reason
        )

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
            self._make(call.what, 1, call.make)
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
            self._make(f"steps of trial {number}", len(reports), partial(self._inner.log_steps, number, reports))

    def _make(self, what: str, count: int, make: Callable[[], None]) -> None:
        try:
            make()
        except Exception as error:
            self._lose(what, count, error)
            log.debug("%s", what, exc_info=error)
