"""The page in one file: all of it escaped, within its size, and drawn from a disk by a browser without a network."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from sweeper import report
from sweeper.page.assets import OF_FILE, STATIC, read_asset
from sweeper.page.file import MOST_BYTES, PICTURE_BYTES, html_of, write_report
from sweeper.page.reading import StudyReader
from sweeper.results.file_names import REPORT
from sweeper.study.last_page import leave_page
from tests.sweeper.browser import NEEDS_CHROMIUM, complaints, open_browser, show_at
from tests.sweeper.page.accessible import violations
from tests.sweeper.page.hand_made import CHINESE, LONG, MARKUP

MARKUP_MAKERS = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function|srcdoc"


@pytest.fixture(scope="module")
def page(studies: Path, database: Path) -> str:
    return html_of(StudyReader(studies / "pencil", database).read(), studies)


def block(page: str, name: str) -> object:
    found = re.search(rf'<script type="application/json" id="{name}">(.*?)</script>', page, re.DOTALL)
    assert found
    return json.loads(found[1])


def test_nothing_that_anybody_wrote_ends_or_begins_a_tag(page: str) -> None:
    assert page.count("<script") == page.count("</script>") == 3
    assert "<img" not in page and MARKUP not in page
    view = block(page, "study")
    assert isinstance(view, dict) and MARKUP in json.dumps(view).encode().decode("unicode_escape")


def test_the_policy_allows_its_own_script_and_style_alone(page: str) -> None:
    found = re.search(r'Content-Security-Policy" content="([^"]*)"', page)
    assert found is not None
    assert found[1].startswith("default-src 'none'; img-src data:; script-src 'sha256-")
    for tag in ("script", "style"):
        (text,) = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in found[1]
    assert page.index("Content-Security-Policy") < page.index("<style>")


def test_our_scripts_set_text_and_never_markup() -> None:
    for file in STATIC.glob("*.js"):
        words = re.findall(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function|srcdoc", file.read_text()
        )
        assert not words, file
    assert {*OF_FILE} <= {file.name for file in STATIC.glob("*.js")}
    assert not [name for name in OF_FILE if "</script" in read_asset(name)]


def test_what_has_no_room_is_left_out_and_counted(studies: Path, database: Path, page: str) -> None:
    assert PICTURE_BYTES < MOST_BYTES - 4_000_000
    whole = block(page, "pictures")
    assert isinstance(whole, dict) and "left out" not in page.partition('id="said"')[2][:200]
    small = html_of(StudyReader(studies / "pencil", database).read(), studies, picture_bytes=20_000)
    some = block(small, "pictures")
    assert isinstance(some, dict) and 0 < len(some) < len(whole)
    said = f"{len(whole) - len(some)} of {len(whole)} pictures are left out: the file has room for {len(some)}."
    assert said in small
    assert next(iter(some)).startswith("cache/")  # what all others are held against comes first


def test_it_goes_beside_a_best_that_is_not_there_yet_and_whole_or_not_at_all(
    studies: Path, database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = Path(shutil.copytree(studies / "stopped", tmp_path / "stopped"))
    file = write_report(study, database)
    assert file == study / REPORT
    (study / "best").mkdir()
    assert write_report(study, database) == study / "best" / REPORT and not file.exists()
    before = (study / "best" / REPORT).read_text()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_report(study, database)
    assert [each.name for each in (study / "best").iterdir()] == [REPORT]
    assert (study / "best" / REPORT).read_text() == before


def test_a_page_that_cannot_be_written_costs_no_study(
    studies: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "studies.db").write_text("no database")
    study = Path(shutil.copytree(studies / "single", tmp_path / "single"))
    shutil.rmtree(study / "best")
    (study / REPORT).mkdir()
    leave_page(study, tmp_path / "studies.db")
    assert "could not be written" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["study=pencil"], ["pencil", "top=1"]])
def test_the_command_writes_it(arguments: list[str], studies: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (studies / "pencil" / "best" / REPORT).unlink(missing_ok=True)
    assert report.main([*arguments, f"folder={studies}"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"the whole study on one page: {studies}/pencil/best/{REPORT}"
    assert (studies / "pencil" / "best" / REPORT).stat().st_size < MOST_BYTES
    assert report.main(["pencil", "page=false", f"folder={studies}"]) == 0
    assert "one page" not in capsys.readouterr().out


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    with open_browser(tmp_path_factory.mktemp("profile")) as driver:
        yield driver


@pytest.fixture(scope="module")
def files(studies: Path, database: Path) -> dict[str, str]:
    """The addresses of the reports of all studies."""
    names = ("pencil", "stopped", "failed", "single", "begun")
    return {name: f"file://{quote(str(write_report(studies / name, database)))}" for name in names}


@NEEDS_CHROMIUM
def test_a_browser_draws_it_from_a_disk_without_a_network(browser: webdriver.Chrome, files: dict[str, str]) -> None:
    browser.execute_cdp_cmd("Network.enable", {})
    nothing = {"offline": True, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0}
    browser.execute_cdp_cmd("Network.emulateNetworkConditions", nothing)
    show_at(browser, 1366, 768)
    browser.get(files["pencil"])
    assert browser.title == "pencil – sweeper"
    text = browser.find_element(By.TAG_NAME, "body").text
    assert "Trial 1 at step 60 won" in text and MARKUP in text and CHINESE in text
    images = browser.find_elements(By.CSS_SELECTOR, ".strip img")
    WebDriverWait(browser, 20).until(lambda _: all(int(each.get_attribute("naturalWidth") or 0) for each in images))
    assert len(images) == 9
    assert complaints(browser) == []
    assert violations(browser) == []


@NEEDS_CHROMIUM
def test_a_click_or_a_key_selects_a_trial_everywhere(browser: webdriver.Chrome, files: dict[str, str]) -> None:
    show_at(browser, 1366, 768)
    browser.get(files["pencil"])
    body = browser.find_element(By.TAG_NAME, "body")
    body.send_keys("jj")
    chosen = browser.find_elements(By.CSS_SELECTOR, ".selected[data-trial]")
    (number,) = {each.get_attribute("data-trial") for each in chosen}
    assert {"g", "circle", "tr"} <= {each.tag_name for each in chosen}
    assert browser.find_element(By.ID, "bar").text.startswith(f"trial {number}\nscore")
    body.send_keys(Keys.ESCAPE)
    assert not browser.find_elements(By.CSS_SELECTOR, ".selected[data-trial]")
    browser.find_element(By.CSS_SELECTOR, "tr[data-trial='3'] button").click()
    assert browser.find_element(By.ID, "bar").text.startswith("trial 3\n")
    browser.find_element(By.CSS_SELECTOR, "[data-focus='sort-rank']").click()
    assert browser.switch_to.active_element.get_attribute("data-focus") == "sort-rank"


@NEEDS_CHROMIUM
def test_the_wall_is_walked_and_pictures_are_held_side_by_side_by_keys_alone(
    browser: webdriver.Chrome, files: dict[str, str]
) -> None:
    show_at(browser, 1366, 768)
    browser.get(files["pencil"])
    browser.find_element(By.TAG_NAME, "body").send_keys("w")
    assert len(browser.find_elements(By.CSS_SELECTOR, ".wall td .cell")) == 3 * (6 + 2)
    assert violations(browser) == []
    browser.find_element(By.CSS_SELECTOR, "button.cell[tabindex='0']").send_keys(Keys.ARROW_DOWN)
    browser.switch_to.active_element.send_keys(Keys.ARROW_RIGHT)
    cell = browser.switch_to.active_element
    assert (cell.get_attribute("data-row"), cell.get_attribute("data-column")) == ("1", "1")
    shown = cell.find_element(By.TAG_NAME, "img").get_attribute("src")
    cell.send_keys(Keys.ENTER)
    dialog = browser.find_element(By.CSS_SELECTOR, "dialog.compare")
    assert LONG.strip() in dialog.text
    first = "dialog .pane:first-child img"
    assert browser.find_element(By.CSS_SELECTOR, first).get_attribute("src") == shown
    browser.switch_to.active_element.send_keys("f")
    flipped = browser.find_element(By.CSS_SELECTOR, first).get_attribute("src")
    assert flipped == browser.find_element(By.CSS_SELECTOR, "dialog .pane:last-child img").get_attribute("src") != shown
    browser.switch_to.active_element.send_keys("f4")
    assert len(browser.find_elements(By.CSS_SELECTOR, "dialog .pane")) == 4
    assert violations(browser) == []
    browser.switch_to.active_element.send_keys(Keys.ESCAPE)
    WebDriverWait(browser, 20).until(lambda page: not page.find_elements(By.CSS_SELECTOR, "dialog[open]"))
    browser.find_element(By.TAG_NAME, "body").send_keys("[")
    assert browser.find_element(By.CSS_SELECTOR, ".slider output").text == "60"


@NEEDS_CHROMIUM
@pytest.mark.parametrize("name", ["stopped", "failed", "single", "begun"])
@pytest.mark.parametrize("size", [(390, 844, "light"), (1920, 1080, "dark")])
def test_a_study_in_any_state_fits_any_screen(
    name: str, size: tuple[int, int, str], browser: webdriver.Chrome, files: dict[str, str]
) -> None:
    show_at(browser, *size)
    browser.get(files[name])
    assert browser.find_element(By.CSS_SELECTOR, ".sentence").text
    assert browser.execute_script("return document.documentElement.scrollWidth <= innerWidth")
    assert browser.title == f"{name} – sweeper" and complaints(browser) == []
    assert violations(browser) == []
    browser.find_element(By.ID, "tab-wall").click()
    assert browser.execute_script("return document.documentElement.scrollWidth <= innerWidth")
