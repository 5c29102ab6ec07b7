"""Studies that were started from the page: their processes outlive the server, their first words are kept for it.

A study has no folder of its own before its command has looked at everything. Until then what the command says goes to
a hidden file beside the studies, which becomes the study's when it has a folder, and is taken away when it gets none.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from foundation.errors import ConfigError, StudyError
from foundation.files.durable import PARTIAL
from sweeper.page.study_file import STUDY_FILE

OUTPUT: Final = "started.log"
"""In a study's folder: what its command says when the page has started it."""
_LOOK_EVERY_S: Final = 0.2
_FORECAST_S: Final = 300.0
_LAST: Final = 20
"""Lines of its words that are shown."""
State = Literal["starting", "started", "failed"]


@dataclass(slots=True)
class Started:
    """One study that is being started."""

    process: subprocess.Popen[bytes]
    words: Path
    state: State = "starting"
    lines: list[str] = field(default_factory=list)
    """The last of what it said, once it has failed."""


class Starts:
    """Starts studies in a folder, one of each name at a time. May be asked from any thread."""

    def __init__(self, studies: Path) -> None:
        self._studies = studies
        self._lock = threading.Lock()
        self._known: dict[str, Started] = {}

    def start(self, name: str, overrides: Sequence[str]) -> None:
        """Start the study of this name with its command's overrides.

        Raises:
            StudyError: it is there, or being started.
        """
        with self._lock:
            if (self._studies / name / STUDY_FILE).exists():
                raise StudyError(words_on_namesake(name))
            if name in self._known and self._known[name].state == "starting":
                raise StudyError(f"study {name} is being started already")
            self._studies.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(
                dir=self._studies, prefix=f".{name}.", suffix=PARTIAL, delete=False
            ) as file:
                process = subprocess.Popen(
                    [sys.executable, "-m", "sweeper", *overrides],
                    stdin=subprocess.DEVNULL,
                    stdout=file,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            started = self._known[name] = Started(process, Path(file.name))
        threading.Thread(target=self._follow, args=(name, started), daemon=True).start()

    def state(self, name: str) -> tuple[State, list[str]] | None:
        """Return how a start stands, and the last lines of what it says; None where there was none of this name."""
        with self._lock:
            started = self._known.get(name)
            if started is None:
                return None
            lines = started.lines if started.state != "starting" else _last_lines(started.words)
            return started.state, lines

    def _follow(self, name: str, started: Started) -> None:
        """Wait until the study has a folder, or its command has ended without one; then until it has ended."""
        study = self._studies / name
        while started.process.poll() is None and not (study / STUDY_FILE).is_file():
            time.sleep(_LOOK_EVERY_S)
        with self._lock:
            started.lines = _last_lines(started.words)
            if (study / STUDY_FILE).is_file():
                started.words.replace(study / OUTPUT)
                started.state = "started"
            else:
                started.words.unlink(missing_ok=True)
                started.state = "failed"
        started.process.wait()


def full_forecast(overrides: Sequence[str]) -> list[str]:
    """Return the lines of the command's own forecast: memory by trials at once, time, disk. It loads no base.

    Raises:
        ConfigError: a study by these overrides would not begin either, in the command's words; or it takes too long.
    """
    command = [sys.executable, "-m", "sweeper", *overrides, "forecast=true"]
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=_FORECAST_S, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired as error:
        raise ConfigError([f"the forecast has not ended after {_FORECAST_S:.0f} s"]) from error
    if ended.returncode:
        said = ended.stderr.strip().splitlines() or ["the forecast failed and said nothing"]
        raise ConfigError([line.removeprefix("error: ") for line in said if line.startswith("error: ")] or said[-1:])
    return ended.stdout.splitlines()


def words_on_namesake(name: str) -> str:
    """What to say of a name that a study has."""
    return f"study.name must be another: there is a study {name}, which goes on from the list of studies"


def _last_lines(file: Path) -> list[str]:
    try:
        return file.read_text("utf-8", "replace").strip().splitlines()[-_LAST:]
    except OSError:
        return []
