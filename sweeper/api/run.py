"""`sweeper.run_study`: a study from Python, as the command `sweeper` runs it."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack, redirect_stdout
from pathlib import Path
from typing import Final, TextIO, cast

from foundation.command import EXIT_INTERRUPTED
from foundation.config.own_code import refuse_hydras_code
from foundation.config.presets import search_presets
from foundation.console import say
from foundation.errors import StudyError
from foundation.quiet import quiet_libraries
from foundation.secrets import remember
from sweeper.api.events import Callbacks, EventTracker, LineSaid, OnEvent
from sweeper.api.settings import Settings, overrides_of
from sweeper.api.study import Study
from sweeper.kinds import with_kind
from sweeper.notify import take_urls
from sweeper.own_packages import put_first
from sweeper.study.finished import already_finished
from sweeper.study.taste import plan_by_taste

_NO_BEST: Final = 1


def run_study(
    settings: Settings | Sequence[str],
    *,
    on_event: OnEvent | Sequence[OnEvent] = (),
    progress: bool = True,
    config_dir: str | Path | None = None,
) -> Study:
    """Run a study to its end, or go on with it, and return it; one that is finished is returned at once.

    `settings` are those of the command line, composed and checked in the same way: a mapping with sweeps made by
    `choice` and `interval`, or a list of overrides as they are typed. `on_event` is called with each `StudyEvent`, in
    this thread. `progress` prints what the command prints. `config_dir` holds options of your own, as `--config-dir`.

    Workers are processes of their own, which import nothing of the calling script. Ctrl-C, in a notebook "interrupt",
    lets every trial save its state; the same call goes on from there.

    Raises:
        UserError: bad input, as a `ConfigError`, `DataError` … with what was expected; then nothing was written. Also a
            study that cannot go on, or whose trials left no checkpoint (`StudyError`).
        KeyboardInterrupt: it was stopped, and can go on.
    """
    put_first()
    quiet_libraries()
    functions = [on_event] if callable(on_event) else list(on_event)
    callbacks = Callbacks(functions)
    overrides = take_urls(overrides_of(settings))
    remember(overrides)
    with ExitStack() as stack:
        if functions or not progress:  # else the command's own table is drawn, on a terminal
            lines = _Lines(callbacks, sys.stdout if progress else None)
            stack.enter_context(redirect_stdout(cast(TextIO, lines)))
        flags = [] if config_dir is None else ["--config-dir", str(config_dir)]
        overrides = search_presets([*flags, *overrides])
        refuse_hydras_code(overrides)
        overrides = with_kind(overrides)
        request = plan_by_taste(overrides)
        study = Study(Path(request.config.study.folder) / request.config.study.name)
        if words := already_finished(request):
            say(*words)
            return study
        from sweeper.study.run import run_study as run  # takes seconds to import, which mistakes need not wait for

        code = run(overrides, EventTracker(callbacks) if functions else None, ends_process=False)
    if code == EXIT_INTERRUPTED:
        raise KeyboardInterrupt
    if code == _NO_BEST:
        raise StudyError(f"study {study.name} has no best: no trial left a checkpoint; {study.folder} tells of each")
    return study


class _Lines(io.TextIOBase):
    """A stream that makes events of its lines, and passes them on to `below`; no terminal to draw on."""

    def __init__(self, emit: Callable[[LineSaid], None], below: TextIO | None) -> None:
        self._emit, self._below, self._line = emit, below, ""

    def write(self, text: str) -> int:
        if self._below is not None:
            self._below.write(text)
        *whole, self._line = (self._line + text).split("\n")
        for line in whole:
            self._emit(LineSaid(text=line))
        return len(text)

    def flush(self) -> None:
        if self._below is not None:
            self._below.flush()
