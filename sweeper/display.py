"""Shows a study as it runs: a live table on a terminal, plain lines where there is none."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Mapping, Sequence

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from foundation.console import printable, say
from sweeper.trials import Trial


class Display:
    """One study's progress. `line` says what happened; `refresh` redraws the table (terminals only)."""

    def __init__(self, name: str, num_trials: int, steps: int) -> None:
        self._name = name
        self._num_trials = num_trials
        self._steps = steps
        self._began = time.monotonic()
        self._steps_before = 0
        self._live = _live() if sys.stdout.isatty() else None

    def __enter__(self) -> Display:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()

    def line(self, text: str) -> None:
        """Say one thing that happened, for good."""
        seconds = int(time.monotonic() - self._began)
        clock = f"{seconds // 60:3}:{seconds % 60:02}"
        if self._live:
            self._live.console.print(Text.assemble((clock, "dim"), "  ", printable(text)))
        else:
            say(f"{clock}  {text}")

    def starts_from(self, trials: Sequence[Trial]) -> None:
        """Steps that an earlier run made do not count in this run's pace."""
        self._steps_before = _steps_behind(trials, self._steps)

    def refresh(self, trials: Sequence[Trial], slots: Mapping[int, str]) -> None:
        """Redraw; `slots` names the place of each running trial."""
        if self._live:
            self._live.update(self._table(trials, slots))

    def time_left_s(self, trials: Sequence[Trial]) -> float:
        """Seconds until all trials are done at this run's pace; what was saved by stopping early counts as done."""
        done = _steps_behind(trials, self._steps)
        made = done - self._steps_before
        if made <= 0:
            return math.nan
        return (time.monotonic() - self._began) / made * max(0, self._num_trials * self._steps - done)

    def _table(self, trials: Sequence[Trial], slots: Mapping[int, str]) -> Group:
        ended = [trial for trial in trials if trial.status in ("finished", "pruned", "failed")]
        table = Table(title_justify="left", box=None, pad_edge=False)
        for name in ("slot", "trial", "step", "loss", "score", "overfit", "what it tries"):
            table.add_column(name, justify="left" if name == "what it tries" else "right", no_wrap=True)
        for trial in trials:
            if trial.status == "running":
                table.add_row(slots.get(trial.number, "–"), str(trial.number), *_cells(trial, self._steps))
        left = self.time_left_s(trials)
        words = f"{self._name}: {len(ended)}/{self._num_trials} trials, " + (
            "about " + _span(left) + " left" if math.isfinite(left) else "starting"
        )
        return Group(Text(printable(words), style="bold"), table)


def _live() -> Live:
    console = Console(markup=False, emoji=False, highlight=False)
    return Live(console=console, refresh_per_second=2, transient=True)


def describe(params: Mapping[str, object]) -> str:
    """`rank 8, optimizer lion, lr 3.1e-4`: a trial's parameters in a few words."""
    words = []
    for name, value in params.items():
        short = name.split(":")[-1].split(".")[-1]
        words.append(f"{short} {value:.2g}" if isinstance(value, float) else f"{short} {value}")
    return ", ".join(words)


def _cells(trial: Trial, steps: int) -> tuple[str | Text, ...]:
    last = trial.evaluations[-1] if trial.evaluations else None
    return (
        f"{trial.step}/{steps}",
        "–" if math.isnan(trial.loss) else f"{trial.loss:.3f}",
        f"{last.score:.1f}" if last else "–",
        f"{last.overfit_index:.2f}" if last else "–",
        Text(printable(describe(trial.params))),
    )


def _steps_behind(trials: Sequence[Trial], steps: int) -> int:
    """Steps that need no more time: an ended trial's are all behind it, however early it ended."""
    return sum(trial.step if trial.status in ("waiting", "running") else steps for trial in trials)


def _span(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"
