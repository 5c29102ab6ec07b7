"""The live page in a real browser: the list, a study, its wall, and what changes while it runs."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from sweeper.records.history import append_evaluation
from sweeper.records.lease import supervising
from sweeper.records.paths import trial_of
from tests.sweeper.browser import NEEDS_CHROMIUM, complaints, open_browser, show_at
from tests.sweeper.page.accessible import violations
from tests.sweeper.page.hand_made import CHINESE, MARKUP, evaluation_of
from tests.sweeper.page.serving import serve

pytestmark = NEEDS_CHROMIUM


@pytest.fixture(scope="module")
def folder(studies: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The studies, to be written to."""
    return Path(shutil.copytree(studies, tmp_path_factory.mktemp("live") / "studies"))


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    """The link of a server over the studies."""
    with serve(folder) as link:
        yield link


@pytest.fixture(scope="module")
def browser(address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    """A browser that has opened the link."""
    with open_browser(tmp_path_factory.mktemp("profile")) as driver:
        show_at(driver, 1366, 768)
        driver.get(address)
        yield driver


def wait(browser: webdriver.Chrome) -> WebDriverWait[webdriver.Chrome]:
    return WebDriverWait(browser, 60)


def go(browser: webdriver.Chrome, where: str) -> None:
    browser.execute_script("location.hash = arguments[0]", where)


def test_the_list_leads_to_a_study_and_back(browser: webdriver.Chrome) -> None:
    go(browser, "#/")
    wait(browser).until(lambda page: len(page.find_elements(By.CSS_SELECTOR, ".studies tbody tr")) == 5)
    assert "open=" not in browser.current_url
    assert violations(browser) == []
    browser.find_element(By.LINK_TEXT, "pencil").send_keys(Keys.ENTER)
    wait(browser).until(lambda page: page.title == "pencil – sweeper")
    text = browser.find_element(By.TAG_NAME, "body").text
    assert MARKUP in text and CHINESE in text
    assert violations(browser) == [] and complaints(browser) == []
    browser.find_element(By.LINK_TEXT, "studies").click()
    wait(browser).until(lambda page: page.title == "studies – sweeper")


def test_the_walls_pictures_come_as_thumbnails_and_large_in_whole(browser: webdriver.Chrome) -> None:
    go(browser, "#/pencil/wall")
    wait(browser).until(lambda page: page.find_elements(By.CSS_SELECTOR, ".wall .cell img"))
    images = browser.find_elements(By.CSS_SELECTOR, ".wall .cell img")
    wait(browser).until(lambda _: all(int(each.get_attribute("naturalWidth") or 0) for each in images[:8]))
    assert all("/thumbnails/" in str(each.get_attribute("src")) for each in images)
    browser.find_element(By.CSS_SELECTOR, "button.cell[tabindex='0']").send_keys(Keys.ENTER)
    large = browser.find_element(By.CSS_SELECTOR, "dialog .pane img")
    assert "/pictures/" in str(large.get_attribute("src"))
    wait(browser).until(lambda _: int(large.get_attribute("naturalWidth") or 0))
    assert large.size["width"] % int(large.get_attribute("naturalWidth") or 1) == 0  # whole pixels
    browser.switch_to.active_element.send_keys(Keys.ESCAPE)
    assert complaints(browser) == []


def test_a_running_study_changes_before_ones_eyes_and_keeps_what_is_selected(
    browser: webdriver.Chrome, folder: Path
) -> None:
    with supervising(folder / "stopped", lambda _: None):
        go(browser, "#/stopped")
        wait(browser).until(lambda page: page.find_elements(By.CSS_SELECTOR, ".state.running"))
        slots = browser.find_elements(By.CSS_SELECTOR, ".slots tbody tr")
        assert [each.get_attribute("data-trial") for each in slots] == ["2", "3"]
        browser.find_element(By.CSS_SELECTOR, ".table tr[data-trial='3'] button").click()
        append_evaluation(trial_of(folder / "stopped", 3), evaluation_of(3, 40, 2))
        score = f"{evaluation_of(3, 40, 2).score:.1f}"
        wait(browser).until(lambda page: score in page.find_element(By.CSS_SELECTOR, ".slots").text)
        assert browser.find_element(By.ID, "bar").text.startswith("trial 3\n")
        assert browser.find_elements(By.CSS_SELECTOR, ".curves .selected[data-trial='3']")
        assert violations(browser) == [] and complaints(browser) == []
