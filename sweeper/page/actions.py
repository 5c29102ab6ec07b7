"""What a person may do from the page: each is a command that could as well be typed, and is shown as such.

Nothing here names code: names of studies are those that are there, numbers are numbers, and the command that goes on
with a study is the one that the study itself noted, with its name and folder set to what they are.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from foundation.config.keyed import in_shell, quote
from foundation.errors import StudyError
from foundation.files.documents import read_mapping
from foundation.processes import CAN_INTERRUPT
from foundation.secrets import HIDDEN
from sweeper.page.study_file import STUDY_FILE
from sweeper.records.lease import supervisor_of
from sweeper.records.trainings import Training

OUTPUT: Final = "resumed.log"
"""In a study's folder: what its command says when the page has started it."""
_CHOOSE_S: Final = 300.0
_EARLY_S: Final = 4.0
"""A command that ends within this is said to have failed; one that goes on checks its pictures by then."""


def choose_arguments(study: Path, wanted: Mapping[str, Any]) -> list[str]:
    """The arguments of `sweeper choose` for what a page wants: `trial` and `step`, or `undo`.

    Raises:
        StudyError: it wants something else.
    """
    if wanted.get("undo") is True:
        return [study.name, "undo=true"]
    trial, step = wanted.get("trial"), wanted.get("step")
    if not isinstance(trial, str) or Training.of_name(trial) is None or type(step) is not int or step < 0:
        raise StudyError("a trial's name and a step are wanted")
    return [study.name, f"trial={trial}", f"step={step}"]


def choose(study: Path, wanted: Mapping[str, Any]) -> list[str]:
    """Run `sweeper choose`; what it said.

    Raises:
        StudyError: with its own words, where it refuses.
    """
    return _run("choose", study, choose_arguments(study, wanted))


def choose_voted(study: Path) -> list[str]:
    """Run `sweeper votes` so that the votes' leader becomes the best; what it said.

    Raises:
        StudyError: with its own words, where it refuses.
    """
    return _run("votes", study, [study.name, "choose=true"])


def _run(name: str, study: Path, arguments: Sequence[str]) -> list[str]:
    command = [sys.executable, "-m", f"sweeper.{name}", *arguments, f"folder={study.parent}"]
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=_CHOOSE_S, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired as error:
        raise StudyError(f"sweeper {name} has not ended after {_CHOOSE_S:.0f} s") from error
    if ended.returncode:
        said = ended.stderr.strip().splitlines() or ["it failed and said nothing"]
        raise StudyError(said[-1].removeprefix("error: "))
    return ended.stdout.splitlines()


def stop(study: Path) -> list[str]:
    """Interrupt the process of a study as Ctrl-C does: every trial saves its state.

    Raises:
        StudyError: it does not run, or nobody but its own terminal can interrupt it on this system.
    """
    process = supervisor_of(study)
    if process is None:
        raise StudyError(f"study {study.name} does not run")
    if not CAN_INTERRUPT:
        raise StudyError(f"on this system no other process can interrupt a study; press Ctrl-C where {study.name} runs")
    try:
        os.kill(process, signal.SIGINT)
    except (ProcessLookupError, PermissionError) as error:
        raise StudyError(f"process {process}, which runs study {study.name}, cannot be interrupted: {error}") from error
    return [f"process {process} was interrupted; every trial saves its state"]


def resume(study: Path) -> list[str]:
    """Start the command of a study, which goes on where it was stopped; it outlives this process.

    Raises:
        StudyError: it runs, its command is not known, or ends at once.
    """
    if supervisor_of(study) is not None:
        raise StudyError(f"study {study.name} runs already")
    overrides = [
        *noted_command(study),
        f"study.name={study.name}",
        f"study.folder={quote(str(study.parent.resolve()))}",
    ]
    output = study / OUTPUT
    with output.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "sweeper", *overrides],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        code = process.wait(_EARLY_S)
    except subprocess.TimeoutExpired:
        return [f"it goes on; what it says is in {output}"]
    last = (output.read_text("utf-8", "replace").strip().splitlines() or ["it said nothing"])[-1]
    if code:
        raise StudyError(last.removeprefix("error: "))
    return [last]


def noted_command(study: Path) -> list[str]:
    """The overrides that a study was run with last.

    Raises:
        StudyError: an older program did not note them, or they hold a secret, which is kept nowhere.
    """
    try:
        noted = read_mapping(study / STUDY_FILE).get("command")
    except (OSError, ValueError):
        noted = None
    if not isinstance(noted, list) or not all(isinstance(each, str) for each in noted):
        raise StudyError(f"{study / STUDY_FILE} does not tell the command of study {study.name}; type it")
    if any(HIDDEN in each for each in noted):
        raise StudyError("the study's command holds a secret, which is kept nowhere; type it")
    return noted


def command_line(study: Path) -> str:
    """The command that goes on with a study, to be typed; empty where it is not known."""
    try:
        return " ".join(["sweeper", *map(in_shell, noted_command(study))])
    except StudyError:
        return ""
