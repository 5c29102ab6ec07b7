"""Starting a study from the page, in a real browser: mistakes at their fields, the preview escaped, then the study."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait

from foundation.files.documents import read_mapping
from sweeper.page.start.process import OUTPUT
from tests.sweeper.browser import NEEDS_CHROMIUM, complaints, open_browser, show_at
from tests.sweeper.page.accessible import violations
from tests.sweeper.page.hand_made import CHINESE, LONG, MARKUP
from tests.sweeper.page.serving import serve

pytestmark = NEEDS_CHROMIUM
ROOT = Path(__file__).parents[3]
SMALLER = (
    *("study.slots=2", "study.probe=never", "study.refit=never", "study.finalists=1", "study.strengths=[]"),
    *("data.num_train=4", "data.num_validation=2", "train.batch_size=1", "train.steps=4"),
    *("eval.every=2", "eval.seeds=[0]"),
    "eval.prompts=['a red cup on grass, {trigger}','a blue star at night, {trigger}']",
    *("eval.sample_steps=2", "eval.timestep_bins=2", "eval.noises_per_bin=1", "eval.validate_every=2"),
)
"""What a study of a test is made quicker by than the one that is asked for."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty folder of studies, and beside it one of pictures."""
    top = tmp_path_factory.mktemp("first")
    (top / "multirun").mkdir()
    cups = top / "pictures" / "cups"
    cups.mkdir(parents=True)
    for number, caption in enumerate((MARKUP, LONG, CHINESE, "a cup on sand")):
        Image.new("RGB", (96, 64), (50 * number, 90, 120)).save(cups / f"{number}.png")
        (cups / f"{number}.txt").write_text(caption, encoding="utf-8")
    return top


@pytest.fixture
def browser(folder: Path, tmp_path: Path) -> Iterator[webdriver.Chrome]:
    with serve(folder / "multirun", folder / "pictures") as link, open_browser(tmp_path) as driver:
        show_at(driver, 1366, 768)
        driver.get(link)
        wait(driver).until(lambda page: page.find_elements(By.LINK_TEXT, "Start one"))
        driver.find_element(By.LINK_TEXT, "Start one").send_keys(Keys.ENTER)
        wait(driver).until(lambda page: page.find_elements(By.CSS_SELECTOR, ".searches tbody tr"))
        yield driver


def wait(browser: webdriver.Chrome) -> WebDriverWait[webdriver.Chrome]:
    return WebDriverWait(browser, 90)


def choose(browser: webdriver.Chrome, path: str, option: str) -> None:
    Select(browser.find_element(By.ID, f"start-{path}")).select_by_value(option)


def fill(browser: webdriver.Chrome, path: str, text: str) -> None:
    control = browser.find_element(By.ID, f"start-{path}")
    control.clear()
    control.send_keys(text)


def mistake(browser: webdriver.Chrome, path: str) -> str:
    return browser.find_element(By.CSS_SELECTOR, f"[data-mistake='{path}']").text


def test_mistakes_stand_at_their_fields_and_captions_are_shown_as_they_are(
    browser: webdriver.Chrome, folder: Path
) -> None:
    go = browser.find_element(By.CSS_SELECTOR, "button.go")
    fill(browser, "study.num_trials", "many")
    row = browser.find_element(By.CSS_SELECTOR, "tr[data-key='adapter.rank']")
    Select(row.find_element(By.TAG_NAME, "select")).select_by_value("choice")
    browser.find_element(By.CSS_SELECTOR, "tr[data-key='adapter.rank'] td.values input").send_keys("4, x")
    wait(browser).until(lambda page: mistake(page, "study.num_trials") and mistake(page, "adapter.rank"))
    assert mistake(browser, "study.num_trials") == "study.num_trials must be a whole number, got 'many'"
    assert mistake(browser, "adapter.rank") == "adapter.rank must be a whole number, got 'x'"
    control = browser.find_element(By.ID, "start-study.num_trials")
    assert control.get_attribute("aria-invalid") == "true" and not go.is_enabled()
    assert violations(browser) == []
    choose(browser, "data", "folder")
    wait(browser).until(lambda page: page.find_elements(By.XPATH, "//button[text()='cups']"))
    browser.find_element(By.XPATH, "//button[text()='cups']").click()
    wait(browser).until(lambda page: page.find_elements(By.XPATH, "//button[text()='↑ above']"))
    assert _captions(browser) == [MARKUP, LONG.strip(), CHINESE, "a cup on sand"]
    images = browser.find_elements(By.CSS_SELECTOR, ".preview img")
    wait(browser).until(lambda _: all(each.get_attribute("naturalWidth") == "96" for each in images))
    assert browser.title == "start a study – sweeper" and complaints(browser) == []
    for width, height, scheme in ((390, 844, "dark"), (1920, 1080, "light")):
        show_at(browser, width, height, scheme)
        is_wider = browser.execute_script("return document.documentElement.scrollWidth > window.innerWidth")
        assert not is_wider and violations(browser) == [], (width, scheme)
    assert not list((folder / "multirun").iterdir())  # nothing was started or written


def _captions(browser: webdriver.Chrome) -> list[str]:
    texts: list[str] = browser.execute_script(
        "return [...document.querySelectorAll('.preview .clamp')].map((each) => each.textContent)"
    )
    return texts


def test_a_small_study_is_started_by_keyboard_and_seen_to_its_end(
    browser: webdriver.Chrome, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It trains, draws and judges; the page shows each of its trials while it does."""
    program = tmp_path / "smaller"
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    program.write_text(
        f"#!/bin/sh\nexport PYTHONPATH={shlex.quote(path)} OMP_NUM_THREADS=1\n"
        f'exec {sys.executable} "$@" {shlex.join(SMALLER)}\n'
    )
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    choose(browser, "experiment", "pencil")
    texts = {"study.name": "mine", "study.num_trials": "2", "train.steps": "80"}
    for field, text in texts.items():
        fill(browser, field, text)
    go = browser.find_element(By.CSS_SELECTOR, "button.go")
    command = browser.find_element(By.CSS_SELECTOR, ".start code")
    wait(browser).until(lambda _: "train.steps=80" in command.text and go.is_enabled())
    words = shlex.split(command.text)
    expected = browser.find_element(By.CSS_SELECTOR, ".expected").text
    assert "at most 2 trainings of 80 steps" in expected and "GB are free" in expected
    browser.find_element(By.ID, "start-study.hours").send_keys(Keys.ENTER)
    wait(browser).until(lambda page: page.title == "mine – sweeper")
    assert browser.current_url.endswith("#/mine")
    wait(browser).until(lambda page: page.find_elements(By.CSS_SELECTOR, ".state.running"))
    wait(browser).until(lambda page: _trials(page, ".slots") == {"0", "1"})
    wait(browser).until(lambda page: _trials(page, ".curves") == {"0", "1"})  # both have been judged
    assert browser.find_elements(By.CSS_SELECTOR, ".state.running") and violations(browser) == []
    wait(browser).until(lambda page: page.find_elements(By.CSS_SELECTOR, ".state.finished"))
    wait(browser).until(lambda page: "What won, and why" in page.find_element(By.TAG_NAME, "body").text)
    study = folder / "multirun" / "mine"
    assert ["sweeper", *read_mapping(study / "study.yaml")["command"]] == [*words, *SMALLER]
    assert "forecast: at most 2 trainings" in (study / OUTPUT).read_text("utf-8")
    assert complaints(browser) == []


def _trials(browser: webdriver.Chrome, part: str) -> set[str]:
    found = browser.execute_script(
        "return [...document.querySelectorAll(arguments[0])].map((each) => each.dataset.trial)", f"{part} [data-trial]"
    )
    return set(found)
