"""Studies of a batch as processes that are played: each ends as its name says, and none ends another."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

import sweeper.batch.running as running
from foundation.json_output import run_as_json
from sweeper.batch.command import _batch
from sweeper.batch.outcome import BatchOutcome, EntryOutcome
from sweeper.batch.request import BatchRequest, Entry
from sweeper.batch.running import run_batch
from sweeper.batch.summary import summary_page
from tests.sweeper.page.hand_made import MARKUP, Wanted, make_study

PLAYED = """
import json, os, pathlib, signal, sys, time
name = next(each for each in sys.argv if each.startswith("study.name=")).partition("=")[2]
device = [each for each in sys.argv if each.startswith("launcher.devices")]
print("said by", name, *device, file=sys.stderr, flush=True)
pathlib.Path("ran").open("a").write(name + "\\n")
stopped = []
signal.signal(signal.SIGINT, lambda *_: stopped.append(1))
if name.startswith("slow"):
    pathlib.Path("is-up-" + name).touch()
    while not stopped:
        time.sleep(0.01)
if name.startswith("killed"):
    os.kill(os.getpid(), signal.SIGKILL)
code = 130 if stopped else 2 if name.startswith("broken") else 0
print(json.dumps({"exit_code": code, "errors": ["data.path <b>x</b> is no folder"] if code == 2 else []}))
sys.exit(code)
"""


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Makes a request of studies with these names."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "played.py").write_text(PLAYED)
    monkeypatch.setattr(running, "_COMMAND", (sys.executable, "-S", "played.py"))
    monkeypatch.setattr(running, "_is_finished", lambda entry: entry.name.startswith("done"))

    def request(*names: str, at_once: int = 1, devices: tuple[str, ...] = ()) -> BatchRequest:
        entries = tuple(Entry(name=name, overrides=(f"study.name={name}",)) for name in names)
        return BatchRequest(name="night", folder=Path("runs"), entries=entries, at_once=at_once, devices=devices)

    return request


def test_one_that_is_broken_or_killed_stops_no_other_and_what_is_finished_is_passed_over(play: Any) -> None:
    outcome = run_batch(play("one", "broken", "killed", "done", "two"))
    assert {each.name: each.state for each in outcome.entries} == {
        "one": "finished",
        "broken": "failed",
        "killed": "failed",
        "done": "finished",
        "two": "finished",
    }
    assert Path("ran").read_text().split() == ["one", "broken", "killed", "two"]
    errors = {each.name: list(each.errors) for each in outcome.entries}
    assert errors["broken"] == ["data.path <b>x</b> is no folder"]
    assert "SIGKILL" in errors["killed"][0]
    assert outcome.words == "of 5 studies 3 finished, 2 failed (broken, killed)"
    stored = json.loads(Path("runs/batches/night/summary.json").read_text())
    assert [each["state"] for each in stored["studies"]] == ["finished", "failed", "failed", "finished", "finished"]
    assert "said by one" in Path("runs/batches/night/one.log").read_text()
    assert not list(Path("runs/batches/night").glob(".*.json"))


def test_several_at_once_are_dealt_the_devices_in_turn(play: Any) -> None:
    run_batch(play("a", "b", "c", "d", at_once=2, devices=("cuda:0", "cuda:1")))
    logs = [path.read_text() for path in Path("runs/batches/night").glob("*.log")]
    assert {re.search(r"cuda:\d", text)[0] for text in logs} == {"cuda:0", "cuda:1"}  # type: ignore[index]


def test_ctrl_c_stops_all_that_run_and_begins_no_other(play: Any) -> None:
    def press() -> None:
        while not (Path("is-up-slow1").exists() and Path("is-up-slow2").exists()):
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    pressing = threading.Thread(target=press)
    pressing.start()
    outcome = run_batch(play("slow1", "slow2", "never", at_once=2, devices=("cpu",)))
    pressing.join()
    assert outcome.was_stopped
    assert {each.name: each.state for each in outcome.entries} == {
        "slow1": "stopped",
        "slow2": "stopped",
        "never": "waiting",
    }


def test_the_command_says_by_its_exit_code_that_one_failed(
    play: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sweeper.batch.command.parse", lambda _: play("one", "broken"))
    assert run_as_json(_batch, ["--json"]) == 1
    said = json.loads(capsys.readouterr().out)
    assert said["errors"] == ["broken: data.path <b>x</b> is no folder"]
    assert [each["state"] for each in said["result"]["studies"]] == ["finished", "failed"]
    assert "of 2 studies 1 finished, 1 failed (broken)" in said["lines"]


def test_the_summary_is_one_file_without_a_script_or_markup_of_theirs(tmp_path: Path) -> None:
    study = make_study(tmp_path, Wanted(name="cats", trials=2, steps=(20,)))
    entries = [
        EntryOutcome(name="cats", folder=study, state="finished", exit_code=0, seconds=90),
        EntryOutcome(name="dogs", folder=tmp_path / "dogs", state="failed", errors=[MARKUP], log=tmp_path / "dogs.log"),
    ]
    page = summary_page(BatchOutcome(name="night", entries=entries), tmp_path / "batches" / "night")
    assert "<script" not in page and MARKUP not in page and page.index("dogs") < page.index("the whole study")
    assert not re.search(r'(src|href)="(?!data:|\.\./)', page)
    assert 'href="../../cats/best/report.html"' in page
    best = entries[0].best
    assert best is not None and f"{best.score:.1f}" in page
