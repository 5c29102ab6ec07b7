"""What a person may do from the page: choose, stop, go on; through the server, as the page does."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait
from starlette.testclient import TestClient

from foundation.errors import StudyError
from sweeper.page import actions
from sweeper.page.access import CSRF_HEADER, VISIT, Secrets
from sweeper.page.actions import choose_arguments, command_line, noted_command, resume
from sweeper.page.live import Studies
from sweeper.page.server import Site, make_app
from sweeper.study.finished import STUDIES
from tests.sweeper.browser import NEEDS_CHROMIUM, complaints, open_browser, show_at
from tests.sweeper.page.serving import serve

HOST = "127.0.0.1:5000"
HOLDER = """\
import signal, sys
from pathlib import Path
from sweeper.records.lease import supervising
with supervising(Path(sys.argv[1]), print):
    print("runs", flush=True)
    signal.pause()
"""


@pytest.fixture(scope="module")
def folder(studies: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The studies, to be written to."""
    return Path(shutil.copytree(studies, tmp_path_factory.mktemp("acted on") / "studies"))


@pytest.fixture
def page(folder: Path) -> Iterator[TestClient]:
    """A client that has opened the link and has the page's own token."""
    own = Secrets()
    site = Site(studies=Studies(folder, folder / STUDIES), own=own, hosts=[HOST], port=5000)
    with TestClient(make_app(site), base_url=f"http://{HOST}", headers={CSRF_HEADER: own.csrf}) as client:
        client.get("/", params={VISIT: own.token})
        yield client


def test_a_checkpoint_is_chosen_and_crowned(page: TestClient, folder: Path) -> None:
    answer = page.post("/api/studies/pencil/choose", json={"trial": "4", "step": 40})
    assert answer.status_code == 200, answer.text
    first, second, third = answer.json()["lines"]
    assert (
        first.startswith("the best of pencil is trial 4 at step 40: ") and second == "champion is version 1 of pencil"
    )
    assert third == f"the whole study on one page: {folder}/pencil/best/report.html"
    view = page.get("/api/studies/pencil").json()["study"]
    assert view["choice"]["by_hand"] is True and "was chosen by hand" in view["sentences"][0]
    assert json.loads((folder / "pencil" / "best" / "scores.json").read_text())["training"] == "4"


def test_what_is_no_choice_is_refused_in_one_line(page: TestClient, studies: Path) -> None:
    for wanted in (
        {},
        {"trial": "../1", "step": 1},
        {"trial": 1, "step": 1},
        {"trial": "1", "step": "1"},
        {"trial": "1", "step": True},
    ):
        answer = page.post("/api/studies/pencil/choose", json=wanted)
        assert (answer.status_code, answer.text) == (409, "a trial's name and a step are wanted"), wanted
    assert page.post("/api/studies/pencil/choose", content=b"{").status_code == 409
    assert page.post("/api/studies/pencil/anything").status_code == 404
    assert page.post("/api/studies/nothing/stop").status_code == 404
    assert choose_arguments(studies / "pencil", {"trial": "7.1", "step": 80}) == ["pencil", "trial=7.1", "step=80"]


def test_a_running_study_is_interrupted_as_by_hand(page: TestClient, folder: Path) -> None:
    refused = page.post("/api/studies/stopped/stop")
    assert (refused.status_code, refused.text) == (409, "study stopped does not run")
    held = subprocess.Popen([sys.executable, "-c", HOLDER, folder / "stopped"], stdout=subprocess.PIPE, text=True)
    try:
        assert held.stdout is not None and held.stdout.readline() == "runs\n"
        assert page.post("/api/studies/stopped/resume").text == "study stopped runs already"
        assert (
            page.post("/api/studies/stopped/stop").json()["lines"][0].startswith(f"process {held.pid} was interrupted")
        )
        assert held.wait(timeout=30) == -signal.SIGINT
    finally:
        held.kill()
        held.wait()
        if held.stdout is not None:
            held.stdout.close()


def test_where_a_signal_would_end_a_study_at_once_none_is_sent(
    page: TestClient, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(actions, "CAN_INTERRUPT", False)
    monkeypatch.setattr(actions, "supervisor_of", lambda study: 1)
    refused = page.post("/api/studies/stopped/stop")
    assert refused.status_code == 409 and refused.text.endswith("press Ctrl-C where stopped runs")


def test_a_study_goes_on_with_the_command_that_it_noted(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The program is another one here, which says what it was given."""
    said = tmp_path / "said"
    program = tmp_path / "program"
    program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > "{said}"\necho "error: no such thing"\nexit 2\n')
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    with pytest.raises(StudyError, match="no such thing"):
        resume(folder / "stopped")
    *_, name, place = said.read_text().splitlines()
    assert (name, place) == ("study.name=stopped", f"study.folder='{folder.resolve()}'")
    assert said.read_text().splitlines()[:3] == ["-m", "sweeper", "+experiment=pencil"]


def test_a_command_that_is_not_known_or_holds_a_secret_is_not_typed_for_anybody(folder: Path, tmp_path: Path) -> None:
    assert command_line(folder / "stopped").startswith("sweeper +experiment=pencil study.name=stopped ")
    for command in (None, [1], ["tracking.uri=http://me:***@host"]):
        (tmp_path / "study.yaml").write_text(yaml.safe_dump({"command": command}))
        assert command_line(tmp_path) == ""
        with pytest.raises(StudyError, match="type it"):
            noted_command(tmp_path)


@NEEDS_CHROMIUM
def test_a_study_is_stopped_and_a_checkpoint_chosen_and_taken_back_in_a_browser(folder: Path, tmp_path: Path) -> None:
    held = subprocess.Popen([sys.executable, "-c", HOLDER, folder / "stopped"], stdout=subprocess.PIPE, text=True)
    try:
        assert held.stdout is not None and held.stdout.readline() == "runs\n"
        with serve(folder) as address, open_browser(tmp_path / "profile") as browser:
            show_at(browser, 1366, 768)
            browser.get(address)
            browser.execute_script("location.hash = '#/stopped'")
            _press(browser, "#head button", "stop …")
            _press(browser, "dialog button", "stop")
            assert held.wait(timeout=60) == -signal.SIGINT
            browser.execute_script("location.hash = '#/pencil'")
            _press(browser, ".table tr[data-trial='0'] button", "0")
            _press(browser, "#bar button", "use this checkpoint …")
            _press(browser, "dialog button", "use this checkpoint")
            _press(browser, "#head button", "undo the choice by hand")  # which waits until the choice was made
            WebDriverWait(browser, 90).until(lambda _: not (folder / "pencil" / "best_before").exists())
            assert complaints(browser) == []
    finally:
        held.kill()
        held.wait()
        if held.stdout is not None:
            held.stdout.close()


def _press(browser: webdriver.Chrome, selector: str, words: str) -> None:
    """Press the button of these words by the keyboard, once it can be; news may draw it anew meanwhile."""

    def press(page: webdriver.Chrome) -> bool:
        found = [each for each in page.find_elements(By.CSS_SELECTOR, selector) if each.text == words]
        if found and found[0].is_enabled():
            found[0].send_keys(Keys.ENTER)
            return True
        return False

    WebDriverWait(browser, 90, ignored_exceptions=[StaleElementReferenceException]).until(press)
