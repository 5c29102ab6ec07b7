"""`sweeper dashboard` over a store that the tracker wrote, seen through a real browser."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

from eval.evaluation import Evaluation
from sweeper import addresses, dashboard, dashboard_mlflow
from sweeper.addresses import host_names
from sweeper.dashboard_mlflow import LOG
from sweeper.tracking import open_tracker
from sweeper.tracking.spec import TrackingSpec
from tests.sweeper.browser import NEEDS_CHROMIUM, open_browser
from tests.sweeper.tracking.read_back import record, weights_in
from train.pocket.draw import draw_scene
from train.pocket.world import scenes
from train.reports import StepReport

WAIT_S = 60
CARD = "# The winner\n\n![Base and best](contact_sheet.png)\n\n| a | b |\n| --- | --- |\n| 1 | 2 |\n"


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a study of two trials, each judged twice, with drawn pictures for samples."""
    folder = tmp_path_factory.mktemp("multirun")
    tracker = open_tracker(TrackingSpec(experiment="pencil", model="pencil"), folder)
    tracker.start_study("pencil", "id of pencil", {"base.name": "pocket"}, "base: {name: pocket}\n")
    tracker.show_base(_drawn(folder / "base", "photo"))
    for number in (0, 1):
        params = {"optimizer": "lion", "lr": 0.0018, "rank": 4 * (number + 1), "adapter.rank": 4 * (number + 1)}
        tracker.start_trial(number, params, "")
        for step in (20, 40):
            tracker.log_steps(number, [StepReport(slot=0, step=step, loss=1 / step, lr=1e-3, grad_norm=1.0)])
            tracker.log_evaluation(number, _evaluation(step), _drawn(folder / f"{number}-{step}", "pencil"))
        values = {"score": 60.0 + number, "style": 0.5}
        tracker.end_trial(record(number, params=params, reason="all steps done", chosen=values))
    (folder / "best").mkdir()
    _drawn(folder / "best/pictures", "pencil")[0][1].rename(folder / "best/contact_sheet.png")
    (folder / "best/card.md").write_text(
        "# The winner\n\n![Base and best](contact_sheet.png)\n\n| a | b |\n| --- | --- |\n| 1 | 2 |\n"
    )
    weights_in(folder / "best", b"weights")
    assert (
        tracker.register_champion(folder / "best", 1, {"score": 61.0, "step": 40.0}, {1: {"score": 61.0}}, "rank 8")
        == "1"
    )
    tracker.end_study("finished")
    tracker.close()
    assert tracker.num_lost == 0
    return folder


def _drawn(folder: Path, style: str) -> list[tuple[str, Path]]:
    folder.mkdir(parents=True)
    images: list[tuple[str, Path]] = []
    for scene in scenes(0, 3, held_out=True):
        images.append((f"samples/{len(images) + 1:02} {scene}", folder / f"{scene}.png"))
        draw_scene(scene, style, seed=0).save(images[-1][1])
    return images


def _evaluation(step: int) -> Evaluation:
    return Evaluation(
        step=step,
        score=50.0 + step,
        score_se=1.0,
        overfit_index=0.0,
        overfit=False,
        words="no sign of overfit",
        severities={},
        metrics={"val_ratio": 0.5},
        validation_losses=(0.1,),
    )


@pytest.fixture(scope="module")
def address(studies: Path) -> Iterator[str]:
    """The address that the real command says for the study; at the end it must leave well and take its server along."""
    port, beside = _free_port(), _free_port()
    command = [sys.executable, "-m", "sweeper.dashboard", "--folder", str(studies), "--port", str(port)]
    command.append(f"mlflow={beside}")
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        assert process.stdout is not None
        said = "".join(process.stdout.readline() for _ in range(3))
        assert re.match(rf"the studies in .* are at http://127\.0\.0\.1:{port}/\?open=\S{{32}} ", said)
        found = re.search(rf"^  pencil  (http://127\.0\.0\.1:{beside}/\S+)$", said, re.MULTILINE)
        assert found, f"{said}{(studies / LOG).read_text()}"
        yield found[1]
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0
        for each in (port, beside):
            with socket.socket() as probe:
                assert probe.connect_ex(("127.0.0.1", each)) != 0
    finally:
        process.kill()
        process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[webdriver.Chrome]:
    with open_browser(tmp_path / "profile") as driver:
        yield driver
        driver.save_screenshot(str(tmp_path / "last.png"))  # what a failed wait was looking at


@NEEDS_CHROMIUM
def test_the_page_shows_the_studys_runs_and_the_images_of_a_trial(
    address: str, browser: webdriver.Chrome, tmp_path: Path
) -> None:
    wait = WebDriverWait(browser, WAIT_S, ignored_exceptions=[StaleElementReferenceException])

    def text() -> str:
        return str(browser.find_element(By.TAG_NAME, "body").text)

    def find(selector: str) -> WebElement:
        return wait.until(lambda page: page.find_element(By.CSS_SELECTOR, selector))

    def pictures() -> list[str]:
        """Addresses of the trial's pictures that the browser has loaded and decoded."""
        images = browser.find_elements(By.CSS_SELECTOR, "img[src*='get-artifact']")
        return [str(image.get_attribute("src")) for image in images if int(image.get_attribute("naturalWidth") or 0)]

    browser.get(address)
    wait.until(lambda _: "2 matching runs" in text())
    wait.until(lambda _: {"0000 lion r4 lr 1.8e-3", "0001 lion r8 lr 1.8e-3"} <= set(text().splitlines()))
    assert "chosen/score" in text()  # the column that they are sorted by
    browser.save_screenshot(str(tmp_path / "runs.png"))
    trials = [link for link in browser.find_elements(By.CSS_SELECTOR, "a[href*='/runs/']") if link.text]
    assert trials[0].text == "0001 lion r8 lr 1.8e-3"  # the best comes first
    run = trials[0].get_attribute("href")
    assert run is not None
    browser.get(f"{run.partition('?')[0]}/model-metrics")
    wait.until(lambda _: "eval" in text() and "samples" in text())
    headers = browser.find_elements(By.CSS_SELECTOR, "[data-testid='experiment-view-compare-runs-section-header']")
    section = next(header for header in headers if header.text.startswith("samples"))
    browser.execute_script("arguments[0].scrollIntoView({block: 'start'})", section)
    wait.until(lambda _: len(pictures()) == 3)
    assert all("%2Bstep%2B0%2B" in source for source in pictures())  # the base's, to begin with
    browser.save_screenshot(str(tmp_path / "images.png"))
    find("[role='slider']").send_keys(Keys.ARROW_RIGHT)
    wait.until(lambda _: any("%2Bstep%2B20%2B" in source for source in pictures()))
    browser.save_screenshot(str(tmp_path / "images-20.png"))


@NEEDS_CHROMIUM
def test_mlflows_own_list_opens_with_the_trials_unfolded(
    address: str, browser: webdriver.Chrome, tmp_path: Path
) -> None:
    """Without a saved view, as one comes to it from MLflow's own pages."""
    browser.get(address.partition("&viewStateShareKey")[0])
    wait = WebDriverWait(browser, WAIT_S, ignored_exceptions=[StaleElementReferenceException])
    names = {"pencil", "0000 lion r4 lr 1.8e-3", "0001 lion r8 lr 1.8e-3"}
    wait.until(lambda page: names <= set(page.find_element(By.TAG_NAME, "body").text.splitlines()))
    browser.save_screenshot(str(tmp_path / "list.png"))


def test_the_server_ends_with_the_dashboard_however_that_ends(studies: Path) -> None:
    port, beside = _free_port(), _free_port()
    command = [
        sys.executable,
        "-m",
        "sweeper.dashboard",
        "--folder",
        str(studies),
        "--host",
        "0.0.0.0",
        "--port",
        str(port),
        f"mlflow={beside}",
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        assert process.stdout is not None
        said = process.stdout.readline() + process.stdout.readline()
        for name in host_names("0.0.0.0"):
            if ":" in name or name in (socket.gethostname(), socket.getfqdn()):
                continue  # whether these lead anywhere is the network's matter
            origin = f"http://{name}:{beside}"
            asked = {"Content-Type": "application/json", "Origin": origin}
            search = f"{origin}/ajax-api/2.0/mlflow/experiments/search"  # as its own page does
            with urllib.request.urlopen(
                urllib.request.Request(search, b'{"max_results": 1}', asked), timeout=30
            ) as answer:
                assert answer.status == 200, said
        for each in (port, beside):
            rebound = urllib.request.Request(f"http://127.0.0.1:{each}/", headers={"Host": f"evil.example:{each}"})
            with pytest.raises(urllib.error.HTTPError, match="403"):
                urllib.request.urlopen(rebound, timeout=30)
        (guardian,) = psutil.Process(process.pid).children()
        family = [guardian, *guardian.children(recursive=True)]
    finally:
        process.kill()
        process.wait()
    _, alive = psutil.wait_procs(family, timeout=30)
    assert len(family) > 1 and not alive


def test_a_server_answers_to_its_own_names_alone() -> None:
    assert host_names("192.0.2.7") == ["192.0.2.7", "127.0.0.1", "localhost", "::1"]
    everywhere = host_names("::")
    assert {"127.0.0.1", socket.gethostname(), *addresses._own_addresses()} <= set(everywhere)


@NEEDS_CHROMIUM
def test_a_page_shows_the_trials_pictures_side_by_side_at_the_winners_step(
    address: str, browser: webdriver.Chrome, tmp_path: Path
) -> None:
    browser.get(address.replace("=trials", "=pictures") + "&compareRunsMode=CHART")
    wait = WebDriverWait(browser, WAIT_S, ignored_exceptions=[StaleElementReferenceException])

    def sizes(page: webdriver.Chrome) -> list[tuple[int, int]]:
        images = page.find_elements(By.CSS_SELECTOR, "img[src*='%2Bstep%2B40%2B']")
        return [(image.size["width"], image.size["height"]) for image in images if image.get_attribute("naturalWidth")]

    found = wait.until(lambda page: len(sizes(page)) >= 2 and sizes(page))
    browser.save_screenshot(str(tmp_path / "pictures.png"))
    assert all(width >= 200 and height >= 200 for width, height in found[:2])


def test_a_folder_that_is_not_there_is_said_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert dashboard.main([f"folder={tmp_path / 'none'}"]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert f"there is no folder {tmp_path / 'none'}/" in said
    assert not (tmp_path / "none").exists()


def test_a_taken_port_is_said_in_one_line(studies: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert dashboard.main(["--folder", str(studies), "--port", str(port)]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert f"cannot listen on 127.0.0.1:{port}" in said
    assert "port=" in said


def test_a_damaged_database_is_said_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mlflow.db").write_text("no database")
    assert dashboard.main([f"folder={tmp_path}"]) == 2
    said = capsys.readouterr().err
    assert "mlflow.db cannot be shown: file is not a database; move it away" in said and said.count("\n") == 1


def test_a_server_that_cannot_start_is_said_with_its_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mlflow.db").touch()
    port = _free_port()

    def command(*_: object) -> list[str]:
        return [sys.executable, "-c", "print('no such store'); raise SystemExit(1)"]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dashboard_mlflow, "_command", command)
        assert dashboard.main(["--folder", str(tmp_path), "--port", str(port), f"mlflow={_free_port()}"]) == 2
    assert "ended at once: no such store; see" in capsys.readouterr().err
