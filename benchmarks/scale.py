"""`python -m benchmarks.scale`: what a study costs its supervisor, from 100 trials to 10,000, with nothing trained.

Workers are simulated behind the launcher's port: they answer each command at once, and write what a worker writes of a
trial. All else is real: the supervisor, Optuna in SQLite, MLflow in SQLite and files. Times are of the supervisor's
thread on its processor, without what the simulated workers took, so they hang on no other load; waiting for the disk is
in the column of seconds alone. Each number of trials is a study and a process of its own. `--out` keeps the figures as
lines of JSON, `--profile` prints what took the time.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import math
import multiprocessing
import os
import pstats
import random
import statistics
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Collection, Sequence
from contextlib import ExitStack, redirect_stdout
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Final

import psutil

from benchmarks.judge_trials.report import table
from eval.evaluation import Evaluation
from foundation.console import say
from foundation.files.durable import append_line
from sweeper.launchers.spec import LauncherSpec
from sweeper.records.config import Config
from sweeper.records.costs import Cost, Costs, Spent
from sweeper.records.history import append_costs, append_evaluation, append_steps
from sweeper.records.messages import Admit, Admitted, Evaluated, Event, Finished, Ready, Stepped, Verdict, WorkerCommand
from sweeper.records.paths import STUDIES
from sweeper.records.trials import Resolved
from sweeper.search.dimension import Params
from sweeper.search.space import Plan, plan
from sweeper.search.study import Search
from sweeper.study.display import Display
from sweeper.study.study_file import to_yaml
from sweeper.study.supervisor import Supervisor
from sweeper.tracking import open_tracker
from sweeper.tracking.background import BackgroundTracker
from train.reports import StepReport

EVALUATIONS: Final = 3
STEPS_BETWEEN: Final = 40
_METRICS: Final = (
    "style",
    "prompt_match",
    "prompt_kept",
    "copy_rate",
    "diversity",
    "drift",
    "val_ratio",
    "cmmd",
    "kid",
)
_LAST: Final = 0.2
"""The share of a study's trials, its last, whose cost tells whether cost grows."""


class SimulatedWorkers:
    """`Launcher` whose workers answer at once; they train nothing, and judge by what the parameters are."""

    def __init__(self, count: int) -> None:
        self.devices = tuple(f"simulated:{number}" for number in range(count))
        self.took_s = 0.0
        """Of the calling thread's processor time."""
        self._events: deque[tuple[int, Event]] = deque()
        self._scores: dict[int, float] = {}
        self._steps: dict[int, int] = {}
        self._folders: dict[int, Path] = {}

    @staticmethod
    def check(spec: LauncherSpec) -> Sequence[str]:
        """All are there."""
        return ()

    def clock(self) -> float:
        """The calling thread's processor time without what these took of it."""
        return time.thread_time() - self.took_s

    def start(self, worker: int) -> None:
        """See `Launcher`."""
        ready = Ready(num_slots=1, device="simulated", num_train=6, num_validation=3, base_images=(), seconds=0.0)
        self._events.append((worker, ready))

    def send(self, worker: int, command: WorkerCommand) -> None:
        """See `Launcher`."""
        began = time.thread_time()
        match command:
            case Admit(trial=trial):
                noise = random.Random(trial)  # noqa: S311, it is no secret
                lr = command.spec.optimizer.lr or 1.0
                self._scores[trial] = 60 * math.exp(-((math.log10(lr) + 3.5) ** 2)) + noise.gauss(0, 1)
                self._steps[trial], self._folders[trial] = 0, command.folder
                self._events.append((worker, Admitted(trial=trial, step=0, history=())))
                self._train(worker, trial)
            case Verdict(trial=trial, go_on=True) if self._steps[trial] < EVALUATIONS * STEPS_BETWEEN:
                self._train(worker, trial)
            case Verdict(trial=trial):
                self._events.append((worker, Finished(trial=trial)))
        self.took_s += time.thread_time() - began

    def _train(self, worker: int, trial: int) -> None:
        before, folder = self._steps[trial], self._folders[trial]
        steps = range(before + 1, before + STEPS_BETWEEN + 1)
        reports = [StepReport(slot=0, step=step, loss=1 / step, lr=1e-3, grad_norm=1.0) for step in steps]
        self._steps[trial] = steps[-1]
        append_steps(folder, reports)
        evaluation = _evaluation(self._scores[trial], steps[-1])
        append_evaluation(folder, evaluation)
        took = Costs(training=Cost(seconds=4.0, gigabytes=2.0), judging=Cost(seconds=1.0, gigabytes=2.0))
        append_costs(folder, Spent(step=steps[-1], costs=took))
        for first in range(0, len(reports), 10):  # as workers send them
            self._events.append((worker, Stepped(trial=trial, reports=tuple(reports[first : first + 10]))))
        checkpoint = folder / "checkpoints" / f"step-{steps[-1]:06}"
        self._events.append((worker, Evaluated(trial=trial, evaluation=evaluation, checkpoint=checkpoint, images=())))

    def wait(self, timeout_s: float) -> list[tuple[int, Event]]:
        """See `Launcher`: as many as there are workers, so that no turn is longer than with real ones."""
        return [self._events.popleft() for _ in range(min(len(self._events), len(self.devices)))]

    def kill(self, worker: int, reason: str) -> None:
        """None hangs."""
        raise AssertionError(reason)

    def shut_down(self, timeout_s: float, saving: Collection[int] = ()) -> None:
        """Nothing runs."""

    def hurry(self) -> None:
        """Nothing runs."""


def _evaluation(best: float, step: int) -> Evaluation:
    score = best * math.tanh(step / STEPS_BETWEEN)
    return Evaluation(
        step=step,
        score=score,
        score_se=1.0,
        overfit_index=0.1,
        overfit=False,
        words="no sign of overfit",
        severities={"val_rise": 0.0},
        metrics=dict.fromkeys(_METRICS, 0.5),
        validation_losses=(0.5, 0.5, 0.5),
        prompt_aims=(0.5, 0.5, 0.5),
        prompt_scores=(score, score, score),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Figures:
    """What a study came to."""

    trials: int
    workers: int
    ms_a_trial: float
    """Of the supervisor's thread, on its processor, without what the sampler takes."""
    ms_a_late_trial: float
    """The same of the last fifth."""
    composing_ms: float
    """Beside these, for composing a trial's config, whatever the number of trials."""
    ask_ms: float
    """For the sampler's next proposal: the median of the last fifth."""
    seconds: float
    """From the first trial to the last, by the clock, with all that others did on this machine."""
    memory_mib: float
    """What the process holds at the end; of that `memory_before_mib` before the first trial."""
    memory_before_mib: float
    events: int
    """Steps and evaluations that the tracker was told."""
    tracked_a_second: float
    """Of these, until all were shown."""
    lost: int
    """Records that the tracker left out, and another start shows."""
    resume_s: float
    """On the processor, until a study that has ended knows all its trials again."""
    files: float
    """That a trial leaves in its folder here; simulated workers draw nothing."""


class _TimedSearch:
    """A search that notes how long each proposal took, and what all else had taken before it, by a `clock`."""

    def __init__(self, search: Search, clock: Callable[[], float]) -> None:
        self._search = search
        self._clock = clock
        self.took: list[float] = []
        self.others: list[float] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._search, name)

    def until_now(self) -> float:
        """What all but proposals has taken."""
        return self._clock() - sum(self.took)

    def ask(self) -> tuple[int, Params]:
        """See `Search`."""
        self.others.append(self.until_now())
        began = self._clock()
        drawn = self._search.ask()
        self.took.append(self._clock() - began)
        return drawn


def measure(num_trials: int, workers: int, folder: Path, *, tracks: bool, profile: bool) -> Figures:
    """Run a study of so many trials in `folder`, with so many workers; `tracks` shows it in MLflow."""
    request = _request(num_trials, folder)
    config, study = request.config, folder / request.config.study.name
    launcher, process = SimulatedWorkers(workers), psutil.Process()
    with ExitStack() as stack:
        silence = stack.enter_context(open(os.devnull, "w"))  # noqa: PTH123, it is no file
        stack.enter_context(redirect_stdout(silence))
        tracker = open_tracker(config.tracking, folder) if tracks else BackgroundTracker(_Nowhere())  # type: ignore[arg-type]
        stack.callback(tracker.close)
        tracker.start_study(config.study.name, "id", {}, "")
        search: Any = _TimedSearch(Search.open(config, request.space, folder / STUDIES), launcher.clock)
        display, resolve = Display(config.study.name, num_trials, config.train.num_steps), _Resolver(request)
        supervisor = Supervisor(config, study, search, tracker, launcher, display, resolve)
        before, began, clock = process.memory_info().rss, search.until_now(), time.perf_counter()
        profiler = cProfile.Profile(time.thread_time) if profile else None
        if profiler:
            profiler.enable()
        supervisor.run()
        if profiler:
            profiler.disable()
        done, seconds = search.until_now(), time.perf_counter() - clock
        at_end = process.memory_info().rss
        tracker.end_study("finished")
        tracker.close(timeout_s=3600.0)
        tracked = time.perf_counter() - clock
        lost = tracker.num_lost
        resume = _resume(request, study, folder)
    if profiler:
        pstats.Stats(profiler, stream=sys.stderr).sort_stats("cumulative").print_stats(90)
    late = max(1, round(num_trials * _LAST))
    events = num_trials * EVALUATIONS * (STEPS_BETWEEN + 1)
    return Figures(
        trials=num_trials,
        workers=workers,
        ms_a_trial=1000 * (done - began) / num_trials,
        ms_a_late_trial=1000 * (done - search.others[-late]) / late,
        composing_ms=1000 * statistics.median(resolve.composing_s),
        ask_ms=1000 * statistics.median(search.took[-late:]),
        seconds=seconds,
        memory_mib=at_end / 2**20,
        memory_before_mib=before / 2**20,
        events=events if tracks else 0,
        tracked_a_second=events / tracked if tracks else 0.0,
        lost=lost,
        resume_s=resume,
        files=sum(1 for path in study.rglob("*") if path.is_file()) / num_trials,
    )


def _resume(request: Plan, study: Path, folder: Path) -> float:
    began = time.thread_time()
    search = Search.open(request.config, request.space, folder / STUDIES)
    tracker = BackgroundTracker(_Nowhere())  # type: ignore[arg-type]  # takes any call
    display = Display(request.config.study.name, len(search.ended_trials()), 1)
    again = Supervisor(request.config, study, search, tracker, SimulatedWorkers(1), display, _Resolver(request))
    again.run()
    took = time.thread_time() - began
    tracker.close()
    assert len(again.trials) == request.config.study.num_trials
    return took


class _Nowhere:
    """A tracker that shows nothing."""

    num_lost = 0

    def __getattr__(self, name: str) -> object:
        return lambda *_, **__: None


def _request(num_trials: int, folder: Path) -> Plan:
    steps = EVALUATIONS * STEPS_BETWEEN
    sizes = [f"train.steps={steps}", f"eval.every={STEPS_BETWEEN}", "eval.prompts=[a,b,c]", "study.slots=1"]
    return plan(
        ["+experiment=pencil", *sizes, f"study.folder={folder}", f"study.num_trials={num_trials}", "study.name=scale"]
    )


class _Resolver:
    """Completes trials' settings from configs that were composed before, one for each optimizer.

    Composing is Hydra's and takes as long for each trial, so it is measured apart: `composing_ms`.
    """

    def __init__(self, request: Plan) -> None:
        self._request = request
        self._made: dict[str, tuple[Config, str]] = {}
        self.composing_s: list[float] = []

    def __call__(self, params: dict[str, object]) -> Resolved:
        """See `Supervisor`."""
        choice = str(params["optimizer"])
        if choice not in self._made:
            self._request.trial(dict(params))  # type: ignore[arg-type]  # a choice of groups is composed once
            began = time.thread_time()
            config = self._request.trial(dict(params))  # type: ignore[arg-type]
            self._made[choice] = config, to_yaml(config)
            self.composing_s.append(time.thread_time() - began)
        config, yaml = self._made[choice]
        lr = float(str(params.get(f"optimizer={choice}:layer_lr", config.optimizer.lr)))
        return Resolved(spec=replace(config.trial, optimizer=replace(config.trial.optimizer, lr=lr)), yaml=yaml)


def main() -> int:
    """Measure, print a table, and keep the figures where that is wanted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, nargs="+", default=[100, 1000, 10_000])
    parser.add_argument("--workers", type=int, default=256)
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--no-tracking", dest="tracks", action="store_false")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    rows = []
    for num_trials in options.trials:
        with tempfile.TemporaryDirectory() as folder, multiprocessing.get_context("spawn").Pool(1) as pool:
            named = {"tracks": options.tracks, "profile": options.profile}
            figures = pool.apply(measure, (num_trials, options.workers, Path(folder)), named)
        rows.append([f"{value:g}" if isinstance(value, int) else f"{value:.3g}" for value in asdict(figures).values()])
        if options.out:
            append_line(options.out, json.dumps(asdict(figures)))
    say(table([field.name for field in fields(Figures)], rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
