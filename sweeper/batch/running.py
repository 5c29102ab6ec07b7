"""Runs the studies of a batch, each as the command `sweeper` in a process of its own, so that none can end another."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from foundation.config.plain import plain
from foundation.console import say
from foundation.errors import DataError, UserError
from foundation.files.documents import as_mapping, parse_json
from foundation.files.durable import write_json, write_text
from foundation.json_output import FLAG
from foundation.processes import CAN_INTERRUPT, OF_ITS_OWN
from sweeper.batch.outcome import BatchOutcome, EntryOutcome
from sweeper.batch.request import BatchRequest, Entry
from sweeper.batch.summary import summary_page
from sweeper.kinds import find_kind
from sweeper.launchers.process import how_it_ended
from sweeper.notify import environment, notify
from sweeper.records.lease import supervising
from sweeper.study.finished import already_finished
from sweeper.study.stopping import stoppable
from sweeper.study.taste import plan_by_taste

_COMMAND: Final = (sys.executable, "-m", "sweeper")
_LOOK_EVERY_S: Final = 0.2
_INTERRUPTED: Final = 130
_OBJECT_BYTES: Final = 1_000_000
"""Of a study's answer, which is short."""


@dataclass(slots=True)
class _Running:
    """A study's process."""

    entry: EntryOutcome
    process: subprocess.Popen[bytes]
    answer: IO[bytes]
    log: IO[bytes]
    place: int


def run_batch(request: BatchRequest) -> BatchOutcome:
    """Run what is not finished, at most `request.at_once` at a time, and return how all of it ended.

    A summary is written whenever one begins or ends.

    Raises:
        UserError: another process has the batch, or the folder cannot be written to.
    """
    entries = [EntryOutcome(name=each.name, folder=request.folder / each.name) for each in request.entries]
    outcome = BatchOutcome(name=request.name, entries=entries)
    with supervising(request.own_folder, say, wait_s=0.0), stoppable(say) as stop:
        batch = _Batch(request, outcome)
        stop.hurry = batch.interrupt
        try:
            batch.run()
        except KeyboardInterrupt:
            outcome.was_stopped = True
            say(f"{stop.reason}: every study saves its state; the same command goes on (Ctrl-C again ends at once)")
            batch.stop()
        finally:
            stop.begin()
            batch.interrupt()
            batch.write_summary()
    return outcome


class _Batch:
    def __init__(self, request: BatchRequest, outcome: BatchOutcome) -> None:
        self._request, self._outcome = request, outcome
        self._running: list[_Running] = []
        self._began = time.monotonic()

    def run(self) -> None:
        waiting = []
        for entry, outcome in zip(self._request.entries, self._outcome.entries, strict=True):
            if _is_finished(entry):
                outcome.state, outcome.note = "finished", "was finished before"
                self._line(f"{entry.name}: is finished")
            else:
                waiting.append((entry, outcome))
        self.write_summary()
        while waiting or self._running:
            while waiting and len(self._running) < self._request.at_once:
                self._start(*waiting.pop(0))
            time.sleep(_LOOK_EVERY_S)
            self._take_ended()

    def stop(self) -> None:
        """Interrupt what runs, and wait until it has saved."""
        self.interrupt()
        while self._running:
            time.sleep(_LOOK_EVERY_S)
            self._take_ended()

    def interrupt(self) -> None:
        """Do to each study what Ctrl-C does."""
        for each in self._running:
            with suppress(OSError):
                each.process.send_signal(signal.SIGINT if CAN_INTERRUPT else signal.CTRL_BREAK_EVENT)  # type: ignore[attr-defined]

    def write_summary(self) -> None:
        folder = self._request.own_folder
        write_json(folder / "summary.json", plain(self._outcome.to_json()))
        write_text(folder / "summary.html", summary_page(self._outcome, folder))

    def _start(self, entry: Entry, outcome: EntryOutcome) -> None:
        taken = {each.place for each in self._running}
        place = next(number for number in range(self._request.at_once) if number not in taken)
        outcome.device = self._device(entry, place)
        outcome.log = self._request.own_folder / f"{entry.name}.log"
        dealt = [f"launcher.devices=['{outcome.device}']"] if outcome.device else []
        answer = self._request.own_folder.joinpath(f".{entry.name}.json").open("wb+")
        log = outcome.log.open("ab")
        command = [*_COMMAND, *entry.overrides, *dealt, FLAG]
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=answer,
            stderr=log,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **environment()},
            **OF_ITS_OWN,
        )
        outcome.state, outcome.began = "running", time.time()
        self._running.append(_Running(outcome, process, answer, log, place))
        where = f" on {outcome.device}" if outcome.device else ""
        self._line(f"{entry.name}: begins{where}; what it says is in {outcome.log}")
        self.write_summary()

    def _device(self, entry: Entry, place: int) -> str:
        """The device of a place; none where a study has all, or says itself."""
        keys = {each.partition("=")[0].lstrip("+") for each in entry.overrides}
        if keys & {"launcher", "launcher.devices"} or (self._request.at_once == 1 and not self._request.devices):
            return ""
        devices: Sequence[str] = self._request.devices
        if not devices:
            from foundation.devices import found_devices  # torch

            devices = found_devices()
        return devices[place % len(devices)]

    def _take_ended(self) -> None:
        for each in [each for each in self._running if each.process.poll() is not None]:
            self._running.remove(each)
            _note_end(each)
            why = f": {each.entry.errors[0]}" if each.entry.errors and each.entry.state == "failed" else ""
            best = each.entry.best
            score = f", score {best.score:.1f}" if best else ""
            self._line(f"{each.entry.name}: {each.entry.state}{score}{why}")
            self.write_summary()

    def _line(self, words: str) -> None:
        seconds = int(time.monotonic() - self._began)
        say(f"{seconds // 60:3}:{seconds % 60:02}  {words}")


def _is_finished(entry: Entry) -> bool:
    """Whether its own command would do nothing."""
    try:
        found, _ = find_kind(entry.overrides)
        return bool(already_finished(plan_by_taste(found)))
    except UserError:  # it says so itself
        return False


def _note_end(ended: _Running) -> None:
    """Take from a study's answer how it ended; one that ended without an answer has failed."""
    entry, code = ended.entry, ended.process.returncode
    entry.seconds = time.time() - entry.began
    ended.answer.seek(0)
    text = ended.answer.read(_OBJECT_BYTES)
    for file in (ended.answer, ended.log):
        file.close()
    Path(ended.answer.name).unlink(missing_ok=True)
    entry.exit_code = code
    try:
        answer: dict[str, Any] = as_mapping(parse_json(text.decode(errors="replace"), entry.name), entry.name)
        entry.errors = [str(each) for each in answer.get("errors") or ()]
    except DataError:
        entry.errors = [how_it_ended(code).replace("the worker", "its process")]
        notify(f"sweeper: study {entry.name} failed", entry.errors[0])
    if code == _INTERRUPTED:
        entry.state = "stopped"
    else:  # 3: done, and not shown in full
        entry.state = "finished" if code in (0, 3) else "failed"
