"""Shows a study as it runs: a live table on a terminal, plain lines where there is none."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.constrain import Constrain
from rich.live import Live
from rich.table import Table
from rich.text import Text

from foundation.console import printable, say
from sweeper.records.messages import BaseLoaded, CapacityMeasured, Event, Ready
from sweeper.records.trials import Trial
from sweeper.study.time_left import TimeLeft

_NUMBERS = ("slot", "trial", "step", "loss", "score", "overfit")
_WORDS = "what it tries"
_GAP = 2
_FEWEST = 24
"""Columns that the words need; with fewer they make way for the numbers."""
_ECHO = 3
"""Columns left free: where the last line is full, the `^C` that a terminal echoes moves all of it up by a line."""
_PLAIN = Console(markup=False)
"""Measures text."""
_REFRESH_S = 0.25
"""Of the two pictures a second that are drawn none is older."""
_LINES_BESIDE = 4
"""The table's head, the study's line, a count of what is not shown, and the cursor's."""


@dataclass(frozen=True, slots=True)
class _Row:
    """A running trial."""

    numbers: tuple[str, ...]
    words: str


class Display:
    """One study's progress. `line` says what happened; all else redraws the table (terminals only).

    The study is called `name` and has `num_trials` of at most `steps` each; `left` estimates the time left. `console`
    is where it is drawn (None: standard output, if that is a terminal), `clock` is in seconds.
    """

    def __init__(
        self,
        name: str,
        num_trials: int,
        steps: int,
        left: TimeLeft | None = None,
        console: Console | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name, self._num_trials, self._steps = name, num_trials, steps
        self._left = left or TimeLeft(steps=num_trials * steps, finale=0, evaluation=1)
        self._clock, self._began = clock, clock()
        self._phase, self._phase_began = "loading", self._began
        self._trained_since: float | None = None
        self._steps_before = self._done = self._ended = 0
        self._behind: list[Trial] = []
        self._rows: list[_Row] = []
        self._is_stopping = self._has_forecast = False
        self._refreshed_at = -math.inf
        self._progress, self._progress_at, self._estimate = (0, 0, 0), self._began, math.nan
        if console is None and sys.stdout.isatty():
            console = Console(markup=False, emoji=False, highlight=False)
        self._console = console
        self._live = console and Live(
            console=console, get_renderable=self._picture, refresh_per_second=2, transient=True
        )

    def __enter__(self) -> Display:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()

    def line(self, *texts: str) -> None:
        """Say what happened, for good, each on its line; on a terminal what does not fit hangs under its beginning."""
        clock = _clock_words(self._clock() - self._began)
        for text in texts:
            if self._live:
                self._live.console.print(_hanging(clock, printable(text), self._live.console.width))
            else:
                say(f"{clock}  {text}")

    def phase(self, words: str) -> None:
        """What is being done that no trial's row shows: loading, measuring, choosing the best. Empty for nothing."""
        if words != self._phase:
            self._phase, self._phase_began = words, self._clock()

    def hear(self, event: Event) -> None:
        """Follow what the first worker does until it is up; from then on time is spent on trials."""
        if self._trained_since is not None:
            return
        match event:
            case BaseLoaded():
                self.phase("measuring how many trials train best at once")
            case CapacityMeasured():
                self.phase("drawing and judging what the base draws")
            case Ready():
                self._trained_since = self._clock()
                self.phase("")

    def note_evaluation(self, seconds: float) -> None:
        """An evaluation took so long."""
        self._left.note_evaluation(seconds)

    def finale(self) -> None:
        """All trials have ended; what follows is judging."""
        self._rows = []
        self.phase("judging finalists and strengths")

    def note_pictures(self, pictures: int) -> None:
        """So many more of the finale's pictures are there."""
        self._left.drawn += pictures

    def stopping(self) -> None:
        """The study is interrupted; nothing of what was going on is shown any more."""
        self._rows, self._is_stopping = [], True
        self.phase("stopping: every trial saves its state")

    def more(self, ended: Sequence[Trial], count: int) -> None:
        """These trials have ended, and so many trainings follow."""
        self._behind, self._num_trials = list(ended), len(ended) + count

    def starts_from(self, trials: Sequence[Trial]) -> None:
        """Steps that an earlier run made do not count in this run's pace."""
        self._steps_before += _steps_behind(trials, self._steps)

    def refresh_if_due(self, trials: Mapping[int, Trial], slots: Callable[[], Mapping[int, str]]) -> None:
        """As `refresh`, unless that was a moment ago: to look through thousands of trials takes milliseconds."""
        if self._clock() - self._refreshed_at >= _REFRESH_S:
            self._refreshed_at = self._clock()
            self.refresh(list(trials.values()), slots())

    def refresh(self, trials: Sequence[Trial], slots: Mapping[int, str]) -> None:
        """Show the running trials; `slots` names the place of each."""
        trials = [*self._behind, *trials]
        self._done = _steps_behind(trials, self._steps)
        self._ended = sum(trial.status in ("finished", "pruned", "failed") for trial in trials)
        running = [trial for trial in trials if trial.status == "running"]
        self._rows = [_row(trial, slots.get(trial.number, "–")) for trial in running]
        if not self._has_forecast and math.isfinite(left := self.time_left_s()):
            self._has_forecast = True
            self.line(
                f"forecast: about {_span(left)} left if no further trial ends early: {self._left.steps - self._done} "
                f"steps with their judging, then {self._left.finale} pictures of finalists"
            )

    def time_left_s(self) -> float:
        """Seconds until the study is done; NaN while there is nothing to go by.

        Between two signs of progress it runs down, to a half at most: what is late is not about to be done.
        """
        now, progress = self._clock(), (self._done, self._left.judged, self._left.drawn)
        if progress != self._progress:
            self._progress, self._progress_at = progress, now
            self._estimate = self._estimate_left(now)
        return max(self._estimate - (now - self._progress_at), self._estimate / 2)

    def _estimate_left(self, now: float) -> float:
        if self._left.drawn:
            return self._left.finale_s(now - self._phase_began)
        since = self._began if self._trained_since is None else self._trained_since
        return self._left.training_s(now - since, self._done - self._steps_before, self._done)

    def _picture(self) -> RenderableType:
        assert self._console
        width = self._console.width - _ECHO
        return Constrain(Group(self._head(), *_table(self._rows, width, self._console.height)), width)

    def _head(self) -> Text:
        parts = [f"{self._ended}/{self._num_trials} trials"]
        if self._phase:
            share = f" {min(self._left.drawn / self._left.finale, 1):.0%}" if self._left.drawn else ""
            parts.append(f"{self._phase}{share} ({_span(self._clock() - self._phase_began)})")
        left = math.nan if self._is_stopping else self.time_left_s()
        if math.isfinite(left):
            parts.append(f"about {_span(left)} left")
        elif not self._phase:
            parts.append("time left is known after the first evaluation")
        return Text(printable(f"{self._name}: {', '.join(parts)}"), style="bold")


def describe_params(params: Mapping[str, object]) -> str:
    """`rank 8, optimizer lion, lr 3.1e-4`: a trial's parameters in a few words."""
    words = []
    for name, value in params.items():
        short = name.split(":")[-1].split(".")[-1]
        words.append(f"{short} {value:.2g}" if isinstance(value, float) else f"{short} {value}")
    return ", ".join(words)


def _hanging(clock: str, text: str, width: int) -> Text:
    """Lines that begin under the first one's beginning; without blanks at their ends, which a narrower window wraps."""
    indent = len(clock) + _GAP
    lines = Text(text).wrap(_PLAIN, max(width - indent, _FEWEST), overflow="fold")
    body = f"\n{' ' * indent}".join(line.plain.rstrip() for line in lines)
    return Text.assemble((clock, "dim"), " " * _GAP, body)


def _table(rows: Sequence[_Row], width: int, height: int) -> list[RenderableType]:
    """The numbers whole, whatever the width; words beside them on as many lines as there are, on one, or not at all.

    Trials that the screen has no line for are counted.
    """
    rows, hidden = rows[: max(1, height - _LINES_BESIDE)], len(rows[max(1, height - _LINES_BESIDE) :])
    if not rows:
        return []
    widths = [max(map(cell_len, column)) for column in zip(_NUMBERS, *(row.numbers for row in rows), strict=True)]
    room = width - sum(widths) - _GAP * len(widths)
    table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0))
    for name, wide in zip(_NUMBERS, widths, strict=True):
        table.add_column(name, justify="right", no_wrap=True, min_width=wide)
    if room >= _FEWEST:
        lines = sum(len(Text(printable(row.words)).wrap(_PLAIN, room)) for row in rows)
        is_high = lines > height - _LINES_BESIDE
        table.add_column(_WORDS, overflow="fold", max_width=room)
    for row in rows:
        words = Text(printable(row.words))
        if room >= _FEWEST and is_high:
            words.truncate(room, overflow="ellipsis")
        table.add_row(*row.numbers, *([words] if room >= _FEWEST else []))
    return [table, Text(f"… and {hidden} more trials")] if hidden else [table]


def _row(trial: Trial, slot: str) -> _Row:
    last = trial.evaluations[-1] if trial.evaluations else None
    numbers = (
        slot,
        trial.name,
        f"{trial.step}/{trial.spec.train.last_step}",
        "–" if math.isnan(trial.loss) else f"{trial.loss:.3f}",
        f"{last.score:.1f}" if last else "–",
        f"{last.overfit_index:.2f}" if last else "–",
    )
    return _Row(numbers, describe_params(trial.settings))


def _steps_behind(trials: Sequence[Trial], steps: int) -> int:
    """Steps that need no more time: an ended trial's are all behind it, however early it ended."""
    return sum(trial.step if trial.status in ("waiting", "running") else steps for trial in trials)


def _clock_words(seconds: float) -> str:
    return f"{int(seconds) // 60:3}:{int(seconds) % 60:02}"


def _span(seconds: float) -> str:
    if seconds >= 5400:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"
